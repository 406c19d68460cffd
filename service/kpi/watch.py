"""A series of buckets watched: which of them are far from what is usual, and since when it has shifted for good.

Usual is the same place in the weeks before where enough weeks are known, otherwise the points just before. One value
against its history is in ``anomaly``; how posts gather is in ``swarms``.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from service.kpi.anomaly import THRESHOLD, Fallback, Spike, ewma, poisson_tail, spike

TRAILING = 28
"""Points before a point that tell what is usual."""
FEWEST = 8
WEEKS = 4
"""Weeks that a place in the week must be known for, before it has a usual of its own."""
RARE = 0.0005
"""The Poisson tail from which on a count is a spike where its history never varied: that of a z of 3.5."""

Series = Sequence[float | None]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket against its usual; ``out`` is whether it is far from it, ``seasonal`` whether weeks were compared."""

    place: int
    observed: float
    usual: float
    found: Spike
    out: bool
    seasonal: bool
    history: int


class Shifted(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket from which on the moving average has left its limits."""

    place: int
    average: float
    usual: float
    low: float
    high: float
    history: int


def watched(values: Series, first: int, season: int, threshold: float = THRESHOLD) -> list[Watched]:
    """Return every known bucket from ``first`` on that has history enough. ``season`` is the buckets of a week."""
    found = []
    for place in range(first, len(values)):
        one = _against_weeks(values, place, season, threshold) or _against_trail(values, place, threshold)
        if one is not None:
            found.append(one)
    return found


def _against_trail(values: Series, place: int, threshold: float) -> Watched | None:
    observed, history = values[place], _known(values[max(0, place - TRAILING) : place])
    if observed is None or len(history) < FEWEST:
        return None
    found = spike(history, observed, threshold)
    if found is None:
        return None
    return Watched(
        place=place,
        observed=observed,
        usual=found.median,
        found=found,
        out=_is_out(found, observed, threshold),
        seasonal=False,
        history=len(history),
    )


def _is_out(found: Spike, observed: float, threshold: float) -> bool:
    """Tell whether a value is far off; counts that never varied are told by the Poisson tail of the nearer side."""
    if found.robust_z is not None:
        return abs(found.robust_z) > threshold
    if found.poisson_tail_p is None:
        return False
    below = 1 - poisson_tail(observed + 1, found.median)
    return min(found.poisson_tail_p, below) < RARE


def _against_weeks(values: Series, place: int, season: int, threshold: float) -> Watched | None:
    """Return a bucket against the same place in the weeks before: what is left over against what was left before."""
    observed, usual = values[place], _of_weeks(values, place, season)
    if observed is None or usual is None:
        return None
    left = [
        value - then
        for at in range(max(0, place - TRAILING), place)
        if (value := values[at]) is not None and (then := _of_weeks(values, at, season)) is not None
    ]
    if len(left) < FEWEST:
        return None
    found = spike(left, observed - usual, threshold)
    if found is None or found.fallback is Fallback.POISSON_TAIL:
        return None
    return Watched(
        place=place,
        observed=observed,
        usual=usual + found.median,
        found=found,
        out=bool(found.spike),
        seasonal=True,
        history=len(left),
    )


def _of_weeks(values: Series, place: int, season: int) -> float | None:
    """Return the median of the same place in the four weeks before, or None where one is not known."""
    places = [place - week * season for week in range(1, WEEKS + 1)]
    if places[-1] < 0:
        return None
    known = _known([values[at] for at in places])
    return statistics.median(known) if len(known) == WEEKS else None


def _known(values: Series) -> list[float]:
    return [value for value in values if value is not None]


def shift(values: Series, first: int) -> Shifted | None:
    """Return where the moving average from ``first`` on left its limits and stayed out; None where it has not.

    Mean and standard deviation are those of the points before ``first``.
    """
    history = _known(values[max(0, first - TRAILING) : first])
    places = [at for at in range(first, len(values)) if values[at] is not None]
    if len(history) < FEWEST or not places:
        return None
    mean, sd = statistics.fmean(history), statistics.stdev(history)
    if sd == 0:
        return None
    points = ewma(_known(values[first:]), mean, sd)
    if not points[-1].out:
        return None
    since = len(points) - 1
    while since > 0 and points[since - 1].out:
        since -= 1
    point = points[since]
    return Shifted(
        place=places[since],
        average=points[-1].average,
        usual=mean,
        low=point.low,
        high=point.high,
        history=len(history),
    )
