"""Pacing of a budget or a goal over a flight, and where it will end. The end date is inclusive.

Amounts are integers of any one unit (millionths of money, plain counts); what is computed from them is exact, but for
projection intervals, which are estimates.
"""

from __future__ import annotations

import enum
import itertools
import math
import statistics
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction

import msgspec

from service.kpi.measure import Interval, Method, Reason
from service.kpi.periods import Flight, day_start, local_day
from service.kpi.rates import LEVEL, t_quantile

FEWEST_DAYS_BY_WEEKDAY = 14
_WEEKDAYS = 7


class Basis(enum.StrEnum):
    """What time is counted in: local days, each as long as any other, or real hours."""

    DAYS = "days"
    HOURS = "hours"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How far a plan has come.

    ``total``, ``elapsed`` and ``remaining_time`` are in days or hours, by the basis. ``pacing`` is actual over
    expected: 1 is on plan. ``projected`` assumes the mean rate so far; ``required`` is the rate that would still
    reach the plan, per day or hour.
    """

    basis: Basis
    total: Fraction
    elapsed: Fraction
    remaining_time: Fraction
    expected: Fraction | None
    pacing: Fraction | None
    projected: Fraction | None
    remaining: int
    required: Fraction | None
    reason: Reason | None = None


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """A projected total with the way it was made."""

    total: float
    interval: Interval | None
    by_weekday: bool


def elapsed_days(flight: Flight, now: datetime, zone: str) -> Fraction:
    """Return the local days of a flight that have passed; of the current day, the share of its real length."""
    today = local_day(now, zone)
    if today < flight.first:
        return Fraction(0)
    if today > flight.last:
        return Fraction((flight.last - flight.first).days + 1)
    opens, closes = day_start(today, zone), day_start(today + timedelta(days=1), zone)
    return (today - flight.first).days + _ratio(now - opens, closes - opens)


def _ratio(part: timedelta, whole: timedelta) -> Fraction:
    microsecond = timedelta(microseconds=1)
    return Fraction(part // microsecond, whole // microsecond)


def _time(flight: Flight, now: datetime, zone: str, basis: Basis) -> tuple[Fraction, Fraction]:
    if basis is Basis.DAYS:
        return Fraction((flight.last - flight.first).days + 1), elapsed_days(flight, now, zone)
    start, end = day_start(flight.first, zone), day_start(flight.last + timedelta(days=1), zone)
    hour = timedelta(hours=1)
    return _ratio(end - start, hour), _ratio(min(max(now, start), end) - start, hour)


def pace(plan: int, actual: int, flight: Flight, *, now: datetime, zone: str, basis: Basis = Basis.DAYS) -> Pace:
    """Return how ``actual`` stands against ``plan`` at ``now``.

    Before the flight nothing is expected and the pacing is null; after it, pacing is actual over plan.
    """
    total, elapsed = _time(flight, now, zone, basis)
    rest = total - elapsed
    expected = plan * elapsed / total
    return Pace(
        basis=basis,
        total=total,
        elapsed=elapsed,
        remaining_time=rest,
        expected=expected if elapsed else None,
        pacing=actual / expected if expected > 0 else None,
        projected=actual * total / elapsed if elapsed else None,
        remaining=plan - actual,
        required=(plan - actual) / rest if rest else None,
        reason=_why(elapsed, expected),
    )


def _why(elapsed: Fraction, expected: Fraction) -> Reason | None:
    if not elapsed:
        return Reason.FLIGHT_NOT_STARTED
    return None if expected > 0 else Reason.ZERO_DENOMINATOR


def project(
    daily: Sequence[tuple[date, float]], remaining: Sequence[date], so_far: float, level: float = LEVEL
) -> Projection | None:
    """Return where a total will end, from the complete days so far and the days that remain.

    With 14 days or more, each remaining day is expected at the mean of its weekday, otherwise at the mean of all. The
    interval is that of the mean daily rate: t * sd * sqrt(r + r^2 / n) for r remaining and n observed days. None
    without history.
    """
    if not daily:
        return None
    values = [value for _, value in daily]
    by_weekday = len(values) >= FEWEST_DAYS_BY_WEEKDAY and _covers_week(daily)
    means = _weekday_means(daily) if by_weekday else [statistics.fmean(values)] * _WEEKDAYS
    total = so_far + math.fsum(means[day.weekday()] for day in remaining)
    return Projection(total=total, interval=_limits(values, len(remaining), total, level), by_weekday=by_weekday)


def _covers_week(daily: Sequence[tuple[date, float]]) -> bool:
    return len({day.weekday() for day, _ in daily}) == _WEEKDAYS


def _weekday_means(daily: Sequence[tuple[date, float]]) -> list[float]:
    ordered = sorted(((day.weekday(), value) for day, value in daily), key=lambda pair: pair[0])
    groups = itertools.groupby(ordered, key=lambda pair: pair[0])
    return [statistics.fmean(value for _, value in group) for _, group in groups]


def _limits(values: Sequence[float], remaining: int, total: float, level: float) -> Interval | None:
    n = len(values)
    if n <= 1 or not remaining:
        return None
    half = t_quantile(level, n - 1) * statistics.stdev(values) * math.sqrt(remaining + remaining**2 / n)
    return Interval(low=total - half, high=total + half, level=level, method=Method.DAILY_RATE_T, n=n)
