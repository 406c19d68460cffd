"""Fetches the Display API: which calls each kind of task makes, and what its cursor remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import ConnectorError, DropReason, FetchKind, NotSupported, Page, SubjectRef, SubjectType, Task
from connectors.tiktok_display_calls import STATS, Refusal, User, examine, raise_fault
from connectors.tiktok_values import items, mapping, position, post_id, seconds

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
    at = position(task.cursor.get("at"))
    for _ in range(_MOST_PAGES):
        more = {} if at is None else {"cursor": at}
        response, data = await user.videos("list", VIDEO_FIELDS, max_count=_BATCH, **more)
        at = _next(data, at)
        last = at is None or _is_past(data, task.start, response.received_at)
        yield user.page(response, {"at": str(at)}, last=last, kind=task.kind, page="videos")
        if last:
            return
    raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")


def _next(data: Mapping[str, Any], at: int | None) -> int | None:
    """Return where the list goes on, None at its end. Raises for one that says nothing or does not lead on."""
    if data.get("has_more") is not True:
        return None
    found = position(data.get("cursor"))
    if found is None:
        raise ConnectorError("a listing goes on without saying where")
    if at is not None and found >= at:
        raise ConnectorError("a listing comes back to a page it has shown")
    return found


def _is_past(data: Mapping[str, Any], start: datetime | None, received_at: datetime) -> bool:
    published = [seconds(mapping(one).get("create_time"), received_at) for one in items(data.get("videos"))]
    past = (not isinstance(at, DropReason) and start is not None and at < start for at in published)
    return bool(published) and all(past)


async def _named(user: User, task: Task) -> AsyncIterator[Page]:
    """Yield the named videos, twenty at a time. The cursor is the last one done."""
    ids = list(dict.fromkeys(ref.external_id for ref in task.subjects if _is_post(ref)))
    done = task.cursor.get("done", "")
    for start in range(ids.index(done) + 1 if done in ids else 0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        response, _ = await user.videos("query", VIDEO_FIELDS, filters={"video_ids": batch})
        last = start + _BATCH >= len(ids)
        said = {"page": "videos", "ids": ",".join(batch)}
        yield user.page(response, {"done": batch[-1]}, last=last, kind=task.kind, **said)


def _is_post(ref: SubjectRef) -> bool:
    # Ids of other makers (a row of an imported file) mean nothing to TikTok, and "not there" would remove them.
    return ref.type is not SubjectType.PROFILE and post_id(ref.external_id) == ref.external_id


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


def pages_of(user: User, task: Task) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    if task.kind in {"videos", "catalogue"}:
        return _videos(user, task)
    if task.kind == "profile":
        return _profile(user, task)
    raise NotSupported(f"the Display API has no task of the kind {task.kind!r}")
