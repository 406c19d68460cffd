"""Two proportions of independent arms: difference, ratio, tests, power, and an interval for daily looking.

Everything here takes trials as independent; ``lift`` and ``compare`` allow for clicks that cluster by post.
The arms of campaigns are not randomised: a difference is a difference, not a cause.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import msgspec
import numpy as np
from scipy import special

from service.kpi.members import FloatArray
from service.kpi.rates import ALPHA, LEVEL, normal_quantile, wilson_limits

TUNING_N = 5_000
"""The sample size at which the anytime-valid interval is tightest; it must be fixed before looking."""

_NODES = 400
_TAIL = 1e-15


class Proportion(msgspec.Struct, frozen=True, kw_only=True):
    """Successes out of trials; raises ValueError for what is no proportion."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if self.trials <= 0 or not 0 <= self.successes <= self.trials:
            raise ValueError("a proportion has trials, and no more successes than trials")

    @property
    def rate(self) -> float:
        return self.successes / self.trials


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A test statistic and its two-sided p-value."""

    statistic: float
    p_value: float


def newcombe(a: Proportion, b: Proportion, level: float = LEVEL) -> tuple[float, float]:
    """Return the limits of a - b from the two Wilson intervals (Newcombe 1998, method 10)."""
    low_a, high_a = _wilson_limits(a, level)
    low_b, high_b = _wilson_limits(b, level)
    difference = a.rate - b.rate
    return (
        difference - math.hypot(a.rate - low_a, high_b - b.rate),
        difference + math.hypot(high_a - a.rate, b.rate - low_b),
    )


def _wilson_limits(p: Proportion, level: float) -> tuple[float, float]:
    limits = wilson_limits(p.successes, p.trials, level)
    if limits is None:
        raise ValueError("a proportion has a Wilson interval")
    return limits


def ratio_log(a: Proportion, b: Proportion, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the limits of a / b on the log scale, or None where an arm has no success."""
    if not a.successes or not b.successes:
        return None
    variance = 1 / a.successes - 1 / a.trials + 1 / b.successes - 1 / b.trials
    half = normal_quantile(level) * math.sqrt(variance)
    ratio = a.rate / b.rate
    return ratio * math.exp(-half), ratio * math.exp(half)


def score_test(a: Proportion, b: Proportion) -> Score | None:
    """Return the pooled z-test without correction, or None where all or no trials succeed."""
    pooled = (a.successes + b.successes) / (a.trials + b.trials)
    variance = pooled * (1 - pooled) * (1 / a.trials + 1 / b.trials)
    if variance <= 0:
        return None
    z = (a.rate - b.rate) / math.sqrt(variance)
    return Score(statistic=z, p_value=2 * float(special.ndtr(-abs(z))))


def cohens_h(p1: float, p2: float) -> float:
    """Return the arcsine effect size of p1 over p2."""
    return 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2))


def probability_better(a: Proportion, b: Proportion, prior: tuple[float, float] = (1.0, 1.0)) -> float:
    """Return P(a > b) for independent Beta posteriors under a common prior (uniform by default).

    Gauss-Legendre quadrature over the narrower posterior, on whose range the other one's distribution is smooth.
    """
    first, second = _posterior(a, prior), _posterior(b, prior)
    if first.end - first.start <= second.end - second.start:
        return _mean_over(first, lambda x: special.betainc(second.alpha, second.beta, x))
    return _mean_over(second, lambda x: special.betaincc(first.alpha, first.beta, x))


class _Posterior(msgspec.Struct, frozen=True, kw_only=True):
    """A Beta distribution and the range that holds all of its mass that matters."""

    alpha: float
    beta: float
    start: float
    end: float


def _posterior(p: Proportion, prior: tuple[float, float]) -> _Posterior:
    alpha, beta = prior[0] + p.successes, prior[1] + p.trials - p.successes
    start, end = special.betaincinv(alpha, beta, _TAIL), special.betainccinv(alpha, beta, _TAIL)
    return _Posterior(alpha=alpha, beta=beta, start=float(start), end=float(end))


def _mean_over(posterior: _Posterior, function: Callable[[FloatArray], FloatArray]) -> float:
    """Return the mean of a function under a posterior, whose density is normalised by the same nodes."""
    nodes, weights = _quadrature()
    x = posterior.start + (posterior.end - posterior.start) * (nodes + 1) / 2
    log_density = special.xlogy(posterior.alpha - 1, x) + special.xlog1py(posterior.beta - 1, -x)
    mass = weights * np.exp(log_density - log_density.max())
    return float((mass * function(x)).sum() / mass.sum())


@functools.cache
def _quadrature() -> tuple[FloatArray, FloatArray]:
    return np.polynomial.legendre.leggauss(_NODES)


def unpooled_se(a: Proportion, b: Proportion) -> float:
    """Return the standard error of a - b with each arm's own variance."""
    return math.sqrt(a.rate * (1 - a.rate) / a.trials + b.rate * (1 - b.rate) / b.trials)


def wald(a: Proportion, b: Proportion, level: float = LEVEL) -> tuple[float, float]:
    """Return the plain normal limits of a - b: for one planned look only.

    No verdict has them: a published case sets them against :func:`anytime`.
    """
    difference, half = a.rate - b.rate, normal_quantile(level) * unpooled_se(a, b)
    return difference - half, difference + half


def anytime_multiplier(n: float, tuning_n: float = TUNING_N, alpha: float = ALPHA) -> float:
    """Return what a standard error is multiplied by so that the interval holds at every look at once.

    Normal-mixture confidence sequence: sqrt((1+r) ln((1+r)/(r alpha^2))) with r = (n*/n) / (2 ln(1/alpha) +
    ln(1 + 2 ln(1/alpha))), n the trials of both arms so far.
    """
    log = math.log(1 / alpha)
    r = tuning_n / n / (2 * log + math.log1p(2 * log))
    return math.sqrt((1 + r) * math.log((1 + r) / (r * alpha * alpha)))


def anytime(a: Proportion, b: Proportion, tuning_n: float = TUNING_N, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the anytime-valid limits of a - b, for a dashboard that is looked at every day."""
    difference = a.rate - b.rate
    half = unpooled_se(a, b) * anytime_multiplier(a.trials + b.trials, tuning_n, alpha)
    return difference - half, difference + half


def sample_size(p1: float, p2: float, alpha: float = ALPHA, power: float = 0.8) -> int | None:
    """Return the trials per arm to see p1 against p2, or None where they are equal (arcsine effect, two-sided normal).

    Multiply by the design effect where trials cluster.
    """
    effect = cohens_h(p1, p2)
    if effect == 0:
        return None
    quantiles = normal_quantile(1 - alpha) + float(special.ndtri(power))
    return math.ceil(2 * (quantiles / effect) ** 2)
