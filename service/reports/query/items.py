"""Rows of an answer: which there are, which are wanted, in which order, and which of them a page holds.

An item is what is chosen and ordered: a group with all its buckets, or, where the day is a dimension, a group's day.
Only what decides is computed for all items; the rest for those of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np

from service.errors import Invalid, TooLarge
from service.kpi.buckets import Bucket
from service.kpi.catalogue import Kind
from service.kpi.compare import change
from service.kpi.evaluate import CoverageMode, evaluate
from service.kpi.measure import Number, Value
from service.kpi.members import IntArray, MemberSums, read, take
from service.kpi.question import factor, is_money
from service.ledger.history.spans import Span
from service.reports.query import cursors
from service.reports.query.asked import By, Order, Query
from service.reports.query.filters import conditions, meets
from service.reports.query.sides import Key, Side, dimensions_of
from service.reports.sums import Sums

MOST_DECIDED = 20_000
"""Values that may be computed to choose and order rows."""
_NOBODY: Key = ()
Exact = Fraction | int | float
_LARGEST = 2**62
_NO_PLACES: IntArray = np.zeros(0, dtype=np.int64)


class Item(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A group, on one bucket of its own or on all."""

    key: Key
    at: tuple[Span, Bucket] | None = None

    @property
    def label(self) -> str | None:
        """Return the name of its own bucket."""
        return None if self.at is None else self.at[1].label


