"""Reads the pages that a fetch of YouTube landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and the videos or the channel asked for), never in its body. Pushed
feeds are read in ``connectors.youtube_pushes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from connectors import pages, rules, values, youtube_values
from connectors import youtube_metrics as metrics
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.pages import Entry, Reader
from connectors.rules import Rules
from connectors.youtube_faults import fault_of

_LONGEST_TITLE = 200
_LONGEST_DESCRIPTION = 5000
_LIVE = frozenset({"live", "upcoming"})
_LIST = "youtube#videoListResponse"
_WATCH = "https://www.youtube.com/watch?v="


book = partial(rules.book, number=values.written_count)


# ------------------------------------------------------------------------------------------------ videos


def _read_videos(delivery: Delivery) -> Iterator[Item]:
    """Read videos with their counters. One that was asked for and is not in a whole list is deleted or private."""
    wanted = filter(youtube_values.is_video_id, pages.asked(delivery, "ids").split(","))
    body = values.document(delivery.body)
    found = values.items(body.get("items"))
    entries = [pages.entry_of(item, row, youtube_values.identifier) for row, item in enumerate(found, start=1)]
    for entry in entries:
        if isinstance(entry, Drop):
            yield entry
        else:
            yield from _read_video(entry, delivery)
    shown = {entry.id for entry in entries if isinstance(entry, Entry)}
    if body.get("kind") == _LIST and len(shown) == len(found):
        yield from pages.removed(delivery, wanted, shown)


def _read_video(video: Entry, delivery: Delivery) -> Iterator[Item]:
    subject = SubjectRef(video.id, SubjectType.VIDEO)
    snippet = values.mapping(video.fields.get("snippet"))
    published = youtube_values.instant(snippet.get("publishedAt"), delivery.received_at)
    texts = [values.text(snippet.get(name), _LONGEST_DESCRIPTION) for name in ("title", "description")]
    said = [one for one in texts if one is not None]
    yield SubjectSeen(
        subject=subject,
        published_at=values.known(published),
        title=values.text(snippet.get("title"), _LONGEST_TITLE),
        url=f"{_WATCH}{video.id}",
        # Shorts are not told from other videos by this API.
        content_type="live" if values.text(snippet.get("liveBroadcastContent")) in _LIVE else "video",
        hashtags=youtube_values.TAGS.within(*said) if said else None,
        creator=values.known(youtube_values.identifier(snippet.get("channelId"))),
    )
    yield from pages.unread(published, video.row, "publishedAt")
    counters = rules.told(values.mapping(video.fields.get("statistics")), metrics.VIDEO)
    yield from book(counters, metrics.VIDEO, subject, video.row)


# ------------------------------------------------------------------------------------------------ the channel


def _read_channel(delivery: Delivery) -> Iterator[Item]:
    found = values.items(values.document(delivery.body).get("items"))
    fields = values.first(found)
    channel = youtube_values.identifier(fields.get("id")) if found else DropReason.NOT_AVAILABLE
    if isinstance(channel, DropReason):
        yield Drop(reason=channel, detail="channel")
        return
    snippet, statistics = values.mapping(fields.get("snippet")), values.mapping(fields.get("statistics"))
    title, handle = (values.text(snippet.get(name), _LONGEST_TITLE) for name in ("title", "customUrl"))
    yield CreatorSeen(external_id=channel, handle=handle, name=title)
    subject = SubjectRef(channel, SubjectType.PROFILE)
    yield SubjectSeen(subject=subject, title=title, creator=channel)
    counters = dict(rules.told(statistics, metrics.CHANNEL))
    if statistics.get("hiddenSubscriberCount") is True:
        del counters[metrics.SUBSCRIBERS]
    yield from book(counters.items(), metrics.channel_of(counters), subject)


# ------------------------------------------------------------------------------------------------ reports


def _read_video_days(delivery: Delivery) -> Iterator[Item]:
    subject = SubjectRef(pages.asked(delivery, "video"), SubjectType.VIDEO)
    yield from _read_days(delivery, metrics.VIDEO_DAYS, subject)


def _read_channel_days(delivery: Delivery) -> Iterator[Item]:
    subject = SubjectRef(pages.asked(delivery, "channel"), SubjectType.PROFILE)
    yield from _read_days(delivery, metrics.CHANNEL_DAYS, subject)


def _read_days(delivery: Delivery, found: Rules, subject: SubjectRef) -> Iterator[Item]:
    """Read a table of days: columns by their names, rows left out where there is nothing to say."""
    body = values.document(delivery.body)
    columns = [values.text(values.mapping(one).get("name"), 64) for one in values.items(body.get("columnHeaders"))]
    rows = values.items(body.get("rows"))
    if not rows:
        yield Drop(reason=DropReason.NO_NUMBERS)
    elif columns.count("day") != 1 or len(set(columns)) != len(columns):
        raise BadPayload("the table does not say which column is which")
    days = pages.Days("day")
    for row, cells in enumerate(rows, start=1):
        if not isinstance(cells, list) or len(cells) != len(columns):
            yield Drop(reason=DropReason.MALFORMED, row=row, detail="row")
            continue
        told = dict(zip(columns, cells, strict=True))
        window = days.place(youtube_values.pacific_day(told.pop("day"), delivery.received_at), row)
        if isinstance(window, Drop):
            yield window
        else:
            yield from book(((name or "", value) for name, value in told.items()), found, subject, row, window=window)


_READERS: Mapping[str, Reader] = {
    "videos": _read_videos,
    "channel": _read_channel,
    "video_days": _read_video_days,
    "channel_days": _read_channel_days,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = pages.reader_of(delivery, _READERS)
    if fault_of(values.document(delivery.body)) is not None:
        raise BadPayload("the page is an error")
    yield from reader(delivery)
    yield from pages.refused(delivery)
