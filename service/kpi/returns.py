"""What came back for the money: the interval of a return on ad spend, and earned media value with its rate card.

Earned media value is a convention, not a return: it has no interval and never enters one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from service.kpi.measure import Interval, Method, Reason
from service.kpi.rates import LEVEL, normal_quantile


class Roas(msgspec.Struct, frozen=True, kw_only=True):
    """Value per cost with its standard error, or null with the reason."""

    value: float | None
    se: float | None
    interval: Interval | None
    reason: Reason | None = None


class EarnedMedia(msgspec.Struct, frozen=True, kw_only=True):
    """Earned media value in whole units of the card's currency; incomplete where a unit has no rate or no count."""

    amount: Fraction
    rate_card: str
    incomplete: bool
    without_rate: tuple[str, ...] = ()
    without_count: tuple[str, ...] = ()


def roas(values: Sequence[int], cost: int, level: float = LEVEL) -> Roas:
    """Return order values over a known cost, both in millionths of one currency.

    Orders are a compound Poisson sum: the variance of the total is the sum of the squared values.
    """
    if cost <= 0:
        return Roas(value=None, se=None, interval=None, reason=Reason.ZERO_DENOMINATOR)
    total, squares = sum(values), sum(value * value for value in values)
    value, se = total / cost, math.sqrt(squares) / cost
    half = normal_quantile(level) * se
    interval = Interval(low=value - half, high=value + half, level=level, method=Method.COMPOUND_POISSON, n=len(values))
    return Roas(value=value, se=se, interval=interval if values else None)


def shifted(interval: Interval, by: float, scale: float = 1.0) -> Interval:
    """Return an interval of a number with fixed factor and shift: a return is a ROAS times the margin, minus 1."""
    low = None if interval.low is None else float(interval.low) * scale + by
    high = None if interval.high is None else float(interval.high) * scale + by
    return msgspec.structs.replace(interval, low=low, high=high)


def earned_media_value(counts: Mapping[str, int | None], rates: Mapping[str, Fraction], rate_card: str) -> EarnedMedia:
    """Return the sum of counts times the rates of a named card.

    A unit without a rate, or a rate's unit without a count, is left out and named.
    """
    known = {key: count for key, count in counts.items() if count is not None}
    without_rate = tuple(sorted(key for key in counts if key not in rates))
    without_count = tuple(sorted(key for key in rates if key not in known))
    amount = sum((count * rates[key] for key, count in known.items() if key in rates), start=Fraction(0))
    return EarnedMedia(
        amount=amount,
        rate_card=rate_card,
        incomplete=bool(without_rate or without_count),
        without_rate=without_rate,
        without_count=without_count,
    )
