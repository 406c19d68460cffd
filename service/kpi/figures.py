"""The one number of each group that rows are chosen and ordered by: what ``evaluate`` gives, without the rest of it.

A value or a limit for thousands of groups. Closed forms are computed as columns, with the very operations that make one
of them; an interval by post is made group by group, for groups with members enough to have one.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from fractions import Fraction

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from connectors.contract import MICRO
from service.kpi.catalogue import Kind, Kpi
from service.kpi.compare import relative
from service.kpi.evaluate import CoverageMode, refusal
from service.kpi.grouped import DIVIDED, Quotients, quotients
from service.kpi.grouping import Grouping, added, counted, taken
from service.kpi.measure import SIGNIFICANT_DIGITS, Method, Number, Unit, significant
from service.kpi.members import BoolArray, FloatArray, IntArray, MemberSums, read
from service.kpi.question import Ask, factor, is_money, shown
from service.kpi.quotients import has_no_currency, interval
from service.kpi.rates import FEWEST_MEMBERS, LEVEL, normal_quantile

_EXACT = 2**53
"""Whole numbers below it are floats without loss."""
Figure = int | float | Fraction | None
"""A number that decides; a fraction is one that was evaluated by itself."""
Ints = npt.NDArray[np.int64] | npt.NDArray[np.object_]


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
    alone = kpi.kind in (Kind.LEVEL, Kind.UNIQUE) and groups.are_single
    if not alone and kpi.kind is not Kind.ADDITIVE and kpi.kind not in DIVIDED:
        return None
    if refusal(ask) is not None or not len(groups):
        return Figures(numbers=[None] * len(groups))
    if alone or kpi.kind is Kind.ADDITIVE:
        # The people of one member, and its level, are what it reports; only several have bounds.
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
    told = [total if some else None for total, some in zip(totals.tolist(), known, strict=True)]
    return Figures(numbers=told, units=factor(key))


# ------------------------------------------------------------------------------------------------ ratios


def _is_told(found: Quotients) -> BoolArray:
    """Return which groups have both sides, and members enough for strict coverage."""
    enough = found.known == found.sizes if found.ask.strict else found.known > 0
    told: BoolArray = found.above & found.below & enough
    return told


def _ratios(found: Quotients) -> Figures:
    top, bottom = _division(found)
    fits = (_is_told(found) & (found.denominators > 0)).tolist()
    if found.ask.kpi.unit is Unit.MONEY:
        lines = zip(fits, top.tolist(), bottom.tolist(), strict=True)
        money = [_half_even(above * MICRO, below) if fit else None for fit, above, below in lines]
        return Figures(numbers=money, units=MICRO)
    if top.dtype == object:
        lines = zip(fits, top, bottom, strict=True)
        return Figures(numbers=[significant(above / below) if fit else None for fit, above, below in lines])
    with np.errstate(divide="ignore", invalid="ignore"):
        return Figures(numbers=_rounded(fits, top / bottom))


def _division(found: Quotients) -> tuple[Ints, Ints]:
    """Return what is divided by what, in the units of an answer: as floats divide it exactly, else as whole numbers."""
    kpi = found.ask.kpi
    up, down = factor(kpi.numerator or "") * kpi.per, kpi.scale * factor(kpi.denominator or "")
    above, below = found.numerators, found.denominators
    if _largest(above) * down + abs(kpi.offset) * _largest(below) * up >= _EXACT or _largest(below) * up >= _EXACT:
        above, below = above.astype(object), below.astype(object)
    return above * down + kpi.offset * below * up, below * up


def _largest(values: IntArray) -> int:
    return max(int(values.max()), -int(values.min()))


def _half_even(amount: int, by: int) -> int:
    """Return a quotient rounded to the nearest whole number, half to even."""
    whole, rest = divmod(amount, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2 == 1))


def _rounded(fits: Sequence[bool], values: FloatArray) -> list[Figure]:
    """Return what ``significant`` makes of each; None for what is not finite."""
    pairs = zip(fits, values.tolist(), strict=True)
    return [float(f"{x:.{SIGNIFICANT_DIGITS}g}") if fit and x - x == 0 else None for fit, x in pairs]


# ------------------------------------------------------------------------------------------------ limits


def _limits(found: Quotients, which: Which) -> Figures:
    """Return a limit of each interval as an answer rounds it: money to as many digits as everything else."""
    kpi, limits = found.ask.kpi, _small_samples(found, which)
    (top, bottom), told, some = _division(found), _is_told(found), found.denominators > 0
    has_one = told & some & (found.numerators >= 0) & ~((top > bottom).astype(np.bool_) & kpi.proportion)
    by_post = has_one & (found.numerators > 0) & ~found.apart & (found.known >= FEWEST_MEMBERS)
    for group in np.flatnonzero(by_post).tolist():
        own = interval(found.ask, found.sides(group))
        limit = None if own is None else own.low if which is Which.LOW else own.high
        limits[group] = np.nan if limit is None else float(limit)
    if kpi.small_sample is Method.GARWOOD:
        # Of a cost per event that has not happened yet there is a lower limit.
        has_one |= told & (found.denominators == 0)
    # Limits of money are shown without an offset: there is none in a price.
    offset = 0 if kpi.unit is Unit.MONEY else kpi.offset
    numbers = _rounded(has_one.tolist(), limits + offset if offset else limits)
    if kpi.proportion:
        numbers = [None if number is None else min(number, 1.0) for number in numbers]
    return Figures(numbers=numbers)


def _small_samples(found: Quotients, which: Which) -> FloatArray:
    """Return a limit of few members for each group by the method of the KPI; not a number where there is none."""
    kpi, (above, below) = found.ask.kpi, (found.numerators, found.denominators)
    if kpi.small_sample not in (Method.WILSON, Method.GARWOOD):
        return np.full(len(found.groups), np.nan)
    if max(_largest(above) * kpi.scale, _largest(below)) >= _EXACT:
        return np.array([_one_by_one(found, group, which) for group in range(len(found.groups))], dtype=np.float64)
    units = factor(kpi.numerator or ""), factor(kpi.denominator or "")
    counts, whole = below // units[1], below % units[1] == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        if kpi.small_sample is Method.WILSON:
            whole &= above % units[0] == 0
            return np.where(whole, _wilson(above // units[0], counts, which, found.ask.level), np.nan)
        return np.where(whole, _garwood(above * kpi.scale / units[0], counts, which, found.ask.level), np.nan)


def _one_by_one(found: Quotients, group: int, which: Which) -> float:
    own = interval(found.ask, msgspec.structs.replace(found.sides(group), apart=True))
    limit = None if own is None else own.low if which is Which.LOW else own.high
    return math.nan if limit is None else float(limit)


def _wilson(successes: IntArray, counts: IntArray, which: Which, level: float) -> FloatArray:
    """Return what ``rates.wilson_limits`` does, for columns."""
    z, trials = normal_quantile(level), counts.astype(np.float64)
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    if which is Which.LOW:
        limits = np.where(successes == 0, 0.0, np.maximum(0.0, centre - half))
    else:
        limits = np.where(successes == counts, 1.0, np.minimum(1.0, centre + half))
    return np.where((counts > 0) & (successes >= 0) & (successes <= counts), limits, np.nan)


def _garwood(amounts: FloatArray, counts: IntArray, which: Which, level: float) -> FloatArray:
    """Return what ``rates.per_count`` does, for columns; the upper side of a count of 0 is open."""
    tail, fits = (1 - level) / 2, (counts >= 0) & (amounts > 0)
    usable = np.where(fits, counts, 1).astype(np.float64)
    if which is Which.LOW:
        return np.where(fits, amounts / special.gammainccinv(usable + 1, tail), np.nan)
    return np.where(fits & (counts > 0), amounts / special.gammaincinv(usable, tail), np.nan)


# ------------------------------------------------------------------------------------------------ changes


def changes(kpi: Kpi, current: Figures, previous: Figures) -> Figures:
    """Return the change of each group as a fraction of what it was before.

    Columns in different units are those of which one knows nothing.
    """
    if current.units != previous.units:
        return Figures(numbers=[None] * len(current.numbers))
    numbers = [_answered(kpi, one) for one in (current, previous)]
    return Figures(numbers=[_relative(now, before) for now, before in zip(*numbers, strict=True)])


def _answered(kpi: Kpi, found: Figures) -> Sequence[Figure]:
    """Return numbers as they are answered, but money in its own units: those cancel out."""
    if found.units == 1 or kpi.unit is Unit.MONEY:
        return found.numbers
    told = (None if number is None else shown(kpi.slug, int(number), None) for number in found.numbers)
    return [None if number is None else _plain(number) for number in told]


def _plain(number: Number) -> int | float:
    assert not isinstance(number, str)  # noqa: S101 - money was asked for above
    return number


def _relative(current: Figure, previous: Figure) -> float | None:
    return None if current is None or previous is None else relative(current, previous)
