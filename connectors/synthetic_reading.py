"""What the pages of the simulated platform say: rows of JSON, each read on its own.

Days made for measuring come in thousands, so a page of them that has nothing odd in it is read in one typed decode.
It knows pages, not how they are fetched: that is ``connectors.synthetic``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec

from connectors.contract import (
    ADDITIVE,
    INT64_MAX,
    MONEY,
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    Observations,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Window,
)
from connectors.items_fields import Fields, Frame
from connectors.items_values import AHEAD, Refused, amount, decode_object, instant, shown, whole, zone_info

COUNTERS = ("impressions", "views", "likes", "comments", "shares", "saves", "clicks_link")
DAY_MONEY = ("spend_media", "fee_creator")
MEASURED = tuple(key for key in ADDITIVE if key not in MONEY)
"""What days made for measuring may hold: they name no currency."""
_MEASURED_KEYS = frozenset(MEASURED)
_MeasuredKey = Literal[MEASURED]  # type: ignore[valid-type]


class _List(msgspec.Struct, frozen=True):
    at: str
    zone: str
    data: list[msgspec.Raw]


class _MeasuredDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    day: date
    m: Annotated[dict[_MeasuredKey, Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]], msgspec.Meta(min_length=1)]


class _MeasuredList(msgspec.Struct, frozen=True, gc=False):
    at: str
    zone: str
    data: list[_MeasuredDay]


_PAGE = msgspec.json.Decoder(_List)
_MEASURED_LIST = msgspec.json.Decoder(_MeasuredList)


Reader = Callable[[Fields], Iterator[Item]]


def read_page(delivery: Delivery, reader: Reader) -> Iterator[Item]:
    """Read a page row by row. What is wrong with a row is a drop, of one number where only that is wrong.

    Raises :class:`BadPayload` for a page that is no list or has no usable time or zone.
    """
    try:
        page = _PAGE.decode(delivery.body)
    except (ValueError, RecursionError) as error:
        raise BadPayload("the page is no list of the simulated platform") from error
    frame = _frame(page.at, page.zone, delivery.received_at)
    for row, raw in enumerate(page.data, start=1):
        found = decode_object(raw)
        if found is None:
            yield Drop(reason=DropReason.MALFORMED, row=row, detail="a row is an object")
            continue
        fields = Fields(found.get, frame, row)
        try:
            yield from reader(fields)
        except Refused as refused:
            fields.drop(refused.reason, refused.detail)
        yield from fields.drops


def _frame(at: str, zone: str, received_at: datetime) -> Frame:
    """Return what the rows of a page lean on. A page without a usable time or zone has no usable row."""
    if zone_info(zone) is None:
        raise BadPayload("the page names no known time zone")
    latest = received_at + AHEAD
    try:
        return Frame(latest=latest, timestamp=instant(at, "at", latest), zone=zone)
    except Refused as refused:
        raise BadPayload(f"the time of the page is refused: {refused.reason.value}") from refused


def _posts(fields: Fields) -> Iterator[Item]:
    yield SubjectSeen(
        subject=SubjectRef(fields.id("id")),
        observed_at=fields.observed_at(),
        published_at=fields.soft(fields.optional_instant, "published_at"),
        title=fields.soft(fields.text, "title"),
        url=fields.soft(fields.url, "url"),
        content_type=fields.soft(fields.label, "content_type"),
        hashtags=fields.soft(fields.hashtags, "hashtags"),
        creator=fields.soft(fields.optional_id, "creator"),
        followers_at_publish=fields.soft(fields.optional_count, "followers"),
        platform_campaign=fields.soft(fields.label, "campaign"),
        utm_campaign=fields.soft(fields.label, "utm_campaign"),
        promo_code=fields.soft(fields.label, "promo_code"),
        paid=fields.soft(fields.flag, "boosted"),
    )


def _profiles(fields: Fields) -> Iterator[Item]:
    profile, at = fields.id("id"), fields.observed_at()
    handle, name = (fields.soft(fields.label, key) for key in ("handle", "name"))
    yield CreatorSeen(external_id=profile, observed_at=at, handle=handle, name=name)
    subject = SubjectRef(profile, SubjectType.PROFILE)
    metrics = _require(_numbers(fields, fields.get, ("followers",), whole))
    yield Observation(subject=subject, kind=Kind.LEVEL, metrics=metrics, observed_at=at)


def _metrics(fields: Fields) -> Iterator[Item]:
    subject, at = SubjectRef(fields.id("id")), fields.observed_at()
    counters = _numbers(fields, fields.get, COUNTERS, whole)
    reach = _numbers(fields, fields.get, ("reach",), whole)
    if counters:
        yield Observation(subject=subject, kind=Kind.LIFETIME, metrics=counters, observed_at=at)
    if reach:
        yield Observation(subject=subject, kind=Kind.UNIQUE, metrics=reach, observed_at=at)
    _require(counters or reach)


def _daily(fields: Fields) -> Iterator[Item]:
    yield Observation(
        subject=SubjectRef(fields.id("id")),
        kind=Kind.PERIOD,
        metrics=_require(_numbers(fields, fields.get, DAY_MONEY, amount)),
        observed_at=fields.observed_at(),
        window=fields.window(required=True),
        currency=fields.currency(),
    )


def _numbers(
    fields: Fields, get: Callable[[str], Any], keys: Iterable[str], reader: Callable[[object, str], int]
) -> dict[str, int]:
    """Return the numbers that are reported and readable; one that is not readable is a drop."""
    numbers: dict[str, int] = {}
    for key in keys:
        value = get(key)
        if value is None:
            continue
        try:
            numbers[key] = reader(value, key)
        except Refused as refused:
            fields.drop(refused.reason, refused.detail)
    return numbers


def _require(numbers: dict[str, int]) -> dict[str, int]:
    if not numbers:
        raise Refused(DropReason.NO_NUMBERS, "no number is left")
    return numbers


# ------------------------------------------------------------------------------------------------ measuring


def _load(fields: Fields) -> Iterator[Item]:
    subject, given = SubjectRef(fields.id("id")), fields.get("m")
    if not isinstance(given, dict):
        raise Refused(DropReason.MALFORMED, "m")
    for name in sorted(given.keys() - _MEASURED_KEYS):
        fields.drop(DropReason.UNKNOWN_METRIC, shown(name))
    window, at = fields.window(required=True), fields.observed_at()
    metrics = _require(_numbers(fields, given.get, [name for name in given if name in _MEASURED_KEYS], whole))
    yield Observation(subject=subject, kind=Kind.PERIOD, metrics=metrics, observed_at=at, window=window)


def measured(delivery: Delivery) -> list[Item] | None:
    """Read a page of days in one typed decode; None for a page with anything odd in it, which is read row by row.

    Both ways say the same, this one day by day. A text without escapes holds no control character but DEL, so ids need
    no look.
    """
    body = delivery.body
    if b"\\" in body or b"\x7f" in body:
        return None
    try:
        page = _MEASURED_LIST.decode(body)
    except (ValueError, RecursionError):
        return None
    frame = _frame(page.at, page.zone, delivery.received_at)
    windows: dict[date, Window] = {}
    items: list[Item] = []
    for day, entries in groupby(page.data, attrgetter("day")):
        window = windows.get(day) or _window_of(day, frame)
        if window is None:
            return None
        windows[day] = window
        rows = list(entries)
        items.append(
            Observations(
                subjects=[SubjectRef(entry.id) for entry in rows],
                kind=Kind.PERIOD,
                metrics=[entry.m for entry in rows],
                observed_at=frame.timestamp,
                window=window,
            )
        )
    return items


def _window_of(day: date, frame: Frame) -> Window | None:
    try:
        return Fields({"day": day.isoformat()}.get, frame, 0).window(required=True)
    except Refused:
        return None


READERS: Mapping[str, Reader] = {
    "posts": _posts,
    "profiles": _profiles,
    "metrics": _metrics,
    "daily": _daily,
    "load": _load,
}
"""How a row is read, by the list that it is in."""
