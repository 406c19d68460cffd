"""Levels and unique people: followers grow, reach is only bounded. Neither is ever summed over time.

Counters that are read again and again are the business of ``snapshots``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.kpi.measure import Bounds, Reason, significant


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """The change of a level: absolute, and as a fraction of the first value where that is above zero."""

    absolute: int | None
    fraction: float | None
    reason: Reason | None = None


def growth(first: int | None, last: int | None) -> Growth:
    """Return last minus first and its fraction of the first; a base of zero gives no fraction."""
    if last is None:
        return Growth(absolute=None, fraction=None, reason=Reason.MISSING_CURRENT)
    if first is None:
        return Growth(absolute=None, fraction=None, reason=Reason.MISSING_PREVIOUS)
    if first <= 0:
        reason = Reason.NEGATIVE_BASE if first else Reason.ZERO_BASE
        return Growth(absolute=last - first, fraction=None, reason=reason)
    return Growth(absolute=last - first, fraction=significant((last - first) / first))


def unexplained(change: int, gained: int, lost: int) -> int:
    """Return what flows leave unexplained of a level's change; 0 means that they reconcile."""
    return change - (gained - lost)


def time_weighted_mean(levels: Sequence[tuple[float, int]], end: float) -> float | None:
    """Return the mean of a step function over [first time, ``end``): each value holds until the next.

    No KPI is a mean over time; a published case has one beside what an answer says of a level.

    ``levels`` are (time, value) pairs in order of time, in any unit of time. None where no time passes.
    """
    if not levels or end <= levels[0][0]:
        return None
    edges = [min(when, end) for when, _ in levels[1:]] + [end]
    spans = [until - min(when, end) for (when, _), until in zip(levels, edges, strict=True)]
    return sum(span * value for span, (_, value) in zip(spans, levels, strict=True)) / (end - levels[0][0])


def union_bounds(people: Sequence[int], cap: int | None = None, unknown: int = 0) -> Bounds | None:
    """Return the bounds of distinct people over several audiences: at least the largest, at most all, never the cap.

    ``unknown`` audiences of unknown size leave only the cap as an upper limit. None where nothing is known. A cap
    below the largest audience contradicts it and is raised to it.
    """
    if not people:
        return None
    lower = max(people)
    upper = None if unknown else sum(people)
    if cap is not None:
        upper = max(lower, cap if upper is None else min(upper, cap))
    return Bounds(lower=lower, upper=upper)


def frequency_bounds(impressions: int, lower: int, upper: int | None) -> Bounds:
    """Return the bounds of impressions per person for the bounds of the people: inverted, open where nobody is sure."""
    least = impressions / upper if upper else 0.0
    most = significant(impressions / lower) if lower else None
    return Bounds(lower=significant(least), upper=most)
