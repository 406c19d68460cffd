"""Proportions whose denominator takes thought: retention of customers, share of voice, late conversions.

Plain ratios of metrics are in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from service.kpi.measure import Interval, Method, Reason
from service.kpi.rates import LEVEL, garwood, wilson


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A proportion with its binomial interval, or null with the reason. ``left_out`` counts what was not looked at."""

    value: float | None
    interval: Interval | None
    reason: Reason | None = None
    left_out: int = 0


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """Clicks of one age in whole days and the conversions that have arrived from them so far."""

    age_days: int
    clicks: int
    conversions: int


class Maturity(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion rate while conversions still arrive.

    ``raw_rate`` is too low; ``mature_rate`` uses only cohorts that are complete; ``weighted_rate`` divides by the
    clicks weighted with the share that has normally arrived at their age. ``maturity`` is that share of all clicks.
    """

    raw_rate: float | None
    mature_rate: float | None
    weighted_rate: float | None
    effective_clicks: float
    projected_conversions: float | None
    maturity: float | None
    interval: Interval | None
    reason: Reason | None = None


def share(part: int, whole: int, level: float = LEVEL, left_out: int = 0) -> Share:
    """Return ``part / whole`` under the null rules of a proportion."""
    if whole <= 0:
        return Share(value=None, interval=None, reason=Reason.ZERO_DENOMINATOR, left_out=left_out)
    reason = Reason.NUMERATOR_EXCEEDS_DENOMINATOR if part > whole else None
    return Share(value=part / whole, interval=wilson(part, whole, level), reason=reason, left_out=left_out)


def retention(acquired: int, with_full_window: int, repeated: int, level: float = LEVEL) -> Share:
    """Return the share of acquired customers who bought again within a window.

    Only customers whose whole window has passed are in the denominator; the others are counted as left out.
    """
    left_out = acquired - with_full_window
    if acquired > 0 and with_full_window == 0:
        return Share(value=None, interval=None, reason=Reason.NO_MATURE_COHORT, left_out=left_out)
    return share(repeated, with_full_window, level, left_out)


def share_of_voice(own: int, mentions: Mapping[str, int], level: float = LEVEL) -> Share:
    """Return own mentions over the mentions of all tracked brands; ``mentions`` are those of the competitors.

    The interval takes mentions as independent; where they come in bursts, resample days instead.
    """
    return share(own, own + sum(mentions.values()), level)


def arrived(curve: Mapping[int, float], age_days: int) -> float:
    """Return the share of conversions that has normally arrived at an age.

    The nearest younger age of the curve counts; before the first one nothing has arrived.
    """
    ages = [age for age in curve if age <= age_days]
    return curve[max(ages)] if ages else 0.0


def maturity(cohorts: Sequence[Cohort], curve: Mapping[int, float], level: float = LEVEL) -> Maturity:
    """Return a conversion rate that allows for late conversions, with exact Poisson limits.

    ``curve`` gives the share arrived by age in days (learned from the books' own history).
    """
    clicks = sum(cohort.clicks for cohort in cohorts)
    conversions = sum(cohort.conversions for cohort in cohorts)
    effective = sum(cohort.clicks * arrived(curve, cohort.age_days) for cohort in cohorts)
    mature = [cohort for cohort in cohorts if arrived(curve, cohort.age_days) >= 1]
    mature_clicks = sum(cohort.clicks for cohort in mature)
    return Maturity(
        raw_rate=conversions / clicks if clicks else None,
        mature_rate=sum(cohort.conversions for cohort in mature) / mature_clicks if mature_clicks else None,
        weighted_rate=conversions / effective if effective else None,
        effective_clicks=effective,
        projected_conversions=conversions * clicks / effective if effective else None,
        maturity=effective / clicks if clicks else None,
        interval=_poisson_rate(conversions, effective, level),
        reason=_why_null(clicks, effective),
    )


def _why_null(clicks: int, effective: float) -> Reason | None:
    if not clicks:
        return Reason.ZERO_DENOMINATOR
    return None if effective else Reason.NO_MATURE_COHORT


def _poisson_rate(count: int, exposure: float, level: float) -> Interval | None:
    limits = garwood(count, level)
    if limits is None or exposure <= 0:
        return None
    return Interval(
        low=limits[0] / exposure,
        high=limits[1] / exposure,
        level=level,
        method=Method.GARWOOD,
        n=count,
        ignores_clustering=True,
    )
