"""Fetches YouTube: which calls each kind of task makes, in which order, and what its cursor remembers.

The list of a channel's uploads names the videos; fifty of them are asked for in one call, days of a report one video
at a time (a report over several videos sums them). Cursors name the work that is left, so that a task resumed from
any page makes the calls that an unbroken one would have made. ``search`` is never used: it costs a hundred times more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import pages, values, walks
from connectors.contract import (
    FetchKind,
    Page,
    Response,
    SubjectRef,
    SubjectType,
    Task,
    TryLater,
)
from connectors.faults import Refusal
from connectors.rules import asked
from connectors.youtube_channel import READS, Channel, Home
from connectors.youtube_faults import examine, require
from connectors.youtube_metrics import CHANNEL_DAYS, VIDEO_DAYS
from connectors.youtube_values import PACIFIC, instant, is_video_id

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
    turns: walks.Turns = msgspec.field(default_factory=lambda: walks.Turns(_MOST_PAGES))
    restartable: bool = True

    def cursor(self) -> dict[str, str]:
        """Return what a task needs to go on from here."""
        left = {"channel": self.home.channel, "uploads": self.home.uploads, "due": ",".join(self.due)}
        return {**left, "token": self.token, "ended": "1" if self.ended else ""}


_Called = tuple[Response, dict[str, str]]
"""An answer and what the request of its page says."""


async def _over_uploads(
    channel: Channel, task: Task, size: int, call: Callable[[Home, Sequence[str]], Awaitable[_Called]]
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
    due = [video for video in pages.listed(cursor, "due") if is_video_id(video)]
    token = cursor.get("token", "")
    return _Walk(home, due, token, "ended" in cursor, walks.Turns(_MOST_PAGES, token))


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
    listed = [_listed(item, response.received_at) for item in values.items(body.get("items"))]
    walk.due += [video for video, at in listed if video and not _is_before(at, start) and video not in walk.due]
    past = bool(listed) and all(_is_before(at, start) for _, at in listed)
    token = body.get("nextPageToken")
    walk.token = "" if past or token is None else walk.turns.on_to(walks.place(token, _LONGEST_TOKEN))
    walk.ended = not walk.token


def _start_anew(walk: _Walk) -> None:
    """Begin the list again after a page token that ran out, once and only where no page was handed on before."""
    if not walk.restartable:
        raise TryLater("a page of the list of uploads ran out", 1.0)
    walk.due, walk.token, walk.turns, walk.restartable = [], "", walks.Turns(_MOST_PAGES), False


def _listed(item: Any, received_at: datetime) -> tuple[str, datetime | None]:
    """Return the id of a listed video and when it was published; "" for what is none, None for what is not out yet."""
    details = values.mapping(values.mapping(item).get("contentDetails"))
    video, at = details.get("videoId"), instant(details.get("videoPublishedAt"), received_at)
    known = video if isinstance(video, str) and is_video_id(video) else ""
    return known, values.known(at)


def _is_before(at: datetime | None, start: datetime | None) -> bool:
    return at is not None and start is not None and at < start


# ------------------------------------------------------------------------------------------------ videos


async def _videos(channel: Channel, task: Task, _: datetime) -> AsyncIterator[Page]:
    """Yield the counters of the named videos, or of those uploaded in the window."""
    if task.subjects:
        async for page in _named(channel, task):
            yield page
        return

    async def call(_home: Home, batch: Sequence[str]) -> _Called:
        return await _counters(channel, batch)

    async for page in _over_uploads(channel, task, _BATCH, call):
        yield page


async def _named(channel: Channel, task: Task) -> AsyncIterator[Page]:
    """Yield the named videos, fifty at a time. The cursor is the last one done."""
    for batch, last in walks.batches(walks.named(task, _is_video), task.cursor.get("done"), _BATCH):
        response, request = await _counters(channel, batch)
        yield channel.page(response, {"done": batch[-1]}, last=last, kind=task.kind, **request)


def _is_video(ref: SubjectRef) -> bool:
    return ref.type is not SubjectType.PROFILE and is_video_id(ref.external_id)


async def _counters(channel: Channel, batch: Sequence[str]) -> _Called:
    ids = ",".join(batch)
    response = await channel.data("videos", part="snippet,statistics", id=ids, maxResults="50", fields=_VIDEO_FIELDS)
    require(response, READS)
    return response, {"page": "videos", "ids": ids}


# ------------------------------------------------------------------------------------------------ the channel


async def _channel(channel: Channel, task: Task, _: datetime) -> AsyncIterator[Page]:
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
        answer = await channel.report(asked(CHANNEL_DAYS), **query)
        last = len(values.items(answer.body.get("rows"))) < _ROWS
        after = {"channel": owner, "row": str(index + _ROWS)}
        said = {"page": "channel_days", "channel": owner, "row": str(index), "refused": ",".join(answer.refused)}
        yield channel.page(answer.response, after, last=last, kind=task.kind, **window, **said)
        if last:
            return


async def _video_days(channel: Channel, task: Task, now: datetime) -> AsyncIterator[Page]:
    window = _days_of(task, now)
    if not channel.options.reports or not window:
        return

    async def call(home: Home, batch: Sequence[str]) -> _Called:
        query = {**window, "ids": f"channel=={home.channel}", "filters": f"video=={batch[0]}"}
        answer = await channel.report(asked(VIDEO_DAYS), maxResults=str(_ROWS), **query)
        said = {"page": "video_days", "video": batch[0], "refused": ",".join(answer.refused)}
        return answer.response, {**window, **said}

    async for page in _over_uploads(channel, task, 1, call):
        yield page


def _days_of(task: Task, now: datetime) -> dict[str, str]:
    """Return the complete Pacific days of the window, four weeks at most; nothing where there is none."""
    earliest = min(task.end or now, now) - _DAYS
    days = walks.complete_days(task, now, PACIFIC, _DAYS, earliest)
    return {} if days is None else {"startDate": str(days[0]), "endDate": str(days[1])}


_FETCHERS: Mapping[str, Callable[[Channel, Task, datetime], AsyncIterator[Page]]] = {
    "videos": _videos,
    "catalogue": _videos,
    "channel": _channel,
    "channel_days": _channel_days,
    "video_days": _video_days,
}


def pages_of(channel: Channel, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "YouTube", _FETCHERS)(channel, task, now)
