"""Fetches the Display API: which calls each kind of task makes, and what its cursor remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta

from connectors import tiktok_values, walks
from connectors.contract import ConnectorError, FetchKind, Page, Task
from connectors.faults import Refusal
from connectors.tiktok_display_calls import STATS, User, examine, raise_fault
from connectors.tiktok_fetching import is_post, next_place, published

_BATCH = 20
KINDS = (
    FetchKind(name="videos", every=timedelta(hours=1), look_back=timedelta(days=90), subjects=True, batch=_BATCH),
    FetchKind(name="catalogue", every=timedelta(hours=24)),
    FetchKind(name="profile", every=timedelta(hours=6)),
)
VIDEO_FIELDS = (
    "id",
    "create_time",
    "title",
    "video_description",
    "share_url",
    "view_count",
    "like_count",
    "comment_count",
    "share_count",
)
USER_FIELDS = ("open_id", "display_name", "username", "follower_count", "likes_count")
_WITHOUT_PROFILE = tuple(name for name in USER_FIELDS if name != "username")
_MOST_PAGES = 2000


async def _videos(user: User, task: Task) -> AsyncIterator[Page]:
    pages = _named(user, task) if task.subjects else _listed(user, task)
    async for page in pages:
        yield page


async def _listed(user: User, task: Task) -> AsyncIterator[Page]:
    """Yield the list of public videos, newest first, until it has left the window with a whole page.

    A page may be short or empty with more behind it. The cursor of the list is a time, so it only ever falls.
    """
    at = tiktok_values.position(task.cursor.get("at"))
    for _ in range(_MOST_PAGES):
        more = {} if at is None else {"cursor": at}
        response, data = await user.videos("list", VIDEO_FIELDS, max_count=_BATCH, **more)
        at = next_place(data, at)
        last = at is None or walks.is_past(published(data, response), task.start)
        yield user.page(response, {"at": str(at)}, last=last, kind=task.kind, page="videos")
        if last:
            return
    raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")


async def _named(user: User, task: Task) -> AsyncIterator[Page]:
    """Yield the named videos, twenty at a time. The cursor is the last one done."""
    for batch, last in walks.batches(walks.named(task, is_post), task.cursor.get("done"), _BATCH):
        response, _ = await user.videos("query", VIDEO_FIELDS, filters={"video_ids": batch})
        said = {"page": "videos", "ids": ",".join(batch)}
        yield user.page(response, {"done": batch[-1]}, last=last, kind=task.kind, **said)


async def _profile(user: User, task: Task) -> AsyncIterator[Page]:
    """Yield the user; the name takes a permission of its own, and without it the numbers are still there."""
    response, refused = await user.info(USER_FIELDS), ""
    _, fault = examine(response)
    if fault is not None and fault.refusal is Refusal.PERMISSION:
        response, refused = await user.info(_WITHOUT_PROFILE), "username"
        _, fault = examine(response)
    if fault is not None:
        raise_fault(fault, STATS)
    yield user.page(response, {}, last=True, kind=task.kind, page="profile", refused=refused)


_FETCHERS: Mapping[str, Callable[[User, Task], AsyncIterator[Page]]] = {
    "videos": _videos,
    "catalogue": _videos,
    "profile": _profile,
}


def pages_of(user: User, task: Task) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "the Display API", _FETCHERS)(user, task)
