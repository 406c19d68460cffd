"""Fetches LinkedIn: which calls each kind of task makes, in which order, and what its cursor remembers.

Pages are handed on as they came, errors about single posts included. Every cursor names the work that is left, so that
a task resumed from any page makes the calls that an unbroken one would have made. No link of an answer is followed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import linkedin_metrics as metrics
from connectors import linkedin_values, pages, values, walks
from connectors.contract import ConnectorError, DropReason, FetchKind, Page, Response, SubjectRef, SubjectType, Task
from connectors.linkedin_account import Organisation
from connectors.linkedin_answers import Lack, examine, require

SETTLE = timedelta(days=7)
"""How far back days are read again: the last two are missing, and those before are restated for some more."""
RECENT = timedelta(days=90)  # an older post still grows a little, and is read again when it is hinted at
_VIDEO_LIFE = timedelta(days=180)  # older videos have no numbers any more
_WINDOW = timedelta(days=365)  # statistics reach back a year
_BATCH = 20  # more would not fit into an address
KINDS = (
    FetchKind(name="posts", every=timedelta(hours=6), look_back=RECENT, subjects=True, batch=_BATCH),
    FetchKind(name="videos", every=timedelta(hours=12), look_back=_VIDEO_LIFE),
    FetchKind(name="organization_day", every=timedelta(hours=12), look_back=SETTLE),
    FetchKind(name="organization", every=timedelta(hours=6)),
)

_PAGE_SIZE = 100
_MOST_PAGES = 200
_ALONE = "!"  # marks a post that is asked for by itself, after its batch was refused
_NODE = "node"
_DAYS = (
    ("share_days", "organizationalEntityShareStatistics"),
    ("follower_days", "organizationalEntityFollowerStatistics"),
    ("page_days", "organizationPageStatistics"),
)


# ------------------------------------------------------------------------------------------------ what is left to do


class _Left(msgspec.Struct):
    """What a task has left: calls about posts (``due``) and where the listing goes on (None: it has ended)."""

    due: list[str]
    start: int | None

    def is_done(self) -> bool:
        return not self.due and self.start is None

    def cursor(self) -> dict[str, str]:
        """Return what a cursor remembers."""
        return {"due": ",".join(self.due), "start": "end" if self.start is None else str(self.start)}


def _left_of(task: Task, due: Iterable[str], start: int | None) -> _Left:
    """Return what a cursor says is left, or all of it where there is none of ours."""
    told = task.cursor.get("start", "")
    if told == "end" or (told.isascii() and told.isdigit()):
        entries = [entry for entry in pages.listed(task.cursor, "due") if _is_entry(entry)]
        return _Left(entries, None if told == "end" else int(told))
    return _Left(list(due), start)


def _is_entry(entry: str) -> bool:
    return linkedin_values.is_post(entry.removeprefix(_ALONE).partition("/")[0])


# ------------------------------------------------------------------------------------------------ posts


async def _posts(of: Organisation, task: Task, _: datetime) -> AsyncIterator[Page]:
    """Yield the listing page by page, after each the numbers of its posts; or those of the posts that are due.

    A due post without numbers is quiet or gone: it is asked for itself, which none of the others has to be.
    """
    left = _left_of(task, _by_kind(walks.named(task, _is_post)), None if task.subjects else 0)
    async for page in _work(of, task, left, lambda posts: _by_kind(urn for urn, _ in posts)):
        yield page


async def _videos(of: Organisation, task: Task, _: datetime) -> AsyncIterator[Page]:
    left = _left_of(task, (), 0)
    calls = metrics.VIDEO_SET
    async for page in _work(
        of, task, left, lambda posts: [f"{urn}/{name}" for urn, is_video in posts if is_video for name in calls]
    ):
        yield page


def _is_post(ref: SubjectRef) -> bool:
    return ref.type is SubjectType.POST and linkedin_values.is_post(ref.external_id)


def _by_kind(urns: Iterable[str]) -> list[str]:
    """Return posts sorted by kind: shares and ugcPosts cannot be asked for together."""
    return sorted(urns, key=linkedin_values.kind_of)


async def _work(
    of: Organisation, task: Task, left: _Left, calls: Callable[[Sequence[tuple[str, bool]]], list[str]]
) -> AsyncIterator[Page]:
    if left.is_done():
        return
    for _ in range(_MOST_PAGES * (_PAGE_SIZE + 1)):
        if left.due:
            yield await _step(of, task, left)
        elif left.start is not None:
            response = await of.posts(left.start, _PAGE_SIZE)
            body = require(response, of.posts_need)
            left.due = calls(_published(body, response, task.start))
            left.start = _next_start(body, response, left.start, task.start)
            yield of.page(response, left.cursor(), last=left.is_done(), kind=task.kind, page="posts")
        if left.is_done():
            return
    raise ConnectorError("the calls about posts do not end")


def _published(body: Mapping[str, Any], response: Response, since: datetime | None) -> list[tuple[str, bool]]:
    """Return the posts of a listing that have numbers within the window, and whether each shows a video."""
    found = []
    for item in map(values.mapping, values.items(body.get("elements"))):
        urn = linkedin_values.post_urn(item.get("id"))
        at = linkedin_values.instant(item.get("publishedAt"), response.received_at)
        is_recent = since is None or isinstance(at, DropReason) or at >= since
        if not isinstance(urn, DropReason) and is_recent and item.get("lifecycleState", "PUBLISHED") == "PUBLISHED":
            found.append((urn, _shows_video(item)))
    return list(dict(found).items())


def _shows_video(item: Mapping[str, Any]) -> bool:
    media = values.mapping(values.mapping(item.get("content")).get("media")).get("id")
    return isinstance(media, str) and media.startswith("urn:li:video:")


def _next_start(body: Mapping[str, Any], response: Response, start: int, since: datetime | None) -> int | None:
    """Return where the listing goes on; None at its end, or where a whole page was not touched within the window.

    The last modified come first: an old post on a page says nothing about the next one, an old change does.
    """
    elements = values.items(body.get("elements"))
    links = [values.mapping(link) for link in values.items(values.mapping(body.get("paging")).get("links"))]
    more = any(link.get("rel") == "next" for link in links) or len(elements) >= _PAGE_SIZE
    touched = [_touched(item, response) for item in elements]
    is_past = since is not None and bool(touched) and all(at is not None and at < since for at in touched)
    if not elements or not more or is_past:
        return None
    if start + len(elements) > _MOST_PAGES * _PAGE_SIZE:
        raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")
    return start + len(elements)


def _touched(item: Any, response: Response) -> datetime | None:
    fields = values.mapping(item)
    at = linkedin_values.instant(fields.get("lastModifiedAt", fields.get("publishedAt")), response.received_at)
    return values.known(at)


# ------------------------------------------------------------------------------------------------ one call


async def _step(of: Organisation, task: Task, left: _Left) -> Page:
    """Make the next call about posts; its entry says which: a batch of numbers, a post itself, or a video's number."""
    urn, _, call = left.due[0].partition("/")
    if call == _NODE:
        left.due.pop(0)
        return await _single(of, task, left, await of.post(urn), page=_NODE, post=urn)
    if call:
        left.due.pop(0)
        return await _single(of, task, left, await of.video(urn, call), page="video", post=urn, metric=call)
    return await _statistics(of, task, left)


