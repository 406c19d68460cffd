"""KPIs that are quotients: alignment of members, null rules, and the default interval.

A quotient is one of sums over the same members. What platforms measure must be known on both sides; what is booked
(costs, conversions) is known everywhere once it is known anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import msgspec
import numpy as np

from service.kpi.catalogue import Kpi
from service.kpi.measure import Coverage, Interval, Method, Number, Reason, State, Unit, Value, significant
from service.kpi.members import BOOKED, BoolArray, Column, FloatArray, MemberSums, count, read, shared_amount
from service.kpi.money import limit_text, price_text
from service.kpi.question import Ask, coverage_of, factor, is_money, null, shown
from service.kpi.rates import FEWEST_MEMBERS, Aligned, align, by_post, per_count, wilson

_APART = "cost and denominator are reported for different members: campaign totals are divided"


class Sides(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Numerator and denominator of a ratio in stored units, and the members behind them.

    ``pairs`` gives both sides by member; ``without`` is how many members lack the denominator. ``apart`` marks totals
    of a whole campaign, whose members cannot be paired.
    """

    numerator: int
    denominator: int
    fixed: tuple[int, int]
    coverage: Coverage
    without: int
    apart: bool
    pairs: Callable[[], tuple[FloatArray, FloatArray]]


def quotient(ask: Ask) -> Value:
    """Return a ratio of sums with its interval and coverage, or null with the reason."""
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    numerator, denominator = _column(ask.sums, above), _column(ask.sums, below)
    if numerator is None or denominator is None:
        return absent(ask, len(ask.sums.members), below=denominator is None)
    if has_no_currency(ask):
        return null(ask, Reason.MIXED_CURRENCY)
    return divided(ask, _sides(ask, numerator, denominator))


def absent(ask: Ask, members: int, *, below: bool) -> Value:
    """Return the null value of a ratio of which nobody knows a side: ``below``, or the one above."""
    key = (ask.kpi.denominator if below else ask.kpi.numerator) or ""
    reason = Reason.MISSING_DENOMINATOR if below else Reason.MISSING_NUMERATOR
    coverage = Coverage(members_known=0, members_total=members)
    return null(ask, Reason.NO_COST if key == "cost" else reason, coverage=coverage)


def has_no_currency(ask: Ask) -> bool:
    """Tell whether a ratio is one of money, and the money is in several currencies."""
    return ask.currency is None and any(is_money(key or "") for key in (ask.kpi.numerator, ask.kpi.denominator))


def divided(ask: Ask, sides: Sides) -> Value:
    """Return the ratio of two sides that somebody knows, in one currency."""
    return _gap(ask, sides) or _divided(ask, sides)


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


def _sides(ask: Ask, numerator: Column, denominator: Column) -> Sides:
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    aligned = align(numerator, denominator)
    fixed = (shared_amount(ask.sums, above) or 0, shared_amount(ask.sums, below) or 0)
    apart = _is_apart(above, aligned)
    top = aligned.numerator_all if apart else aligned.numerator
    coverage = coverage_of(ask, aligned, fixed[0])
    if apart:
        coverage = msgspec.structs.replace(coverage, numerator_share=1.0)
    return Sides(
        numerator=top + fixed[0],
        denominator=aligned.denominator + fixed[1],
        fixed=fixed,
        coverage=coverage,
        without=len(ask.sums.members) - count(denominator.known),
        apart=apart,
        pairs=lambda: (aligned.numerators, aligned.denominators),
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
    numerators, denominators = sides.pairs()
    return Paired(numerators=_scaled(numerators, above), denominators=_scaled(denominators, below), fixed=fixed)


def _gap(ask: Ask, sides: Sides) -> Value | None:
    """Return the null value of a ratio without common members, or with too few for strict coverage."""
    total, known = sides.coverage.members_total, sides.coverage.members_known
    if ask.strict and known < total:
        reason = Reason.MISSING_DENOMINATOR if sides.without else Reason.MISSING_NUMERATOR
        return null(ask, reason, detail=f"{total - known}_of_{total}_posts", coverage=sides.coverage)
    if not known and not any(sides.fixed):
        return null(ask, Reason.MISSING_DENOMINATOR, coverage=sides.coverage)
    return None


def _divided(ask: Ask, sides: Sides) -> Value:
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
        interval=None if exceeds else _limited(ask, interval(ask, sides)),
        numerator=numerator,
        denominator=denominator,
        currency=currency,
        coverage=sides.coverage,
        note=note,
    )


def _scaled(values: FloatArray, key: str, scale: float = 1) -> FloatArray:
    units = factor(key)
    return values if units == scale else values * (scale / units)


def interval(ask: Ask, sides: Sides) -> Interval | None:
    """Return the interval before the offset: by post where possible, else the KPI's small-sample one."""
    if sides.numerator < 0:
        return None
    above, below = ask.kpi.numerator or "", ask.kpi.denominator or ""
    if sides.numerator > 0 and not sides.apart and sides.coverage.members_known >= FEWEST_MEMBERS:
        scale, (numerators, denominators) = ask.kpi.scale / ask.kpi.per, sides.pairs()
        fixed = sides.fixed[0] * scale / factor(above), sides.fixed[1] / factor(below)
        found = by_post(_scaled(numerators, above, scale), _scaled(denominators, below), ask.level, fixed)
        if found is not None:
            return found
    return _small_sample(ask, sides)


def _small_sample(ask: Ask, sides: Sides) -> Interval | None:
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


def _lower_limit(ask: Ask, sides: Sides) -> Interval | None:
    """Return the open interval of a cost per event that has not happened yet."""
    return _limited(ask, _small_sample(ask, sides)) if ask.kpi.small_sample is Method.GARWOOD else None


def _limited(ask: Ask, found: Interval | None) -> Interval | None:
    if found is None:
        return None
    return msgspec.structs.replace(found, low=_limit(ask, found.low), high=_limit(ask, found.high))


def _limit(ask: Ask, limit: Number | None) -> Number | None:
    if limit is None:
        return None
    if ask.kpi.unit is Unit.MONEY:
        return limit_text(float(limit), ask.currency or "")
    shifted = significant(float(limit) + ask.kpi.offset)
    return min(shifted, 1.0) if ask.kpi.proportion else shifted
