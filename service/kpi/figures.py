"""The one number of each group that rows are chosen and ordered by: what ``evaluate`` gives, without the rest of it.

A value or a limit for thousands of groups. Closed forms are computed as columns, with the very operations that make one
of them; an interval by post is made group by group, for groups with members enough to have one.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from fractions import Fraction

import msgspec
import numpy as np
from scipy import special

from connectors.contract import MICRO
from service.kpi.catalogue import Kind, Kpi
from service.kpi.evaluate import CoverageMode, refusal
from service.kpi.grouped import DIVIDED, Quotients, quotients
from service.kpi.grouping import Grouping, added, counted, taken
from service.kpi.measure import Method, Number, Unit, significant
from service.kpi.members import BoolArray, FloatArray, IntArray, MemberSums, read
from service.kpi.question import Ask, factor, is_money, shown
from service.kpi.quotients import has_no_currency, interval
from service.kpi.rates import FEWEST_MEMBERS, LEVEL, normal_quantile

_EXACT = 2**53
"""Whole numbers below it are floats without loss."""
Figure = int | float | None
_Limits = tuple[float | None, float | None]
_NONE: _Limits = (None, None)


class Which(enum.StrEnum):
    """Which number of a value."""

    VALUE = "value"
    LOW = "low"
    HIGH = "high"


class Figures(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One number per group, None where it is unknown; ``units`` of them make one of the answer."""

    numbers: Sequence[Figure]
    units: int = 1

    def exact(self) -> list[Fraction | int | float | None]:
        """Return the numbers of the answer."""
        if self.units == 1:
            return list(self.numbers)
        return [None if number is None else Fraction(number) / self.units for number in self.numbers]


def figures(
    kpi: Kpi,
    sums: MemberSums,
    groups: Grouping,
    which: Which,
    *,
    currency: str | None,
    level: float = LEVEL,
    coverage: CoverageMode = "report",
) -> Figures | None:
    """Return a number for each group; None where groups have to be evaluated one by one."""
    ask = Ask(kpi=kpi, sums=sums, currency=currency, level=level, strict=coverage == "strict")
    if kpi.kind is not Kind.ADDITIVE and kpi.kind not in DIVIDED:
        return None
    if refusal(ask) is not None or not len(groups):
        return Figures(numbers=[None] * len(groups))
    if kpi.kind is Kind.ADDITIVE:
        return _sums(ask, groups, which)
    found = quotients(ask, groups)
    if found is None:
        return None
    if has_no_currency(ask):
        return Figures(numbers=[None] * len(groups))
    return _ratios(found) if which is Which.VALUE else _limits(found, which)


def _sums(ask: Ask, groups: Grouping, which: Which) -> Figures | None:
    key = ask.kpi.slug
    column = taken(read(ask.sums, key), groups)
    totals = added(column.values, column.known, groups)
    if totals is None:
        return None
    if which is not Which.VALUE or (is_money(key) and ask.currency is None):
        return Figures(numbers=[None] * len(groups))
    known = counted(column.known, groups).tolist()
    told = [total if some else None for total, some in zip(totals, known, strict=True)]
    return Figures(numbers=told, units=factor(key))


# ------------------------------------------------------------------------------------------------ ratios


def _is_told(found: Quotients) -> list[bool]:
    """Return which groups have both sides, and members enough for strict coverage."""
    strict = found.ask.strict
    lines = zip(*found.told, found.known, found.sizes, strict=True)
    return [above and below and (known == size if strict else known > 0) for above, below, known, size in lines]


def _divisions(found: Quotients) -> list[tuple[int, int] | None]:
    """Return for each group what is divided by what, in the units of an answer; None where nothing is."""
    kpi = found.ask.kpi
    up, down = factor(kpi.numerator or "") * kpi.per, kpi.scale * factor(kpi.denominator or "")
    lines = zip(_is_told(found), found.numerators, found.denominators, strict=True)
    return [
        (numerator * down + kpi.offset * denominator * up, denominator * up) if told and denominator > 0 else None
        for told, numerator, denominator in lines
    ]


def _ratios(found: Quotients) -> Figures:
    pairs = _divisions(found)
    if found.ask.kpi.unit is Unit.MONEY:
        money = [None if pair is None else _half_even(pair[0] * MICRO, pair[1]) for pair in pairs]
        return Figures(numbers=money, units=MICRO)
    return Figures(numbers=[None if pair is None else significant(pair[0] / pair[1]) for pair in pairs])


def _half_even(amount: int, by: int) -> int:
    """Return a quotient rounded to the nearest whole number, half to even."""
    whole, rest = divmod(amount, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2 == 1))


# ------------------------------------------------------------------------------------------------ limits


