"""What decides about rows: one number of each item, for all of them at once wherever a KPI can be put into columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from service.errors import TooLarge
from service.kpi.buckets import Bucket
from service.kpi.catalogue import Kind, Kpi
from service.kpi.compare import change
from service.kpi.figures import Figure, Figures, Which, changes, figures
from service.kpi.grouped import DIVIDED
from service.kpi.measure import Number, Value
from service.ledger.history.spans import Span
from service.reports.query.asked import By, Order, Query
from service.reports.query.sides import Key, Side
from service.reports.query.values import mode_of, values_at

MOST_DECIDED = 20_000
"""Values that may be evaluated one by one to choose and order rows."""
MOST_TOGETHER = 200_000
"""Values that may be computed as columns to choose and order rows."""
At = tuple[Span, Bucket] | None
Exact = Fraction | int | float
_WHICH = {By.LOWER_LIMIT: Which.LOW, By.UPPER_LIMIT: Which.HIGH}


class Grid(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The items of an answer by number: group after group, each on its buckets where these are chosen by themselves.

    ``total`` is the number of the span of an item without a bucket.
    """

    keys: Sequence[Key]
    buckets: Sequence[tuple[Span, Bucket]] | None
    total: int

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.keys) * self._each

    @property
    def _each(self) -> int:
        return 1 if self.buckets is None else len(self.buckets)

    @property
    def spans(self) -> list[int]:
        """Return the numbers of the spans that a group has items on."""
        return [self.total] if self.buckets is None else [span.number for span, _ in self.buckets]

    def key(self, number: int) -> Key:
        """Return the group of an item."""
        return self.keys[number // self._each]

    def at(self, number: int) -> At:
        """Return the bucket of an item."""
        return None if self.buckets is None else self.buckets[number % self._each]

    def span(self, number: int) -> int:
        """Return the span of an item."""
        return self.total if self.buckets is None else self.buckets[number % self._each][0].number

    def put(self, columns: Sequence[Sequence[Figure]]) -> Sequence[Figure]:
        """Return what stands in columns, one per span and in the order of the groups, by number of the item."""
        return columns[0] if len(columns) == 1 else [value for line in zip(*columns, strict=True) for value in line]


def chosen_by(query: Query, grid: Grid, side: Side, names: Sequence[str]) -> dict[str, Figures]:
    """Return the values of KPIs for all items. Raises :class:`TooLarge` for more than may decide."""
    kpis = [_kpi(side, name) for name in names]
    bounded(len(grid), kpis)
    found = {}
    for kpi in kpis:
        columns = _columns(query, grid, side, kpi, Which.VALUE)
        if columns is not None:
            # A column that knows nothing has no units to speak of.
            units = max(column.units for column in columns)
            found[kpi.slug] = Figures(numbers=grid.put([column.numbers for column in columns]), units=units)
        else:
            told = [exact(_value(query, grid, side, kpi, number).value) for number in range(len(grid))]
            found[kpi.slug] = Figures(numbers=told)
    return found


def ordered_by(
    query: Query, order: Order, grid: Grid, wanted: Sequence[int], side: Side, other: Side | None
) -> Mapping[int, Exact | None] | Sequence[Exact | None]:
    """Return what orders items, by number. Raises :class:`TooLarge` for more than may decide."""
    kpi = _kpi(side, order.key)
    bounded(len(wanted), [kpi])
    columns = _columns(query, grid, side, kpi, _WHICH.get(order.by, Which.VALUE))
    if columns is not None and order.by is By.CHANGE:
        columns = _changed(query, grid, other, kpi, columns)
    if columns is not None:
        return grid.put([column.numbers for column in columns])
    return {number: _place(query, order, grid, number, side, other) for number in wanted}


def exact(number: Number | None) -> Exact | None:
    """Return a number as it is compared; money is a decimal string."""
    return Fraction(Decimal(number)) if isinstance(number, str) else number


def _kpi(side: Side, slug: str) -> Kpi:
    return next(kpi for kpi in side.asked.kpis if kpi.slug == slug)


def bounded(items: int, kpis: Iterable[Kpi]) -> None:
    """Raise :class:`TooLarge` where KPIs of so many items are more values than may decide."""
    together = {True: 0, False: 0}
    for kpi in kpis:
        together[kpi.kind is Kind.ADDITIVE or kpi.kind in DIVIDED] += items
    for most, values in ((MOST_TOGETHER, together[True]), (MOST_DECIDED, together[False])):
        if values > most:
            raise TooLarge(f"{values} values decide about rows; at most {most} may: narrow it by filters")


def _columns(query: Query, grid: Grid, side: Side, kpi: Kpi, which: Which) -> list[Figures] | None:
    """Return a number for each group on each span; None where items have to be evaluated one by one."""
    groups = side.groups
    if groups is None:
        return None
    sums = side.otherwise.get(kpi.slug, side.sums)
    found: list[Figures] = []
    level, mode = side.asked.question.level, mode_of(query)
    for span in grid.spans:
        part = sums.by_bucket.get(span)
        if part is None:
            found.append(Figures(numbers=[None] * len(grid.keys)))
            continue
        column = figures(kpi, part, groups.grouping, which, currency=sums.currency, level=level, coverage=mode)
        if column is None:
            return None
        found.append(column if groups.keys is grid.keys else _aligned(grid, side, column))
    return found


def _aligned(grid: Grid, side: Side, column: Figures) -> Figures:
    """Return a column for all groups of the grid; of one that a side does not have nothing is known."""
    numbers = side.groups.numbers if side.groups is not None else {}
    places = (numbers.get(key) for key in grid.keys)
    return Figures(numbers=[None if place is None else column.numbers[place] for place in places], units=column.units)


def _changed(
    query: Query, grid: Grid, other: Side | None, kpi: Kpi, columns: Sequence[Figures]
) -> list[Figures] | None:
    before = None if other is None else _columns(query, grid, other, kpi, Which.VALUE)
    if before is None:
        return None
    return [changes(kpi, now, then) for now, then in zip(columns, before, strict=True)]


# ------------------------------------------------------------------------------------------------ one by one


def _value(query: Query, grid: Grid, side: Side, kpi: Kpi, number: int) -> Value:
    return values_at(query, side, (kpi.slug,), grid.key(number), grid.span(number))[kpi.slug]


def _place(query: Query, order: Order, grid: Grid, number: int, side: Side, other: Side | None) -> Exact | None:
    kpi = _kpi(side, order.key)
    value = _value(query, grid, side, kpi, number)
    match order.by:
        case By.LOWER_LIMIT:
            return exact(_limits(value)[0])
        case By.UPPER_LIMIT:
            return exact(_limits(value)[1])
        case By.CHANGE:
            if other is None or grid.span(number) not in other.sums.by_bucket:
                return None
            return exact(change(value.value, _value(query, grid, other, kpi, number).value).fraction)
        case _:
            return exact(value.value)


def _limits(value: Value) -> tuple[Number | None, Number | None]:
    if value.bounds is not None:
        return value.bounds.lower, value.bounds.upper
    return (None, None) if value.interval is None else (value.interval.low, value.interval.high)
