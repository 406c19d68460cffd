"""Fetches TikTok: which calls each kind of task makes, in which order, and what its cursor remembers.

Cursors name the work that is left, so that a task resumed from any page makes the calls that an unbroken one would
have made; fields that were refused are remembered and not asked for again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import pages, tiktok_values, values, walks
from connectors.contract import (
    ConnectorError,
    DropReason,
    FetchKind,
    Page,
    Response,
    SubjectRef,
    SubjectType,
    Task,
)
from connectors.tiktok_account import DAYS, LIST, STATS, Account, Answer
from connectors.tiktok_metrics import DAY_FIELDS, PROFILE_FIELDS, VIDEO_FIELDS

SETTLE = timedelta(days=4)
"""How long the numbers of a day are restated."""
_LIVING = timedelta(days=365)  # after a year TikTok counts no more
_DAYS = timedelta(days=28)  # what an outage missed is read later
_LONGEST = timedelta(days=60)  # how far back days are kept
_BATCH = 20
KINDS = (
    FetchKind(name="videos", every=timedelta(hours=6), look_back=_LIVING, subjects=True, batch=_BATCH),
    FetchKind(name="profile", every=timedelta(hours=6)),
    FetchKind(name="account_days", every=timedelta(hours=12), look_back=_DAYS),
)

_VIDEOS, _ACCOUNT = "business/video/list", "business/get"
_MOST_PAGES = 2000


# ------------------------------------------------------------------------------------------------ videos


async def _videos(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    found = _named(account, task) if task.subjects else _listed(account, task)
    async for page in found:
        yield page


async def _listed(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the list of videos, newest first, until it has left the window of interest with a whole page.

    A page may be short or empty with more behind it. The cursor of the list is a time, so it only ever falls.
    """
    at = tiktok_values.position(task.cursor.get("at"))
    known = pages.listed(task.cursor, "refused")
    for _ in range(_MOST_PAGES):
        more = {"cursor": str(at)} if at is not None else {}
        query = {"max_count": str(_BATCH), **more}
        answer = await account.ask(_VIDEOS, VIDEO_FIELDS, LIST, query, known=known)
        known = answer.refused
        at = next_place(answer.data, at)
        last = at is None or walks.is_past(published(answer.data, answer.response), task.start)
        after = {"at": str(at), "refused": ",".join(known)}
        said = {"page": "videos", "refused": ",".join(known)}
        yield account.page(answer.response, after, last=last, kind=task.kind, **said)
        if last:
            return
    raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")


def next_place(data: Mapping[str, Any], at: int | None) -> int | None:
    """Return where a list of videos goes on, None at its end."""
    return walks.lower_place(tiktok_values.position(data.get("cursor")), data.get("has_more"), at)


def published(data: Mapping[str, Any], response: Response) -> list[datetime | DropReason]:
    """Return when the videos of a list were published, or why they do not say it."""
    videos = map(values.mapping, values.items(data.get("videos")))
    return [tiktok_values.seconds(video.get("create_time"), response.received_at) for video in videos]


async def _named(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the named videos, twenty at a time, and one by one where one of them is missing and spoils its batch.

    Batches begin at every twentieth id, so that a task which is taken up within one goes on one by one. The cursor is
    the last id done.
    """
    ids = walks.named(task, is_post)
    known = pages.listed(task.cursor, "refused")
    at = walks.begin(ids, task.cursor.get("done"))
    while at < len(ids):
        size = 1 if at % _BATCH else _BATCH
        answer, batch = await _by_id(account, ids[at : at + size], known)
        at, known = at + len(batch), answer.refused
        after = {"done": batch[-1], "refused": ",".join(known)}
        said = {"page": "videos", "ids": ",".join(batch), "refused": ",".join(known)}
        refusal = "" if answer.fault is None else answer.fault.refusal.value
        last = at == len(ids)
        yield account.page(answer.response, after, last=last, kind=task.kind, refusal=refusal, **said)


async def _by_id(account: Account, batch: list[str], known: tuple[str, ...]) -> tuple[Answer, list[str]]:
    """Return the answer about a batch, or about its first video alone where the batch is refused."""
    filters = msgspec.json.encode({"video_ids": batch}).decode()
    query = {"filters": filters, "max_count": str(_BATCH)}
    answer = await account.ask(_VIDEOS, VIDEO_FIELDS, LIST, query, known=known, named=True)
    if answer.fault is None or len(batch) == 1:
        return answer, batch
    return await _by_id(account, batch[:1], answer.refused)


def is_post(ref: SubjectRef) -> bool:
    """Whether a subject may be a post of TikTok's."""
    return ref.type is not SubjectType.PROFILE and tiktok_values.post_id(ref.external_id) == ref.external_id


# ------------------------------------------------------------------------------------------------ the account


async def _profile(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    answer = await account.ask(_ACCOUNT, PROFILE_FIELDS, STATS, {})
    yield account.page(answer.response, {}, last=True, kind=task.kind, page="profile", refused=",".join(answer.refused))


async def _account_days(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    days = walks.complete_days(task, now, "UTC", _DAYS, now - _LONGEST)
    if days is None:
        return
    window = {"start_date": str(days[0]), "end_date": str(days[1])}
    answer = await account.ask(_ACCOUNT, DAY_FIELDS, DAYS, window)
    said = {"page": "account_days", "refused": ",".join(answer.refused), **window}
    yield account.page(answer.response, {}, last=True, kind=task.kind, **said)


_FETCHERS: Mapping[str, Callable[[Account, Task, datetime], AsyncIterator[Page]]] = {
    "videos": _videos,
    "profile": _profile,
    "account_days": _account_days,
}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "TikTok", _FETCHERS)(account, task, now)
