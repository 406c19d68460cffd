"""Fetches TikTok: which calls each kind of task makes, in which order, and what its cursor remembers.

Cursors name the work that is left, so that a task resumed from any page makes the calls that an unbroken one would
have made; fields that were refused are remembered and not asked for again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import ConnectorError, DropReason, FetchKind, NotSupported, Page, SubjectRef, SubjectType, Task
from connectors.tiktok_account import DAYS, LIST, STATS, Account, Answer
from connectors.tiktok_metrics import DAY_FIELDS, PROFILE_FIELDS, VIDEO_FIELDS
from connectors.tiktok_values import items, mapping, position, post_id, seconds

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
_DAY = timedelta(days=1)


# ------------------------------------------------------------------------------------------------ videos


async def _videos(account: Account, task: Task) -> AsyncIterator[Page]:
    pages = _named(account, task) if task.subjects else _listed(account, task)
    async for page in pages:
        yield page


async def _listed(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the list of videos, newest first, until it has left the window of interest with a whole page.

    A page may be short or empty with more behind it. The cursor of the list is a time, so it only ever falls.
    """
    at = position(task.cursor.get("at"))
    known = tuple(filter(None, task.cursor.get("refused", "").split(",")))
    for _ in range(_MOST_PAGES):
        more = {"cursor": str(at)} if at is not None else {}
        query = {"max_count": str(_BATCH), **more}
        answer = await account.ask(_VIDEOS, VIDEO_FIELDS, LIST, query, known=known)
        known = answer.refused
        at = _next(answer, at)
        last = at is None or _is_past(answer, task.start)
        after = {"at": str(at), "refused": ",".join(known)}
        said = {"page": "videos", "refused": ",".join(known)}
        yield account.page(answer.response, after, last=last, kind=task.kind, **said)
        if last:
            return
    raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")


def _next(answer: Answer, at: int | None) -> int | None:
    """Return where the list goes on, None at its end. Raises for one that says nothing or does not lead on."""
    if answer.data.get("has_more") is not True:
        return None
    found = position(answer.data.get("cursor"))
    if found is None:
        raise ConnectorError("a listing goes on without saying where")
    if at is not None and found >= at:
        raise ConnectorError("a listing comes back to a page it has shown")
    return found


def _is_past(answer: Answer, start: datetime | None) -> bool:
    published = [_published(one, answer) for one in items(answer.data.get("videos"))]
    return start is not None and bool(published) and all(at is not None and at < start for at in published)


def _published(video: Any, answer: Answer) -> datetime | None:
    at = seconds(mapping(video).get("create_time"), answer.response.received_at)
    return None if isinstance(at, DropReason) else at


async def _named(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the named videos, twenty at a time, and one by one where one of them is missing and spoils its batch.

    Batches begin at every twentieth id, so that a task which is taken up within one goes on one by one. The cursor is
    the last id done.
    """
    ids = list(dict.fromkeys(ref.external_id for ref in task.subjects if _is_post(ref)))
    done = task.cursor.get("done", "")
    known = tuple(filter(None, task.cursor.get("refused", "").split(",")))
    at = ids.index(done) + 1 if done in ids else 0
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


def _is_post(ref: SubjectRef) -> bool:
    # Ids of other makers (a row of an imported file) mean nothing to TikTok, and "not there" would remove them.
    return ref.type is not SubjectType.PROFILE and post_id(ref.external_id) == ref.external_id


# ------------------------------------------------------------------------------------------------ the account


async def _profile(account: Account, task: Task) -> AsyncIterator[Page]:
    answer = await account.ask(_ACCOUNT, PROFILE_FIELDS, STATS, {})
    yield account.page(answer.response, {}, last=True, kind=task.kind, page="profile", refused=",".join(answer.refused))


async def _account_days(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    window = _days_of(task, now)
    if not window:
        return
    answer = await account.ask(_ACCOUNT, DAY_FIELDS, DAYS, window)
    said = {"page": "account_days", "refused": ",".join(answer.refused), **window}
    yield account.page(answer.response, {}, last=True, kind=task.kind, **said)


def _days_of(task: Task, now: datetime) -> Mapping[str, str]:
    """Return the complete UTC days of the window, sixty at most; nothing where there is none. Both ends count."""
    last = min(task.end or now, now).astimezone(UTC).date() - _DAY
    first = max((task.start or now - _DAYS).astimezone(UTC).date(), now.astimezone(UTC).date() - _LONGEST)
    return {"start_date": first.isoformat(), "end_date": last.isoformat()} if first <= last else {}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    match task.kind:
        case "videos":
            return _videos(account, task)
        case "profile":
            return _profile(account, task)
        case "account_days":
            return _account_days(account, task, now)
    raise NotSupported(f"TikTok has no task of the kind {task.kind!r}")
