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

from connectors import graph_values as values
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    SubjectRef,
    SubjectType,
    Window,
    day_window,
)
from connectors.graph import Fault, Refusal, fault_of
from connectors.graph_rules import Readings, Rules, book

_LONGEST_TITLE = 200
_DAY = timedelta(days=1)

Reader = Callable[[Delivery], Iterator[Item]]
RefusalReader = Callable[[Delivery, Fault], Iterator[Item]]


class Entry(msgspec.Struct, frozen=True):
    """One metric of an insights answer; ``name`` is None where the entry is none."""

    row: int
    name: str | None
    fields: dict[str, Any]


# ------------------------------------------------------------------------------------------------ requests


def asked(delivery: Delivery, name: str) -> str:
    """Return what the page was asked for. Raises :class:`BadPayload` where its request does not say it."""
    value = delivery.request.get(name)
    if not value:
        raise BadPayload(f"the request of the page does not say its {name}")
    return value


def asked_day(delivery: Delivery) -> Window:
    """Return the Pacific day that the page was asked for. Raises :class:`BadPayload`."""
    try:
        return pacific(date.fromisoformat(asked(delivery, "day")))
    except (ValueError, OverflowError):
        problem = "the day that the page was asked for is none"
    raise BadPayload(problem)


def profile_of(delivery: Delivery) -> SubjectRef:
    """Return the account that the page was asked of."""
    return SubjectRef(asked(delivery, "account"), SubjectType.PROFILE)


def pacific(day: date) -> Window:
    """Return the window of a Pacific day."""
    return day_window(day, values.PACIFIC)


# ------------------------------------------------------------------------------------------------ bodies


def data_of(delivery: Delivery) -> list[Any]:
    """Return the list of a page. Raises :class:`BadPayload`."""
    data = values.document(delivery.body).get("data")
    if not isinstance(data, list):
        raise BadPayload("the page has no list named data")
    return data


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


def title_of(text: Any) -> str | None:
    """Return the first line of what was written; None where nothing was."""
    lines = text.strip().splitlines() if isinstance(text, str) else []
    return values.text(lines[0], _LONGEST_TITLE) if lines else None


def known(value: datetime | DropReason) -> datetime | None:
    """Return an instant, or None where it is none."""
    return None if isinstance(value, DropReason) else value


# ------------------------------------------------------------------------------------------------ days


def day_of(value: Mapping[str, Any], received_at: datetime) -> date | DropReason:
    """Return the Pacific day of a bucket by the end it states, or why it has none."""
    # The bucket of the day in progress ends after the answer.
    end = values.instant(value.get("end_time"), received_at + _DAY)
    return end if isinstance(end, DropReason) else values.pacific_day(end) or DropReason.BAD_TIME


ReadingsOf = Callable[[str, Mapping[str, Any]], Readings]


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
    window = pacific(day)
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
    reader = readers.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    fault = fault_of(values.document(delivery.body))
    yield from reader(delivery) if fault is None else refused(delivery, fault)
    for name in filter(None, delivery.request.get("refused", "").split(",")):
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=name)