def _limits(found: Quotients, which: Which) -> Figures:
    """Return a limit of each interval as an answer rounds it: money to as many digits as everything else."""
    kpi, small, place = found.ask.kpi, _small_samples(found), 0 if which is Which.LOW else 1
    numbers: list[Figure] = []
    for group, (told, pair) in enumerate(zip(_is_told(found), _divisions(found), strict=True)):
        limits = _of(found, group, pair, small[group]) if told else _NONE
        limit = limits[place]
        if limit is None or kpi.unit is Unit.MONEY:
            numbers.append(None if limit is None else significant(limit))
        else:
            shifted = significant(limit + kpi.offset)
            numbers.append(min(shifted, 1.0) if kpi.proportion else shifted)
    return Figures(numbers=numbers)


def _of(found: Quotients, group: int, pair: tuple[int, int] | None, small: _Limits) -> _Limits:
    kpi, numerator = found.ask.kpi, found.numerators[group]
    if pair is None:
        # Of a cost per event that has not happened yet there is a lower limit.
        return small if found.denominators[group] == 0 and kpi.small_sample is Method.GARWOOD else _NONE
    if numerator < 0 or (kpi.proportion and pair[0] > pair[1]):
        return _NONE
    if numerator > 0 and not found.apart[group] and found.known[group] >= FEWEST_MEMBERS:
        by_post = interval(found.ask, found.sides(group))
        return _NONE if by_post is None else (_float(by_post.low), _float(by_post.high))
    return small


def _float(limit: Number | None) -> float | None:
    return None if limit is None else float(limit)


def _small_samples(found: Quotients) -> list[_Limits]:
    """Return the interval of few members for each group, by the method of the KPI."""
    kpi, size = found.ask.kpi, len(found.groups)
    if kpi.small_sample not in (Method.WILSON, Method.GARWOOD):
        return [_NONE] * size
    units = factor(kpi.numerator or ""), factor(kpi.denominator or "")
    largest = max(max(map(abs, side), default=0) for side in (found.numerators, found.denominators))
    if largest * kpi.scale >= _EXACT:
        return [_one_by_one(found, group) for group in range(size)]
    above, below = (np.array(side, dtype=np.int64) for side in (found.numerators, found.denominators))
    counts, whole = below // units[1], below % units[1] == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        if kpi.small_sample is Method.WILSON:
            whole &= above % units[0] == 0
            return _wilson(above // units[0], counts, whole, found.ask.level)
        return _garwood(above * kpi.scale / units[0], counts, whole, found.ask.level)


def _one_by_one(found: Quotients, group: int) -> _Limits:
    sides = msgspec.structs.replace(found.sides(group), apart=True)
    limits = interval(found.ask, sides)
    return _NONE if limits is None else (_float(limits.low), _float(limits.high))


def _wilson(successes: IntArray, counts: IntArray, whole: BoolArray, level: float) -> list[_Limits]:
    """Return what ``rates.wilson_limits`` does, for columns."""
    z, trials = normal_quantile(level), counts.astype(np.float64)
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    low = np.where(successes == 0, 0.0, np.maximum(0.0, centre - half))
    high = np.where(successes == trials, 1.0, np.minimum(1.0, centre + half))
    fits = whole & (counts > 0) & (successes >= 0) & (successes <= counts)
    lines = zip(fits.tolist(), low.tolist(), high.tolist(), strict=True)
    return [(below, above) if fit else _NONE for fit, below, above in lines]


def _garwood(amounts: FloatArray, counts: IntArray, whole: BoolArray, level: float) -> list[_Limits]:
    """Return what ``rates.per_count`` does, for columns; the upper side of a count of 0 is open."""
    tail = (1 - level) / 2
    fits = whole & (counts >= 0) & (amounts > 0)
    usable = np.where(fits, counts, 1).astype(np.float64)
    low, high = amounts / special.gammainccinv(usable + 1, tail), amounts / special.gammaincinv(usable, tail)
    return [
        (below, above if count else None) if fit else _NONE
        for fit, count, below, above in zip(fits.tolist(), counts.tolist(), low.tolist(), high.tolist(), strict=True)
    ]


# ------------------------------------------------------------------------------------------------ changes


def changes(kpi: Kpi, current: Figures, previous: Figures) -> Figures:
    """Return the change of each group as a fraction of what it was before; of two columns in the same units."""
    numbers = [_answered(kpi, one) for one in (current, previous)]
    return Figures(numbers=[_change(now, before) for now, before in zip(*numbers, strict=True)])


def _answered(kpi: Kpi, found: Figures) -> Sequence[Figure]:
    """Return numbers as they are answered, but money in its own units: those cancel out."""
    if found.units == 1 or kpi.unit is Unit.MONEY:
        return found.numbers
    told = (None if number is None else shown(kpi.slug, int(number), None) for number in found.numbers)
    return [None if number is None else _plain(number) for number in told]


def _plain(number: Number) -> int | float:
    assert not isinstance(number, str)  # noqa: S101 - money was asked for above
    return number


def _change(current: Figure, previous: Figure) -> float | None:
    """Return what ``compare.change`` gives as a fraction."""
    if current is None or previous is None or previous <= 0:
        return None
    (top, over), (base, under) = current.as_integer_ratio(), previous.as_integer_ratio()
    return significant((top * under - base * over) / (base * over))
