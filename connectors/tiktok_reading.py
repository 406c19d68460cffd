"""Reads the pages that a fetch of TikTok landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, the account and the videos asked for), never in its body. Pushed events
are read in ``connectors.tiktok_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from connectors import tiktok_metrics as metrics
from connectors import tiktok_values as values
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
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.tiktok_faults import Refusal, fault_of

_LONGEST_CAPTION = 4000
_LONGEST_TITLE = 200
_TYPES = {"PHOTO": (SubjectType.POST, "image"), "VIDEO": (SubjectType.VIDEO, "video")}


class _Series(msgspec.Struct, frozen=True):
    """What numbers of one answer must share to travel in one observation."""

    kind: Kind
    scope: str
    check: bool
    goal: str


Readings = Iterable[tuple[str, Any]]


def book(
    readings: Readings, rules: metrics.Rules, subject: SubjectRef, row: int | None = None, **common: Any
) -> Iterator[Item]:
    """Yield the observations of named numbers about one subject, then the drops; one that says nothing is a drop.

    Where several numbers make one and a part of it is unreadable, the whole stays unknown.
    """
    series: dict[_Series, dict[str, int]] = {}
    broken: set[tuple[_Series, str]] = set()
    drops: list[Drop] = []
    for name, value in readings:
        rule = rules.get(name)
        number = values.number(value, rule.factor if rule else 1)
        if rule is None:
            drops.append(Drop(reason=DropReason.UNKNOWN_METRIC, row=row, detail=values.shown(name)))
            continue
        at = _Series(rule.kind, rule.scope, rule.check, rule.goal)
        if not rule.keys:
            drops.append(Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name))
        elif isinstance(number, DropReason):
            drops.append(Drop(reason=number, row=row, detail=name))
            broken.update((at, key) for key in rule.keys)
        elif number is not None:
            found = series.setdefault(at, {})
            found.update({key: found.get(key, 0) + number for key in rule.keys})
    booked = {at: _whole(at, found, broken) for at, found in series.items()}
    if not any(booked.values()):
        drops.append(Drop(reason=DropReason.NO_NUMBERS, row=row))
    for at, found in booked.items():
        if found:
            yield Observation(
                subject=subject,
                kind=at.kind,
                scope=at.scope,
                check=at.check,
                goal=at.goal,
                metrics=found,
                **common,
            )
    yield from drops


def _whole(at: _Series, found: Mapping[str, int], broken: set[tuple[_Series, str]]) -> dict[str, int]:
    return {key: number for key, number in found.items() if (at, key) not in broken and number <= INT64_MAX}


def _told(fields: Mapping[str, Any], rules: metrics.Rules) -> Iterator[tuple[str, Any]]:
    """Yield the numbers of an object that become something; it may come with others, declared as left out."""
    return ((name, fields.get(name)) for name, rule in rules.items() if rule.keys)


# ------------------------------------------------------------------------------------------------ videos


def _read_videos(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    """Read videos with their totals. One that was asked for by its id and is not there was taken down."""
    found = data.get("videos")
    if not isinstance(found, list):
        raise BadPayload("the page has no list named videos")
    shown = set()
    for row, item in enumerate(found, start=1):
        fields = values.mapping(item)
        video = values.post_id(fields.get("item_id")) if isinstance(item, dict) else DropReason.MALFORMED
        if isinstance(video, DropReason):
            yield Drop(reason=video, row=row, detail="item_id")
            continue
        shown.add(video)
        yield from _read_video(video, fields, delivery, row)
    # Only a whole list tells by what it leaves out: an entry without a readable id may be any of the missing ones.
    if data.get("has_more") is False and len(shown) == len(found):
        yield from _removed(delivery, shown)


def _read_video(video: str, fields: Mapping[str, Any], delivery: Delivery, row: int) -> Iterator[Item]:
    kind, content = _TYPES.get(values.text(fields.get("media_type"), 32) or "VIDEO", (SubjectType.VIDEO, None))
    subject = SubjectRef(video, kind)
    published = values.seconds(fields.get("create_time"), delivery.received_at)
    caption = values.text(fields.get("caption"), _LONGEST_CAPTION)
    yield SubjectSeen(
        subject=subject,
        published_at=None if isinstance(published, DropReason) else published,
        title=_title(fields.get("caption")),
        url=values.address(fields.get("share_url")),
        content_type=content if "media_type" in fields else None,
        hashtags=None if caption is None else values.hashtags(caption),
        creator=_account_of(delivery),
    )
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="create_time")
    yield from book(_told(fields, metrics.VIDEO), metrics.VIDEO, subject, row)


def _title(caption: Any) -> str | None:
    lines = caption.strip().splitlines() if isinstance(caption, str) else []
    return values.text(lines[0], _LONGEST_TITLE) if lines else None


def _removed(delivery: Delivery, shown: set[str]) -> Iterator[Item]:
    for video in filter(None, delivery.request.get("ids", "").split(",")):
        if video not in shown and values.post_id(video) == video:
            yield SubjectSeen(subject=SubjectRef(video, SubjectType.VIDEO), removed_at=delivery.received_at)


# ------------------------------------------------------------------------------------------------ the account


def _read_profile(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    """Read what the account is now; the days that come with it unasked are read where they are asked for."""
    account = _account_of(delivery)
    handle = values.text(data.get("username"), _LONGEST_TITLE)
    name = values.text(data.get("display_name"), _LONGEST_TITLE)
    yield CreatorSeen(external_id=account, handle=handle, name=name)
    subject = SubjectRef(account, SubjectType.PROFILE)
    yield SubjectSeen(subject=subject, title=name or handle, creator=account)
    yield from book(_told(data, metrics.PROFILE), metrics.PROFILE, subject)


def _read_days(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    subject = SubjectRef(_account_of(delivery), SubjectType.PROFILE)
    days = values.items(data.get("metrics"))
    if not days:
        yield Drop(reason=DropReason.NO_NUMBERS)
    seen = set()
    for row, entry in enumerate(days, start=1):
        fields = values.mapping(entry)
        window = values.utc_day(fields.get("date"), delivery.received_at)
        if isinstance(window, DropReason) or window in seen:
            reason = window if isinstance(window, DropReason) else DropReason.DUPLICATE_FIELD
            yield Drop(reason=reason, row=row, detail="date")
            continue
        seen.add(window)
        named = ((name, value) for name, value in fields.items() if name != "date")
        yield from book(named, metrics.DAYS, subject, row, window=window)


def _account_of(delivery: Delivery) -> str:
    account = values.account_id(delivery.request.get("account"))
    if isinstance(account, DropReason):
        raise BadPayload("the request of the page does not say its account")
    return account


_READERS: Mapping[str, Callable[[Delivery, Mapping[str, Any]], Iterator[Item]]] = {
    "videos": _read_videos,
    "profile": _read_profile,
    "account_days": _read_days,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = _READERS.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    body = values.document(delivery.body)
    fault = fault_of(body)
    if fault is None:
        yield from reader(delivery, values.mapping(body.get("data")))
    elif fault.refusal is Refusal.GONE and delivery.request.get("refusal") == Refusal.GONE:
        # One video was asked for, by its id, and it is not there.
        yield from _removed(delivery, set())
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=f"{fault.refusal.value} ({fault.label})")
    else:
        raise BadPayload("the page is an error")
    for name in filter(None, delivery.request.get("refused", "").split(",")):
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=name)
