"""Intervals of one ratio: binomial, Poisson, and by post.

A ratio is a ratio of sums over the same members, never a mean of ratios. All intervals need only the sums per member.
Comparing two ratios is the business of ``compare`` and its neighbours.
"""

from __future__ import annotations

import functools
import math

import msgspec
import numpy as np
from scipy import special

from service.kpi.measure import Interval, Method
from service.kpi.members import BoolArray, Column, FloatArray, exact_sum

LEVEL = 0.95
ALPHA = 0.05
FEWEST_MEMBERS = 5
"""From this number of members on the interval by post is the default: below it, its coverage is not tested."""

_LARGEST_EXPONENT = 700.0  # e to this power is still a float


class Aligned(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Two columns over the members that know both.

    ``numerator_all`` is the numerator over every member that knows it, so that the covered share can be told.
    """

    mask: BoolArray
    numerators: FloatArray
    denominators: FloatArray
    numerator: int
    denominator: int
    numerator_all: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A ratio of sums with a post-level standard error over ``n`` members."""

    ratio: float
    se: float
    n: int


@functools.lru_cache(maxsize=64)
def normal_quantile(level: float) -> float:
    """Return z for a two-sided interval at ``level``."""
    return float(special.ndtri((1 + level) / 2))


@functools.lru_cache(maxsize=4096)
def t_quantile(level: float, df: int) -> float:
    """Return t with ``df`` degrees of freedom for a two-sided interval at ``level``."""
    return float(special.stdtrit(df, (1 + level) / 2))


def align(numerator: Column, denominator: Column) -> Aligned:
    """Return the members that know both columns, with exact sums and float arrays for the intervals."""
    mask = numerator.known & denominator.known
    above, below = numerator.values[mask], denominator.values[mask]
    return Aligned(
        mask=mask,
        numerators=above.astype(np.float64),
        denominators=below.astype(np.float64),
        numerator=exact_sum(above),
        denominator=exact_sum(below),
        numerator_all=exact_sum(numerator.values[numerator.known]),
    )


def wilson_limits(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the Wilson score limits of a proportion, or None where the numbers are no proportion.

    Without continuity correction; exactly 0 or 1 at the edges.
    """
    if trials <= 0 or not 0 <= successes <= trials:
        return None
    z = normal_quantile(level)
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval | None:
    """Return :func:`wilson_limits` as an interval."""
    limits = wilson_limits(successes, trials, level)
    if limits is None:
        return None
    return Interval(low=limits[0], high=limits[1], level=level, method=Method.WILSON, n=trials, ignores_clustering=True)


def garwood(count: float, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the exact Poisson limits of a count, or None for a fractional or negative one.

    Chi-square limits written as gamma quantiles (Garwood 1936).
    """
    if count < 0 or count != int(count):
        return None
    tail = (1 - level) / 2
    low = float(special.gammaincinv(count, tail)) if count else 0.0
    return low, float(special.gammainccinv(count + 1, tail))


def per_count(amount: float, count: int, level: float = LEVEL) -> Interval | None:
    """Return the interval of ``amount / count`` for a known positive amount and a Poisson count.

    A count of 0 gives a lower limit and an open upper side.
    """
    limits = garwood(count, level)
    if limits is None or amount <= 0:
        return None
    low, high = limits
    return Interval(
        low=amount / high,
        high=amount / low if low else None,
        level=level,
        method=Method.GARWOOD,
        n=count,
        ignores_clustering=True,
    )


def active(numerators: FloatArray, denominators: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the members that carry information: a post with neither numerator nor denominator is no observation."""
    mask = (numerators != 0) | (denominators != 0)
    return numerators[mask], denominators[mask]


def delta_spread(numerators: FloatArray, denominators: FloatArray) -> Spread | None:
    """Return the ratio of sums with its linearised standard error by member, or None for too few members.

    Var = n/(n-1) * sum((m - R d)^2) / sum(d)^2.
    """
    above, below = active(numerators, denominators)
    n, total = len(above), float(below.sum())
    if n <= 1 or total <= 0:
        return None
    ratio = float(above.sum()) / total
    squares = float(np.square(above - ratio * below).sum())
    return Spread(ratio=ratio, se=math.sqrt(n / (n - 1) * squares) / total, n=n)


def jackknife_spread(
    numerators: FloatArray, denominators: FloatArray, fixed: tuple[float, float] = (0.0, 0.0)
) -> Spread | None:
    """Return the ratio of sums with its leave-one-member-out standard error, or None where one is undefined.

    ``fixed`` are parts of numerator and denominator that belong to no member and are never left out.
    """
    above, below = active(numerators, denominators)
    n = len(above)
    numerator, denominator = float(above.sum()) + fixed[0], float(below.sum()) + fixed[1]
    rest = denominator - below
    if n <= 1 or denominator <= 0 or bool((rest <= 0).any()):
        return None
    without = (numerator - above) / rest
    se = math.sqrt((n - 1) / n * float(np.square(without - without.sum() / n).sum()))
    return Spread(ratio=numerator / denominator, se=se, n=n)


def delta_t(numerators: FloatArray, denominators: FloatArray, level: float = LEVEL) -> Interval | None:
    """Return the plain post-level interval: ratio +/- t * linearised standard error.

    No answer has it: like its neighbours by another scale, it is held against published cases beside the default.
    """
    spread = delta_spread(numerators, denominators)
    if spread is None:
        return None
    half = t_quantile(level, spread.n - 1) * spread.se
    return Interval(low=spread.ratio - half, high=spread.ratio + half, level=level, method=Method.DELTA_T, n=spread.n)


def log_delta_t(numerators: FloatArray, denominators: FloatArray, level: float = LEVEL) -> Interval | None:
    """Return the post-level interval with the linearised standard error on the log scale."""
    return _on_log_scale(delta_spread(numerators, denominators), level, Method.LOG_DELTA_T)


def _on_log_scale(spread: Spread | None, level: float, method: Method) -> Interval | None:
    if spread is None or spread.ratio <= 0:
        return None
    exponent = t_quantile(level, spread.n - 1) * spread.se / spread.ratio
    if exponent + math.log(spread.ratio) > _LARGEST_EXPONENT:
        return None
    low, high = spread.ratio * math.exp(-exponent), spread.ratio * math.exp(exponent)
    return Interval(low=low, high=high, level=level, method=method, n=spread.n)


def fieller_t(
    numerators: FloatArray, denominators: FloatArray, level: float = LEVEL
) -> tuple[float, Interval | None] | None:
    """Return Fieller's g and interval for one ratio of paired member sums; no interval for g >= 1.

    Limits solve (mean m - R mean d)^2 = t^2 (Smm - 2 R Smd + R^2 Sdd) / n.
    """
    above, below = active(numerators, denominators)
    n = len(above)
    if n <= 1 or float(below.sum()) <= 0:
        return None
    covariance = np.cov(above, below, ddof=1) / n
    t2 = t_quantile(level, n - 1) ** 2
    mean_above, mean_below = float(above.mean()), float(below.mean())
    g = t2 * float(covariance[1, 1]) / mean_below**2
    if g >= 1:
        return g, None
    a = mean_below**2 - t2 * float(covariance[1, 1])
    b = mean_above * mean_below - t2 * float(covariance[0, 1])
    c = mean_above**2 - t2 * float(covariance[0, 0])
    root = math.sqrt(max(0.0, b * b - a * c))
    limits = Interval(low=(b - root) / a, high=(b + root) / a, level=level, method=Method.FIELLER_T, n=n)
    return g, limits


def by_post(
    numerators: FloatArray, denominators: FloatArray, level: float, fixed: tuple[float, float] = (0.0, 0.0)
) -> Interval | None:
    """Return the default interval by post, R * exp(+/- t * se / R) with the jackknife standard error of the ratio R.

    It stays above 0. None with fewer than five members that carry information, and without a numerator above 0.
    """
    spread = jackknife_spread(numerators, denominators, fixed)
    if spread is None or spread.n < FEWEST_MEMBERS:
        return None
    return _on_log_scale(spread, level, Method.LOG_JACKKNIFE_T)
