"""Reads the pages that a fetch of YouTube landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and the videos or the channel asked for), never in its body. Pushed
feeds are read in ``connectors.youtube_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from connectors import youtube_metrics as metrics
from connectors import youtube_values as values
from connectors.contract import (
    INT64_MAX,
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    Quality,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.youtube_faults import fault_of

_LONGEST_TITLE = 200
_LONGEST_DESCRIPTION = 5000
_LIVE = frozenset({"live", "upcoming"})
_EXACT_BELOW = 1000  # from here on the number of subscribers is rounded to three digits
_LIST = "youtube#videoListResponse"
_WATCH = "https://www.youtube.com/watch?v="


class _Series(msgspec.Struct, frozen=True):
    """What numbers of one answer must share to travel in one observation."""

    kind: Kind
    scope: str
    check: bool
    quality: tuple[Quality, ...]


Readings = Iterable[tuple[str, Any]]


def book(
    readings: Readings, rules: metrics.Rules, subject: SubjectRef, row: int | None = None, **common: Any
) -> Iterator[Item]:
    """Yield the observations of named numbers about one subject, then the drops; one that says nothing is a drop."""
    series: dict[_Series, dict[str, int]] = {}
    drops: list[Drop] = []
    for name, value in readings:
        rule = rules.get(name)
        number = _scaled(values.count(value), rule.factor if rule else 1)
        if rule is None:
            drops.append(Drop(reason=DropReason.UNKNOWN_METRIC, row=row, detail=values.shown(name)))
        elif rule.key is None:
            drops.append(Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name))
        elif isinstance(number, DropReason):
            drops.append(Drop(reason=number, row=row, detail=name))
        elif number is not None:
            quality = rule.quality or _rounded(name, number)
            series.setdefault(_Series(rule.kind, rule.scope, rule.check, quality), {})[rule.key] = number
    if not series:
        drops.append(Drop(reason=DropReason.NO_NUMBERS, row=row))
    for at, found in series.items():
        yield Observation(
            subject=subject,
            kind=at.kind,
            scope=at.scope,
            check=at.check,
            quality=at.quality,
            metrics=found,
            **common,
        )
    yield from drops


def _scaled(number: int | DropReason | None, factor: int) -> int | DropReason | None:
    if number is None or isinstance(number, DropReason):
        return number
    return number * factor if number * factor <= INT64_MAX else DropReason.OUT_OF_RANGE


def _rounded(name: str, number: int) -> tuple[Quality, ...]:
    return (Quality.ESTIMATED,) if name == "subscriberCount" and number >= _EXACT_BELOW else ()


def _told(fields: Mapping[str, Any], rules: metrics.Rules) -> Iterator[tuple[str, Any]]:
    """Yield the numbers of an object that become something; it comes with others, which are declared as left out."""
    return ((name, fields.get(name)) for name in metrics.asked_of(rules))


# ------------------------------------------------------------------------------------------------ videos


def _read_videos(delivery: Delivery) -> Iterator[Item]:
    """Read videos with their counters. One that was asked for and is not there is deleted or private."""
    asked = [video for video in _asked(delivery, "ids").split(",") if values.is_video_id(video)]
    body = values.document(delivery.body)
    found = values.items(body.get("items"))
    shown = set()
    for row, item in enumerate(found, start=1):
        fields = values.mapping(item)
        video = values.identifier(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
        if isinstance(video, DropReason):
            yield Drop(reason=video, row=row, detail="id")
            continue
        shown.add(video)
        yield from _read_video(video, fields, delivery, row)
    # Only a whole list tells by what it leaves out: an entry without a readable id may be any of the missing ones.
    if body.get("kind") == _LIST and len(shown) == len(found):
        for video in asked:
            if video not in shown:
                yield SubjectSeen(subject=SubjectRef(video, SubjectType.VIDEO), removed_at=delivery.received_at)


def _read_video(video: str, fields: Mapping[str, Any], delivery: Delivery, row: int) -> Iterator[Item]:
    subject = SubjectRef(video, SubjectType.VIDEO)
    snippet = values.mapping(fields.get("snippet"))
    published = values.instant(snippet.get("publishedAt"), delivery.received_at)
    creator = values.identifier(snippet.get("channelId"))
    texts = [values.text(snippet.get(name), _LONGEST_DESCRIPTION) for name in ("title", "description")]
    said = [one for one in texts if one is not None]
    yield SubjectSeen(
        subject=subject,
        published_at=None if isinstance(published, DropReason) else published,
        title=values.text(snippet.get("title"), _LONGEST_TITLE),
        url=f"{_WATCH}{video}",
        # Shorts are not told from other videos by this API.
        content_type="live" if values.text(snippet.get("liveBroadcastContent")) in _LIVE else "video",
        hashtags=values.hashtags(*said) if said else None,
        creator=None if isinstance(creator, DropReason) else creator,
    )
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="publishedAt")
    yield from book(_told(values.mapping(fields.get("statistics")), metrics.VIDEO), metrics.VIDEO, subject, row)


# ------------------------------------------------------------------------------------------------ the channel


def _read_channel(delivery: Delivery) -> Iterator[Item]:
    found = values.items(values.document(delivery.body).get("items"))
    fields = values.mapping(next(iter(found), None))
    channel = values.identifier(fields.get("id")) if found else DropReason.NOT_AVAILABLE
    if isinstance(channel, DropReason):
        yield Drop(reason=channel, detail="channel")
        return
    snippet, statistics = values.mapping(fields.get("snippet")), values.mapping(fields.get("statistics"))
    title = values.text(snippet.get("title"), _LONGEST_TITLE)
    handle = values.text(snippet.get("customUrl"), _LONGEST_TITLE)
    yield CreatorSeen(external_id=channel, handle=handle, name=title)
    subject = SubjectRef(channel, SubjectType.PROFILE)
    yield SubjectSeen(subject=subject, title=title, creator=channel)
    hidden = statistics.get("hiddenSubscriberCount") is True
    readings = ((name, value) for name, value in _told(statistics, metrics.CHANNEL))
    yield from book((one for one in readings if one[0] != "subscriberCount" or not hidden), metrics.CHANNEL, subject)


# ------------------------------------------------------------------------------------------------ reports


def _read_video_days(delivery: Delivery) -> Iterator[Item]:
    yield from _read_days(delivery, metrics.VIDEO_DAYS, SubjectRef(_asked(delivery, "video"), SubjectType.VIDEO))


def _read_channel_days(delivery: Delivery) -> Iterator[Item]:
    yield from _read_days(delivery, metrics.CHANNEL_DAYS, SubjectRef(_asked(delivery, "channel"), SubjectType.PROFILE))


def _read_days(delivery: Delivery, rules: metrics.Rules, subject: SubjectRef) -> Iterator[Item]:
    """Read a table of days: columns by their names, rows left out where there is nothing to say."""
    body = values.document(delivery.body)
    columns = [values.text(values.mapping(one).get("name"), 64) for one in values.items(body.get("columnHeaders"))]
    rows = values.items(body.get("rows"))
    if not rows:
        yield Drop(reason=DropReason.NO_NUMBERS)
    elif columns.count("day") != 1 or len(set(columns)) != len(columns):
        raise BadPayload("the table does not say which column is which")
    seen = set()
    for row, cells in enumerate(rows, start=1):
        if not isinstance(cells, list) or len(cells) != len(columns):
            yield Drop(reason=DropReason.MALFORMED, row=row, detail="row")
            continue
        told = dict(zip(columns, cells, strict=True))
        window = values.pacific_day(told.pop("day"), delivery.received_at)
        if isinstance(window, DropReason) or window in seen:
            reason = window if isinstance(window, DropReason) else DropReason.DUPLICATE_FIELD
            yield Drop(reason=reason, row=row, detail="day")
            continue
        seen.add(window)
        yield from book(((name or "", value) for name, value in told.items()), rules, subject, row, window=window)


def _asked(delivery: Delivery, name: str) -> str:
    value = delivery.request.get(name)
    if not value:
        raise BadPayload(f"the request of the page does not say its {name}")
    return value


_READERS: Mapping[str, Callable[[Delivery], Iterator[Item]]] = {
    "videos": _read_videos,
    "channel": _read_channel,
    "video_days": _read_video_days,
    "channel_days": _read_channel_days,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = _READERS.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    if fault_of(values.document(delivery.body)) is not None:
        raise BadPayload("the page is an error")
    yield from reader(delivery)
    for name in filter(None, delivery.request.get("refused", "").split(",")):
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=name)
