"""Reads the pages that a fetch of Instagram landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and the media or the day that was asked for), never in its body. Pushed
bodies are read in ``connectors.instagram_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from connectors import graph_values as values
from connectors import instagram_metrics as metrics
from connectors.contract import (
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
    Window,
    day_window,
)
from connectors.graph import Fault, Refusal, fault_of

_SUBJECT_TYPES = {"REELS": SubjectType.REEL, "STORY": SubjectType.STORY, "AD": SubjectType.AD}
_CONTENT_TYPES = {"REELS": "reel", "STORY": "story", "CAROUSEL_ALBUM": "carousel", "IMAGE": "image", "VIDEO": "video"}
_LONGEST_CAPTION = 4000
_LONGEST_TITLE = 200
_DAY = timedelta(days=1)


def subject_type(product: str) -> SubjectType:
    """Return what a media of this ``media_product_type`` is: a post unless it is a reel, a story or an ad."""
    return _SUBJECT_TYPES.get(product, SubjectType.POST)


class _Series(msgspec.Struct, frozen=True):
    """What metrics of one answer must share to travel in one observation."""

    kind: Kind
    scope: str
    check: bool


Readings = Iterable[tuple[str, Any]]


def book(
    readings: Readings, rules: metrics.Rules, subject: SubjectRef, row: int | None = None, **common: Any
) -> Iterator[Item]:
    """Yield the observations of named numbers about one subject, then the drops; one that says nothing is a drop."""
    series: dict[_Series, dict[str, int]] = {}
    drops: list[Drop] = []
    for name, value in readings:
        rule = rules.get(name)
        number = values.count(value)
        if rule is None:
            drops.append(Drop(reason=DropReason.UNKNOWN_METRIC, row=row, detail=values.shown(name)))
        elif not rule.keys:
            drops.append(Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name))
        elif isinstance(number, DropReason):
            drops.append(Drop(reason=number, row=row, detail=name))
        elif number is not None:
            found = series.setdefault(_Series(rule.kind, rule.scope, rule.check), {})
            taken = [key for key in rule.keys if key in found]
            found.update({key: number for key in rule.keys if key not in found})
            drops += [Drop(reason=DropReason.DUPLICATE_FIELD, row=row, detail=name)] if taken else []
    if not series:
        drops.append(Drop(reason=DropReason.NO_NUMBERS, row=row))
    for at, found in series.items():
        yield Observation(subject=subject, kind=at.kind, scope=at.scope, check=at.check, metrics=found, **common)
    yield from drops


def _read_media(delivery: Delivery) -> Iterator[Item]:
    """Read a listing of media or of stories."""
    for row, item in enumerate(_data(delivery), start=1):
        yield from _read_item(item, delivery, row, stories=delivery.request.get("page") == "stories")


def _read_node(delivery: Delivery) -> Iterator[Item]:
    """Read one media asked for by its id."""
    yield from _read_item(values.document(delivery.body), delivery, None, stories=False)


def _read_item(item: Any, delivery: Delivery, row: int | None, *, stories: bool) -> Iterator[Item]:
    fields = values.mapping(item)
    media = values.identifier(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
    if isinstance(media, DropReason):
        yield Drop(reason=media, row=row, detail="id")
        return
    media_type = values.text(fields.get("media_type"), 64) or ""
    product = "STORY" if stories else values.text(fields.get("media_product_type"), 64) or ""
    subject = SubjectRef(media, subject_type(product))
    published = values.instant(fields.get("timestamp"), delivery.received_at)
    caption = values.text(fields.get("caption"), _LONGEST_CAPTION)
    yield SubjectSeen(
        subject=subject,
        published_at=None if isinstance(published, DropReason) else published,
        title=_title(fields.get("caption")),
        url=values.text(fields.get("permalink")),
        content_type=_CONTENT_TYPES.get(product) or _CONTENT_TYPES.get(media_type),
        hashtags=None if caption is None else values.hashtags(caption),
        creator=delivery.request.get("account"),
        paid=True if subject.type is SubjectType.AD else None,
    )
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="timestamp")
    if not stories:
        yield from book(_told(fields, metrics.NODE), metrics.NODE, subject, row)


def _told(fields: Mapping[str, Any], rules: metrics.Rules) -> Iterator[tuple[str, Any]]:
    """Yield the numbers among the fields of an object; those left out on purpose are asked for beside them."""
    return ((name, fields.get(name)) for name, rule in rules.items() if rule.keys)


def _title(caption: Any) -> str | None:
    lines = caption.strip().splitlines() if isinstance(caption, str) else []
    return values.text(lines[0], _LONGEST_TITLE) if lines else None


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    """Read the insights of one media: organic numbers, ads are not counted in them."""
    product = delivery.request.get("media_product_type", "")
    subject = SubjectRef(_asked(delivery, "media_id"), subject_type(product))
    entries = _entries(delivery)
    readings = [(name, _lifetime_value(entry)) for _, name, entry in entries if name is not None]
    yield from book(readings, metrics.INSIGHTS, subject, paid=False)
    yield from _malformed(entries)


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    account = values.identifier(fields.get("id"))
    if isinstance(account, DropReason):
        yield Drop(reason=account, detail="id")
        return
    subject = SubjectRef(account, SubjectType.PROFILE)
    handle = values.text(fields.get("username"), 200)
    yield CreatorSeen(external_id=account, handle=handle, name=values.text(fields.get("name"), 200))
    yield SubjectSeen(subject=subject, title=handle, creator=account)
    yield from book(_told(fields, metrics.PROFILE), metrics.PROFILE, subject)


def _read_series(delivery: Delivery) -> Iterator[Item]:
    """Read numbers per day: each stands in a bucket that says when it ends."""
    subject = SubjectRef(_asked(delivery, "account"), SubjectType.PROFILE)
    days: dict[date, list[tuple[str, Any]]] = {}
    entries = _entries(delivery)
    for row, name, entry in entries:
        for value in values.items(entry.get("values")) if name is not None else ():
            # The bucket of the day in progress ends after the answer.
            end = values.instant(values.mapping(value).get("end_time"), delivery.received_at + _DAY)
            day = end if isinstance(end, DropReason) else values.pacific_day(end) or DropReason.BAD_TIME
            if isinstance(day, DropReason):
                yield Drop(reason=day, row=row, detail="end_time")
            else:
                days.setdefault(day, []).append((name or "", value.get("value")))
    if not days:
        yield Drop(reason=DropReason.NO_NUMBERS)
    for day, readings in days.items():
        yield from book(readings, metrics.SERIES, subject, window=_pacific(day))
    yield from _malformed(entries)


def _read_totals(delivery: Delivery) -> Iterator[Item]:
    """Read one day's totals: the answer names no window, it is the one that was asked for."""
    entries = _entries(delivery)
    readings = [(name, _total(entry).get("value")) for _, name, entry in entries if name is not None]
    yield from book(readings, metrics.TOTALS, _profile_of(delivery), window=_asked_day(delivery))
    yield from _malformed(entries)


