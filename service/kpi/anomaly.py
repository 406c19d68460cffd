"""Spikes, small lasting shifts and swarms: how far a number is from what came before. A signal, never a verdict.

Young posts decay, so whoever asks compares like with like: the same hours of the week, or the same age.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import special

THRESHOLD = 3.5
"""Robust z from which on a value is a spike (Iglewicz and Hoaglin 1993)."""
_MAD_SCALE = 0.6744897501960817  # the MAD of a normal distribution in standard deviations
_MEAN_AD_SCALE = math.sqrt(math.pi / 2)  # a normal standard deviation in mean absolute deviations: 1.25331
_FEW_AUTHORS = 0.5


class Fallback(enum.StrEnum):
    """What replaced the median absolute deviation where it is 0."""

    MEAN_ABSOLUTE_DEVIATION = "mean_absolute_deviation"
    POISSON_TAIL = "poisson_tail"


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """How far ``observed`` is from its history.

    ``spike`` is None where the history never varied: then only the Poisson tail says how rare the value is (None for
    a history of zeros, which gives no scale at all).
    """

    median: float
    mad: float
    robust_z: float | None
    spike: bool | None
    fallback: Fallback | None = None
    poisson_tail_p: float | None = None


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a moving average with its limits; ``out`` marks a lasting shift."""

    average: float
    low: float
    high: float
    out: bool


class Swarm(msgspec.Struct, frozen=True, kw_only=True):
    """Posts of one hour against a baseline: how rare the count is, and how many people are behind it.

    ``concentrated`` means far fewer authors per post than usual: rather coordinated than an organic wave.
    """

    poisson_tail_p: float
    negbin_tail_p: float
    author_ratio: float | None
    concentrated: bool | None


def spike(history: Sequence[float], observed: float, threshold: float = THRESHOLD) -> Spike | None:
    """Return the robust z of a value against its history (without the value itself), or None without history.

    z = 0.67449 (x - median) / MAD; where the MAD is 0, (x - median) / (1.25331 mean absolute deviation).
    """
    if not history:
        return None
    past = np.asarray(history, dtype=np.float64)
    median = float(np.median(past))
    deviations = np.abs(past - median)
    mad, mean_ad = float(np.median(deviations)), float(deviations.mean())
    if mad > 0:
        z = _MAD_SCALE * (observed - median) / mad
        return Spike(median=median, mad=mad, robust_z=z, spike=abs(z) > threshold)
    if mean_ad > 0:
        z = (observed - median) / (_MEAN_AD_SCALE * mean_ad)
        fallback = Fallback.MEAN_ABSOLUTE_DEVIATION
        return Spike(median=median, mad=mad, robust_z=z, spike=abs(z) > threshold, fallback=fallback)
    tail = poisson_tail(observed, median) if median > 0 else None
    return Spike(median=median, mad=mad, robust_z=None, spike=None, fallback=Fallback.POISSON_TAIL, poisson_tail_p=tail)


def poisson_tail(count: float, mean: float) -> float:
    """Return P(X >= count) of a Poisson count with a mean above 0."""
    at_least = math.ceil(count)
    return float(special.gammainc(at_least, mean)) if at_least > 0 else 1.0


def negbin_tail(count: int, mean: float, dispersion: float) -> float:
    """Return P(X >= count) of a negative binomial count with variance = dispersion * mean.

    A dispersion of 1 or less is the Poisson case.
    """
    if count <= 0:
        return 1.0
    if dispersion <= 1:
        return poisson_tail(count, mean)
    return float(special.betainc(count, mean / (dispersion - 1), 1 - 1 / dispersion))


def ewma(values: Sequence[float], mean: float, sd: float, weight: float = 0.2, width: float = 3.0) -> list[Shift]:
    """Return the exponentially weighted moving average of values with its limits, starting from the baseline mean.

    Limits: mean +/- width * sd * sqrt(weight / (2 - weight) * (1 - (1 - weight)^(2 i))) (Roberts 1959).
    """
    points, average = [], mean
    for i, value in enumerate(values, start=1):
        average = weight * value + (1 - weight) * average
        half = width * sd * math.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * i)))
        low, high = mean - half, mean + half
        points.append(Shift(average=average, low=low, high=high, out=not low <= average <= high))
    return points


def swarm(posts: int, authors: int, *, baseline: float, authors_per_post: float, dispersion: float) -> Swarm:
    """Return how rare an hour of posts is, and whether few authors stand behind it.

    ``baseline`` is the usual posts per hour (above 0), ``authors_per_post`` the usual ratio of distinct authors.
    """
    ratio = authors / posts if posts else None
    return Swarm(
        poisson_tail_p=poisson_tail(posts, baseline),
        negbin_tail_p=negbin_tail(posts, baseline, dispersion),
        author_ratio=ratio,
        concentrated=None if ratio is None else ratio < _FEW_AUTHORS * authors_per_post,
    )