async def _single(of: Organisation, task: Task, left: _Left, response: Response, **request: str) -> Page:
    _, lack = examine(response, of.posts_need)
    said = {**request, "lack": "" if lack is None else lack.value}
    return of.page(response, left.cursor(), last=left.is_done(), kind=task.kind, **said)


async def _statistics(of: Organisation, task: Task, left: _Left) -> Page:
    """Ask for the numbers of a batch; of one that is refused, each post by itself: one can spoil all others."""
    batch = _take(left.due)
    response, told, lack = await _numbers(of, batch)
    if lack is not None and len(batch) > 1:
        left.due[:0] = [_ALONE + urn for urn in batch]
        batch = _take(left.due)
        response, told, lack = await _numbers(of, batch)
    if task.subjects:
        left.due += [f"{urn}/{_NODE}" for urn in batch if urn not in told]
    request = {"page": "share_statistics", "posts": ",".join(batch), "lack": "" if lack is None else lack.value}
    return of.page(response, left.cursor(), last=left.is_done(), kind=task.kind, **request)


async def _numbers(of: Organisation, batch: Sequence[str]) -> tuple[Response, set[Any], Lack | None]:
    """Return the answer about a batch, the posts that have numbers in it, and what the answer lacks."""
    response = await of.statistics(batch)
    body, lack = examine(response, of.statistics_need)
    elements = map(values.mapping, values.items(body.get("elements")))
    return response, {linkedin_values.post_urn(one.get("share", one.get("ugcPost"))) for one in elements}, lack


def _take(due: list[str]) -> list[str]:
    """Take the first posts of one kind off what is due; one that is marked goes alone."""
    if due[0].startswith(_ALONE):
        return [due.pop(0).removeprefix(_ALONE)]
    batch = [due.pop(0)]
    while due and len(batch) < _BATCH and _is_alike(due[0], batch[0]):
        batch.append(due.pop(0))
    return batch


def _is_alike(entry: str, urn: str) -> bool:
    return linkedin_values.is_post(entry) and linkedin_values.kind_of(entry) == linkedin_values.kind_of(urn)


# ------------------------------------------------------------------------------------------------ the organisation


async def _organization_day(of: Organisation, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Yield the days of the posts, of the followers and of the page, each in one call."""
    end = values.midnight(min(task.end or now, now))
    start = max(values.midnight(task.start or now - SETTLE), values.midnight(now) - _WINDOW)
    if start >= end:
        return
    names = [name for name, _ in _DAYS]
    for name, resource in _DAYS[walks.begin(names, task.cursor.get("done")) :]:
        response = await of.days(resource, start, end)
        require(response, of.statistics_need)
        request = {"page": name, "start": start.date().isoformat(), "end": end.date().isoformat()}
        yield of.page(response, {"done": name}, last=name == names[-1], kind=task.kind, **request)


async def _organization(of: Organisation, task: Task, _: datetime) -> AsyncIterator[Page]:
    if task.cursor.get("done") != "itself":
        response = await of.itself()
        require(response, of.statistics_need)
        yield of.page(response, {"done": "itself"}, last=False, kind=task.kind, page="organization")
    response = await of.size()
    require(response, of.statistics_need)
    yield of.page(response, {}, last=True, kind=task.kind, page="network_size")


_FETCHERS: Mapping[str, Callable[[Organisation, Task, datetime], AsyncIterator[Page]]] = {
    "posts": _posts,
    "videos": _videos,
    "organization_day": _organization_day,
    "organization": _organization,
}


def pages_of(of: Organisation, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "LinkedIn", _FETCHERS)(of, task, now)
