"""KPIs that are quotients: alignment of members, null rules, and the default interval.

A quotient is one of sums over the same members. What platforms measure must be known on both sides; what is booked
(costs, conversions) is known everywhere once it is known anywhere.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec
import numpy as np

from service.kpi.catalogue import Kpi
from service.kpi.measure import Coverage, Interval, Method, Number, Reason, State, Unit, Value, significant
from service.kpi.members import BOOKED, BoolArray, Column, FloatArray, MemberSums, count, read, shared_amount
from service.kpi.money import limit_text, price_text
from service.kpi.question import Ask, coverage_of, factor, is_money, null, shown
from service.kpi.rates import Aligned, align, by_post, per_count, wilson

_APART = "cost and denominator are reported for different members: campaign totals are divided"


class _Sides(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Numerator and denominator of a ratio in stored units, and the members behind them.

    ``apart`` marks totals of a whole campaign, whose members cannot be paired.
    """

    aligned: Aligned
    numerator: int
    denominator: int
    fixed: tuple[int, int]
    coverage: Coverage
    apart: bool


def quotient(ask: Ask) -> Value:
    """Return a ratio of sums with its interval and coverage, or null with the reason."""
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    numerator, denominator = _column(ask.sums, above), _column(ask.sums, below)
    if denominator is None:
        return _absent(ask, below, Reason.MISSING_DENOMINATOR)
    if numerator is None:
        return _absent(ask, above, Reason.MISSING_NUMERATOR)
    if ask.currency is None and (is_money(above) or is_money(below)):
        return null(ask, Reason.MIXED_CURRENCY)
    sides = _sides(ask, numerator, denominator)
    return _gap(ask, denominator, sides) or _divided(ask, sides)


def _absent(ask: Ask, key: str, reason: Reason) -> Value:
    coverage = Coverage(members_known=0, members_total=len(ask.sums.members))
    return null(ask, Reason.NO_COST if key == "cost" else reason, coverage=coverage)


def _column(sums: MemberSums, key: str) -> Column | None:
    """Return a metric for alignment, or None where nobody knows it.

    What is booked is known for every member as soon as it is known at all: no entry means that nothing happened.
    """
    column = read(sums, key)
    anywhere = count(column.known) > 0 or shared_amount(sums, key) is not None
    if not anywhere:
        return None
    if key not in BOOKED:
        return column
    return Column(values=np.where(column.known, column.values, 0), known=np.ones_like(column.known))


def _sides(ask: Ask, numerator: Column, denominator: Column) -> _Sides:
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    aligned = align(numerator, denominator)
    fixed = (shared_amount(ask.sums, above) or 0, shared_amount(ask.sums, below) or 0)
    apart = _is_apart(above, aligned)
    top = aligned.numerator_all if apart else aligned.numerator
    coverage = coverage_of(ask, aligned, fixed[0])
    if apart:
        coverage = msgspec.structs.replace(coverage, numerator_share=1.0)
    return _Sides(
        aligned=aligned,
        numerator=top + fixed[0],
        denominator=aligned.denominator + fixed[1],
        fixed=fixed,
        coverage=coverage,
        apart=apart,
    )


def _is_apart(above: str, aligned: Aligned) -> bool:
    return above in BOOKED and aligned.numerator == 0 and aligned.numerator_all != 0


def counted(kpi: Kpi, sums: MemberSums) -> tuple[BoolArray, BoolArray]:
    """Return which members stand behind the numerator and the denominator of a quotient.

    Where one side is known to nobody the quotient is null, and whoever knows the other is returned for it.
    """
    above, below = kpi.numerator or "", kpi.denominator or ""
    numerator, denominator = _column(sums, above), _column(sums, below)
    if numerator is None or denominator is None:
        return read(sums, above).known, read(sums, below).known
    aligned = align(numerator, denominator)
    return (numerator.known if _is_apart(above, aligned) else aligned.mask), aligned.mask


