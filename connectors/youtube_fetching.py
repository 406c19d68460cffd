"""Fetches YouTube: which calls each kind of task makes, in which order, and what its cursor remembers.

The list of a channel's uploads names the videos; fifty of them are asked for in one call, days of a report one video
at a time (a report over several videos sums them). Cursors name the work that is left, so that a task resumed from
any page makes the calls that an unbroken one would have made. ``search`` is never used: it costs a hundred times more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import (
    ConnectorError,
    DropReason,
    FetchKind,
    NotSupported,
    Page,
    Response,
    SubjectRef,
    SubjectType,
    Task,
    TryLater,
)
from connectors.youtube_channel import READS, Channel, Home
from connectors.youtube_faults import Refusal, examine, require
from connectors.youtube_metrics import CHANNEL_DAYS, VIDEO_DAYS, asked_of
from connectors.youtube_values import instant, is_video_id, items, mapping, pacific_date

SETTLE = timedelta(days=7)
"""How long the days of a report are restated."""
_RECENT = timedelta(days=90)
_DAYS = timedelta(days=28)  # four times as long as days are restated: what an outage missed is read later
_BATCH = 50
KINDS = (
    FetchKind(name="videos", every=timedelta(hours=1), look_back=_RECENT, subjects=True, batch=_BATCH),
    FetchKind(name="catalogue", every=timedelta(hours=24)),
    FetchKind(name="channel", every=timedelta(hours=6)),
    FetchKind(name="channel_days", every=timedelta(hours=12), look_back=_DAYS),
    FetchKind(name="video_days", every=timedelta(hours=12), look_back=_RECENT),
)

_ROWS = 200
_MOST_PAGES = 500  # a list of uploads ends at about 20,000
_LONGEST_TOKEN = 512
_VIDEO_FIELDS = "kind,items(id,snippet(publishedAt,channelId,title,description,liveBroadcastContent),statistics)"


# ------------------------------------------------------------------------------------------------ uploads


class _Walk(msgspec.Struct):
    """Where a walk over the uploads is: what is still due of the pages read, and how the list goes on."""

    home: Home
    due: list[str]
    token: str = ""
    ended: bool = False
    restartable: bool = True
    seen: set[str] = msgspec.field(default_factory=set)

    def cursor(self) -> dict[str, str]:
        """Return what a task needs to go on from here."""
        left = {"channel": self.home.channel, "uploads": self.home.uploads, "due": ",".join(self.due)}
        return {**left, "token": self.token, "ended": "1" if self.ended else ""}


_Called = tuple[Response, dict[str, str]]
"""An answer and what the request of its page says."""


async def _over_uploads(
    channel: Channel, task: Task, size: int, call: Callable[[Home, list[str]], Awaitable[_Called]]
) -> AsyncIterator[Page]:
    """Yield what ``call`` answers for every ``size`` uploads of the window of interest, newest first.

    The next page of the list is read before the last videos of this one: only then is it known which are the last.
    """
    walk = await _begin(channel, task.cursor)
    while walk.due or not walk.ended:
        while len(walk.due) <= size and not walk.ended:
            await _read_on(channel, walk, task.start)
        batch, walk.due = walk.due[:size], walk.due[size:]
        if batch:
            response, request = await call(walk.home, batch)
            last = walk.ended and not walk.due
            yield channel.page(response, walk.cursor(), last=last, kind=task.kind, **request)
            walk.restartable = False


async def _begin(channel: Channel, cursor: Mapping[str, str]) -> _Walk:
    if "uploads" not in cursor or "channel" not in cursor:
        return _Walk(await channel.home(), [])
    home = Home(channel=cursor["channel"], uploads=cursor["uploads"])
    due = [video for video in cursor.get("due", "").split(",") if is_video_id(video)]
    return _Walk(home, due, cursor.get("token", ""), "ended" in cursor)


async def _read_on(channel: Channel, walk: _Walk, start: datetime | None) -> None:
    """Read one more page of the list of uploads into the walk."""
    more = {"pageToken": walk.token} if walk.token else {}
    query = {"part": "contentDetails", "playlistId": walk.home.uploads, "maxResults": str(_BATCH), **more}
    response = await channel.data("playlistItems", **query)
    body, fault = examine(response, READS)
    if fault is not None and fault.refusal is Refusal.STALE_PAGE and walk.token:
        _start_anew(walk)
        return
    # A channel that never had an upload has a list that does not exist.
    if fault is not None and fault.refusal is not Refusal.GONE:
        require(response, READS)
    listed = [_listed(item, response.received_at) for item in items(body.get("items"))]
    walk.due += [video for video, at in listed if video and not _is_before(at, start) and video not in walk.due]
    past = bool(listed) and all(_is_before(at, start) for _, at in listed)
    walk.token = "" if past else _next_token(body, walk)
    walk.ended = not walk.token


def _start_anew(walk: _Walk) -> None:
    """Begin the list again after a page token that ran out, once and only where no page was handed on before."""
    if not walk.restartable:
        raise TryLater("a page of the list of uploads ran out", 1.0)
    walk.due, walk.token, walk.restartable = [], "", False
    walk.seen.clear()


def _listed(item: Any, received_at: datetime) -> tuple[str, datetime | None]:
    """Return the id of a listed video and when it was published; "" for what is none, None for what is not out yet."""
    details = mapping(mapping(item).get("contentDetails"))
    video, at = details.get("videoId"), instant(details.get("videoPublishedAt"), received_at)
    known = video if isinstance(video, str) and is_video_id(video) else ""
    return known, None if isinstance(at, DropReason) else at


def _is_before(at: datetime | None, start: datetime | None) -> bool:
    return at is not None and start is not None and at < start


def _next_token(body: Mapping[str, Any], walk: _Walk) -> str:
    """Return the token of the next page, "" on the last. Raises for a list that comes back or does not end."""
    token = body.get("nextPageToken")
    if token is None:
        return ""
    if not isinstance(token, str) or not 0 < len(token) <= _LONGEST_TOKEN:
        raise ConnectorError("a listing goes on without saying where")
    walk.seen.add(walk.token)
    if token in walk.seen:
        raise ConnectorError("a listing comes back to a page it has shown")
    if len(walk.seen) > _MOST_PAGES:
        raise ConnectorError(f"a listing does not end after {_MOST_PAGES} pages")
    return token


# ------------------------------------------------------------------------------------------------ videos


async def _videos(channel: Channel, task: Task) -> AsyncIterator[Page]:
    """Yield the counters of the named videos, or of those uploaded in the window."""
    if task.subjects:
        async for page in _named(channel, task):
            yield page
        return

    async def call(_home: Home, batch: list[str]) -> _Called:
        return await _counters(channel, batch)

    async for page in _over_uploads(channel, task, _BATCH, call):
        yield page


async def _named(channel: Channel, task: Task) -> AsyncIterator[Page]:
    """Yield the named videos, fifty at a time. The cursor is the last one done."""
    ids = list(dict.fromkeys(ref.external_id for ref in task.subjects if _is_video(ref)))
    done = task.cursor.get("done", "")
    first = ids.index(done) + 1 if done in ids else 0
    for start in range(first, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        response, request = await _counters(channel, batch)
        last = start + _BATCH >= len(ids)
        yield channel.page(response, {"done": batch[-1]}, last=last, kind=task.kind, **request)


def _is_video(ref: SubjectRef) -> bool:
    # Ids of other makers (a row of an imported file) mean nothing to YouTube, and "not there" would remove them.
    return ref.type is not SubjectType.PROFILE and is_video_id(ref.external_id)


async def _counters(channel: Channel, batch: list[str]) -> _Called:
    ids = ",".join(batch)
    response = await channel.data("videos", part="snippet,statistics", id=ids, maxResults="50", fields=_VIDEO_FIELDS)
    require(response, READS)
    return response, {"page": "videos", "ids": ids}


# ------------------------------------------------------------------------------------------------ the channel


async def _channel(channel: Channel, task: Task) -> AsyncIterator[Page]:
    response = await channel.itself("snippet,statistics")
    require(response, READS)
    yield channel.page(response, {}, last=True, kind=task.kind, page="channel", channel=channel.id)


async def _channel_days(channel: Channel, task: Task, now: datetime) -> AsyncIterator[Page]:
    window = _days_of(task, now)
    if not channel.options.reports or not window:
        return
    owner = channel.id or task.cursor.get("channel") or (await channel.home()).channel
    first = int(task.cursor["row"]) if task.cursor.get("row", "").isdecimal() else 1
    for index in range(first, _ROWS * _MOST_PAGES, _ROWS):
        query = {**window, "ids": f"channel=={owner}", "maxResults": str(_ROWS), "startIndex": str(index)}
        answer = await channel.report(asked_of(CHANNEL_DAYS), **query)
        last = len(items(answer.body.get("rows"))) < _ROWS
        after = {"channel": owner, "row": str(index + _ROWS)}
        said = {"page": "channel_days", "channel": owner, "row": str(index), "refused": ",".join(answer.refused)}
        yield channel.page(answer.response, after, last=last, kind=task.kind, **window, **said)
        if last:
            return


async def _video_days(channel: Channel, task: Task, now: datetime) -> AsyncIterator[Page]:
    window = _days_of(task, now)
    if not channel.options.reports or not window:
        return

    async def call(home: Home, batch: list[str]) -> _Called:
        query = {**window, "ids": f"channel=={home.channel}", "filters": f"video=={batch[0]}"}
        answer = await channel.report(asked_of(VIDEO_DAYS), maxResults=str(_ROWS), **query)
        said = {"page": "video_days", "video": batch[0], "refused": ",".join(answer.refused)}
        return answer.response, {**window, **said}

    async for page in _over_uploads(channel, task, 1, call):
        yield page


def _days_of(task: Task, now: datetime) -> dict[str, str]:
    """Return the complete Pacific days of the window, four weeks at most; nothing where there is none."""
    end = min(task.end or now, now)
    first = pacific_date(max(task.start or end - _DAYS, end - _DAYS))
    last = pacific_date(end) - timedelta(days=1)
    return {"startDate": first.isoformat(), "endDate": last.isoformat()} if first <= last else {}


def pages_of(channel: Channel, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    match task.kind:
        case "videos" | "catalogue":
            return _videos(channel, task)
        case "channel":
            return _channel(channel, task)
        case "channel_days":
            return _channel_days(channel, task, now)
        case "video_days":
            return _video_days(channel, task, now)
    raise NotSupported(f"YouTube has no task of the kind {task.kind!r}")
