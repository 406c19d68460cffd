"""Rows of an answer: which there are, which are wanted, in which order, and which of them a page holds.

An item is what is chosen and ordered: a group with all its buckets, or, where the day is a dimension, a group's day.
Only what decides is computed for all items (``decisive``); the rest for those of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any

import msgspec

from service.errors import Invalid
from service.reports.query import cursors
from service.reports.query.asked import Query
from service.reports.query.decisive import At, Grid, chosen_by, ordered_by
from service.reports.query.filters import conditions
from service.reports.query.having import met
from service.reports.query.sides import Key, Side, dimensions_of, in_order

_NOBODY: Key = ()
_Places = Mapping[int, Any] | Sequence[Any]


class Item(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A group, on one bucket of its own or on all."""

    key: Key
    at: At = None


class Slice(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The rows of a page: items with the buckets to show of each, how many rows there are, and where it goes on."""

    rows: Sequence[tuple[Item, At]]
    total: int
    next: str | None


def slice_of(query: Query, side: Side, other: Side | None, digest: str) -> Slice:
    """Return the rows of the page that is asked for. Raises :class:`Invalid` for a cursor of something else."""
    grid = _grid(query, side, other)
    wanted = _ordered(query, _chosen(query, grid, side), grid, side, other)
    buckets: Sequence[At] = [None]
    if side.stretch.buckets and not is_flat(query):
        buckets = side.stretch.buckets
    total = len(wanted) * len(buckets)
    begin = _after(query, wanted, grid, buckets, digest)
    end = total if query.limit is None else min(total, begin + query.limit)
    rows = [_row(grid, wanted[row // len(buckets)], buckets[row % len(buckets)]) for row in range(begin, end)]
    following = None
    if rows and end < total:
        item, at = rows[-1]
        following = cursors.written(side.asked, digest, [*item.key, _label(at)])
    return Slice(rows=rows, total=total, next=following)


def _row(grid: Grid, number: int, bucket: At) -> tuple[Item, At]:
    item = Item(key=grid.key(number), at=grid.at(number))
    return item, item.at or bucket


def is_flat(query: Query) -> bool:
    """Tell whether the day is a dimension: each row is chosen by itself."""
    return "day" in query.question.dimensions


def _grid(query: Query, side: Side, other: Side | None) -> Grid:
    keys: Sequence[Key] = [_NOBODY]
    if side.groups is not None:
        keys = side.groups.keys
        if other is not None and other.groups is not None and other.groups is not side.groups:
            keys = in_order({*keys, *other.groups.keys})
    return Grid(keys=keys, buckets=side.stretch.buckets if is_flat(query) else None, total=side.stretch.total.number)


def _chosen(query: Query, grid: Grid, side: Side) -> list[int]:
    node = query.having
    if node is None:
        return list(range(len(grid)))
    names = tuple(dict.fromkeys(one.name for one in conditions(node)))
    return list(compress(range(len(grid)), met(node, chosen_by(query, grid, side, names))))


def _ordered(query: Query, wanted: list[int], grid: Grid, side: Side, other: Side | None) -> list[int]:
    names = dimensions_of(query)
    for order in reversed(query.order):
        places: _Places
        if order.key in names:
            at = names.index(order.key)
            places = {number: grid.key(number)[at] for number in wanted}
        elif order.key == "day":
            places = {number: _label(grid.at(number)) for number in wanted}
        else:
            places = ordered_by(query, order, grid, wanted, side, other)
        known = [number for number in wanted if places[number] is not None]
        known.sort(key=_place_in(places), reverse=order.descending)
        # What is unknown is neither large nor small: it comes last.
        wanted = known + [number for number in wanted if places[number] is None]
    return wanted


def _place_in(places: _Places) -> Callable[[int], Any]:
    return places.__getitem__


def _after(query: Query, wanted: Sequence[int], grid: Grid, buckets: Sequence[At], digest: str) -> int:
    if query.after is None:
        return 0
    sought = tuple(cursors.read(query.after, digest).key)
    for place, number in enumerate(wanted):
        if grid.key(number) != sought[:-1]:
            continue
        for bucket, at in enumerate(buckets):
            if _label(grid.at(number) or at) == sought[-1]:
                return place * len(buckets) + bucket + 1
    raise Invalid("no page begins here", pointer="?page/after", code="bad_cursor")


def _label(at: At) -> str | None:
    return None if at is None else at[1].label