class Paired(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Numerator and denominator of a quotient by member, in whole units, for those who set two of them side by side.

    ``fixed`` is what belongs to no member. Where members cannot be paired the totals stand for one member.
    """

    numerators: FloatArray
    denominators: FloatArray
    fixed: tuple[float, float]


def paired(kpi: Kpi, sums: MemberSums) -> Paired | None:
    """Return the members behind a quotient of one currency, or None where a side is known to nobody."""
    above, below = kpi.numerator or "", kpi.denominator or ""
    numerator, denominator = _column(sums, above), _column(sums, below)
    if numerator is None or denominator is None:
        return None
    sides = _sides(Ask(kpi=kpi, sums=sums, currency=None, level=0.95, strict=False), numerator, denominator)
    fixed = sides.fixed[0] / factor(above), sides.fixed[1] / factor(below)
    if sides.apart:
        whole = (sides.numerator - sides.fixed[0]) / factor(above), (sides.denominator - sides.fixed[1]) / factor(below)
        return Paired(numerators=np.array([whole[0]]), denominators=np.array([whole[1]]), fixed=fixed)
    return Paired(
        numerators=_scaled(sides.aligned.numerators, above),
        denominators=_scaled(sides.aligned.denominators, below),
        fixed=fixed,
    )


def _gap(ask: Ask, denominator: Column, sides: _Sides) -> Value | None:
    """Return the null value of a ratio without common members, or with too few for strict coverage."""
    total, known = len(ask.sums.members), sides.coverage.members_known
    without = total - count(denominator.known)
    if ask.strict and known < total:
        reason = Reason.MISSING_DENOMINATOR if without else Reason.MISSING_NUMERATOR
        return null(ask, reason, detail=f"{total - known}_of_{total}_posts", coverage=sides.coverage)
    if not known and not any(sides.fixed):
        return null(ask, Reason.MISSING_DENOMINATOR, coverage=sides.coverage)
    return None


def _divided(ask: Ask, sides: _Sides) -> Value:
    kpi = ask.kpi
    above, below = kpi.numerator or "", kpi.denominator or ""
    numerator, denominator = shown(above, sides.numerator, ask.currency), shown(below, sides.denominator, ask.currency)
    currency = ask.currency if is_money(above) or is_money(below) else None
    note = _APART if sides.apart else kpi.note
    if sides.denominator <= 0:
        reason = Reason.NEGATIVE_DENOMINATOR if sides.denominator else Reason.ZERO_DENOMINATOR
        return null(
            ask,
            reason,
            interval=_lower_limit(ask, sides) if reason is Reason.ZERO_DENOMINATOR else None,
            numerator=numerator,
            denominator=denominator,
            currency=currency,
            coverage=sides.coverage,
            note=note,
        )
    bottom = sides.denominator * factor(above) * kpi.per
    top = sides.numerator * kpi.scale * factor(below) + kpi.offset * bottom
    exceeds = kpi.proportion and top > bottom
    return Value(
        # Whole numbers are divided to the nearest float; only a price is kept exact beyond that.
        value=price_text(Fraction(top, bottom), ask.currency or "")
        if kpi.unit is Unit.MONEY
        else significant(top / bottom),
        unit=kpi.unit,
        state=State.OK if top else State.ZERO,
        reason=Reason.NUMERATOR_EXCEEDS_DENOMINATOR if exceeds else None,
        interval=None if exceeds else _shown_interval(ask, _interval(ask, sides)),
        numerator=numerator,
        denominator=denominator,
        currency=currency,
        coverage=sides.coverage,
        note=note,
    )


def _scaled(values: FloatArray, key: str, scale: float = 1) -> FloatArray:
    units = factor(key)
    return values if units == scale else values * (scale / units)


def _interval(ask: Ask, sides: _Sides) -> Interval | None:
    """Return the interval before the offset: by post where possible, else the KPI's small-sample one."""
    if sides.numerator < 0:
        return None
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    if sides.numerator > 0 and not sides.apart:
        scale = ask.kpi.scale / ask.kpi.per
        fixed = sides.fixed[0] * scale / factor(above), sides.fixed[1] / factor(below)
        found = by_post(
            _scaled(sides.aligned.numerators, above, scale),
            _scaled(sides.aligned.denominators, below),
            ask.level,
            fixed,
        )
        if found is not None:
            return found
    return _small_sample(ask, sides)


def _small_sample(ask: Ask, sides: _Sides) -> Interval | None:
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    count = _whole(below, sides.denominator)
    if count is None:
        return None
    if ask.kpi.small_sample is Method.WILSON:
        successes = _whole(above, sides.numerator)
        return None if successes is None else wilson(successes, count, ask.level)
    if ask.kpi.small_sample is Method.GARWOOD:
        return per_count(sides.numerator * ask.kpi.scale / factor(above), count, ask.level)
    return None


def _whole(key: str, amount: int) -> int | None:
    """Return a stored amount as a plain count, or None for a fractional one."""
    count, rest = divmod(amount, factor(key))
    return None if rest else count


def _lower_limit(ask: Ask, sides: _Sides) -> Interval | None:
    """Return the open interval of a cost per event that has not happened yet."""
    return _shown_interval(ask, _small_sample(ask, sides)) if ask.kpi.small_sample is Method.GARWOOD else None


def _shown_interval(ask: Ask, interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return msgspec.structs.replace(interval, low=_limit(ask, interval.low), high=_limit(ask, interval.high))


def _limit(ask: Ask, limit: Number | None) -> Number | None:
    if limit is None:
        return None
    if ask.kpi.unit is Unit.MONEY:
        return limit_text(float(limit), ask.currency or "")
    shifted = significant(float(limit) + ask.kpi.offset)
    return min(shifted, 1.0) if ask.kpi.proportion else shifted