def _read_follows(delivery: Delivery) -> Iterator[Item]:
    """Read who came and who left on one day: the two halves of one metric, told apart by a breakdown."""
    entries = _entries(delivery)
    readings = [reading for _, name, entry in entries if name is not None for reading in _halves(name, entry)]
    yield from book(readings, metrics.FOLLOWS, _profile_of(delivery), window=_asked_day(delivery))
    yield from _malformed(entries)


def _halves(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for breakdown in values.items(_total(entry).get("breakdowns")):
        for result in map(values.mapping, values.items(values.mapping(breakdown).get("results"))):
            labels = [label for label in values.items(result.get("dimension_values")) if isinstance(label, str)]
            yield ".".join((name, *labels)), result.get("value")


def _data(delivery: Delivery) -> list[Any]:
    data = values.document(delivery.body).get("data")
    if not isinstance(data, list):
        raise BadPayload("the page has no list named data")
    return data


def _entries(delivery: Delivery) -> list[tuple[int, str | None, dict[str, Any]]]:
    """Return (row, metric name, entry) of an insights answer; the name is None where the entry is none."""
    entries = [(row, values.mapping(entry)) for row, entry in enumerate(_data(delivery), start=1)]
    return [(row, values.text(entry.get("name"), 128), entry) for row, entry in entries]


def _malformed(entries: Iterable[tuple[int, str | None, dict[str, Any]]]) -> Iterator[Drop]:
    return (Drop(reason=DropReason.MALFORMED, row=row, detail="name") for row, name, _ in entries if name is None)


def _total(entry: Mapping[str, Any]) -> dict[str, Any]:
    return values.mapping(entry.get("total_value"))


def _lifetime_value(entry: Mapping[str, Any]) -> Any:
    """Return the value of either shape; newer metrics have a total instead of or beside their values."""
    total = _total(entry)
    first = next(iter(values.items(entry.get("values"))), None)
    return total["value"] if "value" in total else values.mapping(first).get("value")


def _asked(delivery: Delivery, name: str) -> str:
    value = delivery.request.get(name)
    if not value:
        raise BadPayload(f"the request of the page does not say its {name}")
    return value


def _profile_of(delivery: Delivery) -> SubjectRef:
    return SubjectRef(_asked(delivery, "account"), SubjectType.PROFILE)


def _asked_day(delivery: Delivery) -> Window:
    try:
        return _pacific(date.fromisoformat(_asked(delivery, "day")))
    except (ValueError, OverflowError):
        problem = "the day that the page was asked for is none"
    raise BadPayload(problem)


def _pacific(day: date) -> Window:
    return day_window(day, values.PACIFIC)


def _read_refusal(delivery: Delivery, fault: Fault) -> Iterator[Item]:
    """Read a page that holds an error about one object; the fetch has made sure that the account itself is there."""
    request = delivery.request
    product = request.get("media_product_type", "")
    # A story is not taken down, it runs out.
    if fault.refusal is Refusal.GONE and "media_id" in request and product != "STORY":
        subject = SubjectRef(request["media_id"], subject_type(product))
        yield SubjectSeen(subject=subject, removed_at=delivery.received_at)
    reason = DropReason.UNKNOWN_METRIC if fault.refusal is Refusal.BAD_METRIC else DropReason.NOT_AVAILABLE
    yield Drop(reason=reason, detail=f"{fault.refusal.value} ({fault.label})")


_READERS: Mapping[str, Callable[[Delivery], Iterator[Item]]] = {
    "media": _read_media,
    "media_node": _read_node,
    "media_insights": _read_insights,
    "stories": _read_media,
    "profile": _read_profile,
    "account_series": _read_series,
    "account_totals": _read_totals,
    "account_follows": _read_follows,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = _READERS.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    fault = fault_of(values.document(delivery.body))
    yield from reader(delivery) if fault is None else _read_refusal(delivery, fault)
    for name in filter(None, delivery.request.get("refused", "").split(",")):
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=name)
