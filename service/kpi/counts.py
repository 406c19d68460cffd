"""Two Poisson counts per exposure, such as conversions per money, and many tests at once.

Exposures are taken as known. Proportions are in ``proportions``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import special

from service.kpi.rates import LEVEL

_TIE = 1 + 1e-7  # probabilities this close are equal: they differ by rounding only


class RateRatio(msgspec.Struct, frozen=True, kw_only=True):
    """The ratio of two rates with exact limits and p-value; an open side is None."""

    ratio: float | None
    low: float
    high: float | None
    p_value: float


def exact_ratio(
    count_a: int, exposure_a: float, count_b: int, exposure_b: float, level: float = LEVEL
) -> RateRatio | None:
    """Return the rate of a over that of b by the exact conditional method, or None where nothing was counted.

    Given the sum, the first count is binomial with p = ea / (ea + eb); limits are Clopper and Pearson's. Raises
    ValueError for an exposure that is not above 0 or a negative count.
    """
    if exposure_a <= 0 or exposure_b <= 0 or count_a < 0 or count_b < 0:
        raise ValueError("exposures are above 0 and counts are not negative")
    total = count_a + count_b
    if total == 0:
        return None
    tail = (1 - level) / 2
    odds = exposure_b / exposure_a
    low = float(special.betaincinv(count_a, count_b + 1, tail)) if count_a else 0.0
    high = float(special.betainccinv(count_a + 1, count_b, tail)) if count_b else 1.0
    return RateRatio(
        ratio=count_a / count_b * odds if count_b else None,
        low=low / (1 - low) * odds,
        high=high / (1 - high) * odds if count_b else None,
        p_value=binomial_p(count_a, total, exposure_a / (exposure_a + exposure_b)),
    )


def binomial_p(successes: int, trials: int, p: float) -> float:
    """Return the exact two-sided p-value: the mass of all outcomes that are no likelier than the one seen."""
    k = np.arange(trials + 1)
    log_mass = (
        special.gammaln(trials + 1)
        - special.gammaln(k + 1)
        - special.gammaln(trials - k + 1)
        + k * math.log(p)
        + (trials - k) * math.log1p(-p)
    )
    mass = np.exp(log_mass)
    return min(1.0, float(mass[mass <= mass[successes] * _TIE].sum()))


def benjamini_hochberg(p_values: Sequence[float], rate: float = 0.05) -> tuple[list[float], list[bool]]:
    """Return adjusted p-values in the given order, and which are discoveries at a false discovery ``rate``."""
    size = len(p_values)
    order = sorted(range(size), key=lambda i: p_values[i], reverse=True)
    adjusted, smallest = [1.0] * size, 1.0
    for place, i in enumerate(order):
        smallest = min(smallest, p_values[i] * size / (size - place))
        adjusted[i] = smallest
    return adjusted, [p <= rate for p in adjusted]
