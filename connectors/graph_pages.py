"""Reads pages of a Graph platform: lists, insights in all their shapes, series of days, errors about one object.

What a page is stands in its request, never in its body. Everything here is pure and total: only
:class:`~connectors.contract.BadPayload` leaves it, and one bad entry is a drop and never the loss of its neighbours.
Which metrics there are is the platform's: see ``connectors.graph_rules``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from connectors import graph_values, pages, values
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Window,
)
from connectors.graph import Fault, Refusal, fault_of
from connectors.graph_rules import book
from connectors.pages import Reader
from connectors.rules import Readings, Rules, told

_LONGEST_TITLE = 200
_DAY = timedelta(days=1)

RefusalReader = Callable[[Delivery, Fault], Iterator[Item]]


class Entry(msgspec.Struct, frozen=True):
    """One metric of an insights answer; ``name`` is None where the entry is none."""

    row: int
    name: str | None
    fields: dict[str, Any]


# ------------------------------------------------------------------------------------------------ requests


def asked_day(delivery: Delivery) -> Window:
    """Return the Pacific day that the page was asked for. Raises :class:`BadPayload`."""
    try:
        return graph_values.pacific(date.fromisoformat(pages.asked(delivery, "day")))
    except (ValueError, OverflowError):
        problem = "the day that the page was asked for is none"
    raise BadPayload(problem)


def profile_of(delivery: Delivery) -> SubjectRef:
    """Return the account that the page was asked of."""
    return SubjectRef(pages.asked(delivery, "account"), SubjectType.PROFILE)


# ------------------------------------------------------------------------------------------------ bodies


def data_of(delivery: Delivery) -> list[Any]:
    """Return the list of a page. Raises :class:`BadPayload`."""
    return pages.list_in(values.document(delivery.body), "data")


def entries_of(delivery: Delivery) -> list[Entry]:
    """Return the metrics of an insights answer."""
    entries = [(row, values.mapping(entry)) for row, entry in enumerate(data_of(delivery), start=1)]
    return [Entry(row, values.text(fields.get("name"), 128), fields) for row, fields in entries]


def named(entries: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    """Yield the entries that are metrics, with their names."""
    return ((entry.name, entry) for entry in entries if entry.name is not None)


def malformed(entries: Iterable[Entry]) -> Iterator[Drop]:
    """Yield a drop for each entry that is no metric."""
    return (Drop(reason=DropReason.MALFORMED, row=one.row, detail="name") for one in entries if one.name is None)


def total_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object of a total; empty where there is none."""
    return values.mapping(entry.get("total_value"))


def lifetime_value(entry: Mapping[str, Any]) -> Any:
    """Return the value of either shape; newer metrics have a total instead of or beside their values."""
    total = total_of(entry)
    first = next(iter(values.items(entry.get("values"))), None)
    return total["value"] if "value" in total else values.mapping(first).get("value")


ReadingsOf = Callable[[str, Mapping[str, Any]], Readings]
"""Takes the named numbers out of a metric of an answer, or out of one of its buckets."""


def one_lifetime(name: str, entry: Mapping[str, Any]) -> Readings:
    """Return the one number of a metric since publication."""
    return [(name, lifetime_value(entry))]


def one_total(name: str, entry: Mapping[str, Any]) -> Readings:
    """Return the one number of a metric within a window."""
    return [(name, total_of(entry).get("value"))]


def read_entries(
    delivery: Delivery, rules: Rules, subject: SubjectRef, readings_of: ReadingsOf, **common: Any
) -> Iterator[Item]:
    """Read the metrics of an insights answer about one subject."""
    entries = entries_of(delivery)
    readings = [reading for name, entry in named(entries) for reading in readings_of(name, entry.fields)]
    yield from book(readings, rules, subject, **common)
    yield from malformed(entries)


def read_profile(delivery: Delivery, titled: str, rules: Rules) -> Iterator[Item]:
    """Read what an account is, called by the field ``titled``, and the numbers that stand beside it."""
    profile = pages.entry_of(values.document(delivery.body), None, graph_values.identifier)
    if isinstance(profile, Drop):
        yield profile
        return
    fields = {name: values.text(profile.fields.get(name), _LONGEST_TITLE) for name in ("username", "name")}
    subject = SubjectRef(profile.id, SubjectType.PROFILE)
    yield CreatorSeen(external_id=profile.id, handle=fields["username"], name=fields["name"])
    yield SubjectSeen(subject=subject, title=fields[titled], creator=profile.id)
    if rules:
        yield from book(told(profile.fields, rules), rules, subject)


# ------------------------------------------------------------------------------------------------ days


def day_of(value: Mapping[str, Any], received_at: datetime) -> date | DropReason:
    """Return the Pacific day of a bucket by the end it states, or why it has none."""
    # The bucket of the day in progress ends after the answer.
    end = graph_values.instant(value.get("end_time"), received_at + _DAY)
    return end if isinstance(end, DropReason) else graph_values.pacific_day(end) or DropReason.BAD_TIME


def one_reading(name: str, bucket: Mapping[str, Any]) -> Readings:
    """Return the one number of a bucket."""
    return [(name, bucket.get("value"))]


def read_series(
    delivery: Delivery, rules: Rules, subject: SubjectRef, readings_of: ReadingsOf = one_reading, **common: Any
) -> Iterator[Item]:
    """Read numbers per day: each stands in a bucket that says when it ends."""
    days: dict[date, list[tuple[str, Any]]] = {}
    entries = entries_of(delivery)
    for name, entry in named(entries):
        for bucket in map(values.mapping, values.items(entry.fields.get("values"))):
            day = day_of(bucket, delivery.received_at)
            if isinstance(day, DropReason):
                yield Drop(reason=day, row=entry.row, detail="end_time")
            else:
                days.setdefault(day, []).extend(readings_of(name, bucket))
    if not days:
        yield Drop(reason=DropReason.NO_NUMBERS)
    for day, readings in days.items():
        yield from _book_day(day, readings, rules, subject, delivery.received_at, **common)
    yield from malformed(entries)


def _book_day(
    day: date, readings: Readings, rules: Rules, subject: SubjectRef, received_at: datetime, **common: Any
) -> Iterator[Item]:
    """Book the totals of a day, and what is no total but a level as it stood when the day ended."""
    known_levels = {name for name, rule in rules.items() if rule.kind is Kind.LEVEL}
    levels = [(name, value) for name, value in readings if name in known_levels]
    totals = [(name, value) for name, value in readings if name not in known_levels]
    window = graph_values.pacific(day)
    if totals or not levels:
        yield from book(totals, rules, subject, window=window, **common)
    if levels and window.end > received_at + values.SKEW:
        yield Drop(reason=DropReason.FUTURE_TIME, detail="end_time")
    elif levels:
        yield from book(levels, rules, subject, observed_at=window.end, **common)


# ------------------------------------------------------------------------------------------------ pages


def refusal_drop(fault: Fault) -> Drop:
    """Return the drop of a page that holds an error about one object."""
    reason = DropReason.UNKNOWN_METRIC if fault.refusal is Refusal.BAD_METRIC else DropReason.NOT_AVAILABLE
    return Drop(reason=reason, detail=f"{fault.refusal.value} ({fault.label})")


def read_page(delivery: Delivery, readers: Mapping[str, Reader], refused: RefusalReader) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = pages.reader_of(delivery, readers)
    fault = fault_of(values.document(delivery.body))
    yield from reader(delivery) if fault is None else refused(delivery, fault)
    yield from pages.refused(delivery)