class Slice(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The rows of a page: items with the buckets to show of each, how many rows there are, and where it goes on."""

    rows: Sequence[tuple[Item, tuple[Span, Bucket] | None]]
    total: int
    next: str | None


def values_at(query: Query, side: Side, slugs: Sequence[str], key: Key, span: int) -> dict[str, Value]:
    """Return KPIs of one group on one bucket, by slug; of a group that this side does not have, those of nobody."""
    mode: CoverageMode = "strict" if query.strict else "report"
    level, plain = side.asked.question.level, _part(side, side.sums, key, span)
    found = {}
    for kpi in side.asked.kpis:
        if kpi.slug in slugs:
            sums = side.otherwise.get(kpi.slug, side.sums)
            part = plain if sums is side.sums else _part(side, sums, key, span)
            found[kpi.slug] = evaluate(kpi, part, currency=sums.currency, level=level, coverage=mode)
    return {slug: found[slug] for slug in slugs}


def _part(side: Side, sums: Sums, key: Key, span: int) -> MemberSums:
    part = sums.by_bucket[span]
    return part if side.groups is None else take(part, side.groups.get(key, _NO_PLACES))


def measured(query: Query, side: Side, slug: str, key: Key, span: int) -> Value:
    """Return one KPI of one group on one bucket."""
    return values_at(query, side, (slug,), key, span)[slug]


def slice_of(query: Query, side: Side, other: Side | None, digest: str) -> Slice:
    """Return the rows of the page that is asked for. Raises :class:`Invalid` for a cursor of something else."""
    items = _ordered(query, _chosen(query, _items(query, side, other), side), side, other)
    buckets: Sequence[tuple[Span, Bucket] | None] = [None]
    if side.stretch.buckets and not is_flat(query):
        buckets = side.stretch.buckets
    total = len(items) * len(buckets)
    begin = _after(query, items, buckets, digest)
    end = total if query.limit is None else min(total, begin + query.limit)
    rows = [
        (items[row // len(buckets)], items[row // len(buckets)].at or buckets[row % len(buckets)])
        for row in range(begin, end)
    ]
    following = None
    if rows and end < total:
        item, at = rows[-1]
        following = cursors.written(side.asked, digest, [*item.key, at[1].label if at else None])
    return Slice(rows=rows, total=total, next=following)


def is_flat(query: Query) -> bool:
    """Tell whether the day is a dimension: each row is chosen by itself."""
    return "day" in query.question.dimensions


def _items(query: Query, side: Side, other: Side | None) -> list[Item]:
    keys: list[Key] = [_NOBODY]
    if side.groups is not None:
        found = dict.fromkeys((*side.groups, *((other.groups or ()) if other is not None else ())))
        keys = sorted(found, key=lambda key: tuple((word is None, word or "") for word in key))
    if not is_flat(query):
        return [Item(key=key) for key in keys]
    return [Item(key=key, at=at) for key in keys for at in side.stretch.buckets]


def _span(item: Item, side: Side) -> int:
    return side.stretch.total.number if item.at is None else item.at[0].number


def _chosen(query: Query, items: list[Item], side: Side) -> list[Item]:
    node = query.having
    if node is None:
        return items
    quick = {one.name: sums for one in conditions(node) if (sums := _sums(query, side, one.name)) is not None}
    _bounded(len(items) * sum(1 for one in conditions(node) if one.name not in quick))

    def met(item: Item) -> bool:
        def number(slug: str) -> Exact | None:
            if slug in quick:
                return quick[slug].get(item.key)
            return exact(measured(query, side, slug, item.key, _span(item, side)).value)

        return meets(node, lambda _: (), number)

    return [item for item in items if met(item)]


def _ordered(query: Query, items: list[Item], side: Side, other: Side | None) -> list[Item]:
    names = dimensions_of(query)
    for order in reversed(query.order):
        quick = _sums(query, side, order.key) if order.by is By.VALUE else None
        if quick is None:
            if order.key not in names and order.key != "day":
                _bounded(len(items))
            found = [(item, _place(query, order, names, item, side, other)) for item in items]
        else:
            found = [(item, quick.get(item.key)) for item in items]
        known = [pair for pair in found if pair[1] is not None]
        known.sort(key=lambda pair: pair[1], reverse=order.descending)
        # What is unknown is neither large nor small: it comes last.
        items = [item for item, _ in known] + [item for item, place in found if place is None]
    return items


def _sums(query: Query, side: Side, slug: str) -> Mapping[Key, Fraction | None] | None:
    """Return what is only a sum for all groups at once; None where it has to be evaluated group by group."""
    kpi = next((kpi for kpi in side.asked.kpis if kpi.slug == slug), None)
    if kpi is None or kpi.kind is not Kind.ADDITIVE or side.groups is None or is_flat(query) or side.otherwise:
        return None
    part = side.sums.by_bucket[side.stretch.total.number]
    hidden = not part.withheld.keys().isdisjoint((slug, *kpi.needs))
    if hidden or (is_money(slug) and side.sums.currency is None) or not side.groups:
        return None
    column = read(part, slug)
    if len(column.values) and int(np.abs(column.values).max()) > _LARGEST // len(column.values):
        return None
    places = np.concatenate(list(side.groups.values()))
    sizes = np.array([len(group) for group in side.groups.values()])
    begins = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    sums = np.add.reduceat(np.where(column.known, column.values, 0)[places], begins).tolist()
    known = np.logical_or.reduceat(column.known[places], begins).tolist()
    units = factor(slug)
    return {key: Fraction(sums[at], units) if known[at] else None for at, key in enumerate(side.groups)}


def _place(query: Query, order: Order, names: Sequence[str], item: Item, side: Side, other: Side | None) -> Any:
    if order.key in names:
        return item.key[names.index(order.key)]
    if order.key == "day":
        return item.label
    value = measured(query, side, order.key, item.key, _span(item, side))
    match order.by:
        case By.LOWER_LIMIT:
            return exact(_limits(value)[0])
        case By.UPPER_LIMIT:
            return exact(_limits(value)[1])
        case By.CHANGE:
            return _change(query, order.key, value, item, side, other)
        case _:
            return exact(value.value)


def _limits(value: Value) -> tuple[Number | None, Number | None]:
    if value.bounds is not None:
        return value.bounds.lower, value.bounds.upper
    return (None, None) if value.interval is None else (value.interval.low, value.interval.high)


def _change(query: Query, slug: str, value: Value, item: Item, side: Side, other: Side | None) -> Exact | None:
    span = _span(item, side)
    if other is None or span not in other.sums.by_bucket:
        return None
    before = measured(query, other, slug, item.key, span)
    return exact(change(value.value, before.value).fraction)


def exact(number: Number | None) -> Exact | None:
    """Return a number as it is compared; money is a decimal string."""
    return Fraction(Decimal(number)) if isinstance(number, str) else number


def _bounded(values: int) -> None:
    if values > MOST_DECIDED:
        raise TooLarge(f"{values} values decide about rows; at most {MOST_DECIDED} may: narrow it by filters")


def _after(query: Query, items: Sequence[Item], buckets: Sequence[tuple[Span, Bucket] | None], digest: str) -> int:
    if query.after is None:
        return 0
    key = cursors.read(query.after, digest).key
    places: Mapping[tuple[Any, ...], int] = {
        (*item.key, _label(item.at or at)): place * len(buckets) + number
        for place, item in enumerate(items)
        for number, at in enumerate(buckets)
    }
    if tuple(key) not in places:
        raise Invalid("no page begins here", pointer="?page/after", code="bad_cursor")
    return places[tuple(key)] + 1


def _label(at: tuple[Span, Bucket] | None) -> str | None:
    return None if at is None else at[1].label
