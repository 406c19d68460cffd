"""Two arms compared within strata (platforms): Mantel-Haenszel ratios and the Cochran-Mantel-Haenszel test.

Pooled figures can point the other way than every stratum does; then the stratified answer is the one to show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from scipy import special

from service.kpi.proportions import Proportion
from service.kpi.rates import LEVEL, normal_quantile


class Stratified(msgspec.Struct, frozen=True, kw_only=True):
    """Ratios of a to b over strata, each with limits on the log scale, the test of no association, and the crude view.

    ``reversed`` is True where the crude difference and the stratified ratio point to different sides.
    """

    risk_ratio: float | None
    risk_ratio_limits: tuple[float, float] | None
    odds_ratio: float | None
    odds_ratio_limits: tuple[float, float] | None
    statistic: float | None
    p_value: float | None
    crude_difference: float
    reversed: bool


def stratified(strata: Sequence[tuple[Proportion, Proportion]], level: float = LEVEL) -> Stratified:
    """Return the stratified comparison of (a, b) pairs; ratios are None where they are undefined.

    Raises ValueError for no strata.
    """
    if not strata:
        raise ValueError("a stratified comparison has strata")
    crude = _crude_difference(strata)
    risk = _risk_ratio(strata)
    odds = _odds_ratio(strata)
    test = cmh(strata)
    return Stratified(
        risk_ratio=risk[0] if risk else None,
        risk_ratio_limits=_limits(risk, level),
        odds_ratio=odds[0] if odds else None,
        odds_ratio_limits=_limits(odds, level),
        statistic=test[0] if test else None,
        p_value=test[1] if test else None,
        crude_difference=crude,
        reversed=risk is not None and crude * (risk[0] - 1) < 0,
    )


def _crude_difference(strata: Sequence[tuple[Proportion, Proportion]]) -> float:
    rate_a = sum(a.successes for a, _ in strata) / sum(a.trials for a, _ in strata)
    rate_b = sum(b.successes for _, b in strata) / sum(b.trials for _, b in strata)
    return rate_a - rate_b


def cmh(strata: Sequence[tuple[Proportion, Proportion]], *, correction: bool = False) -> tuple[float, float] | None:
    """Return the chi-square statistic (1 df) and its p-value, or None where no stratum tells anything."""
    excess = variance = 0.0
    for a, b in strata:
        n, hits = a.trials + b.trials, a.successes + b.successes
        excess += a.successes - a.trials * hits / n
        variance += a.trials * b.trials * hits * (n - hits) / (n * n * (n - 1))
    if variance <= 0:
        return None
    distance = max(0.0, abs(excess) - 0.5) if correction else abs(excess)
    statistic = distance * distance / variance
    return statistic, float(special.chdtrc(1, statistic))


def _risk_ratio(strata: Sequence[tuple[Proportion, Proportion]]) -> tuple[float, float] | None:
    """Return the pooled ratio and the standard error of its logarithm (Greenland and Robins 1985)."""
    above = below = spread = 0.0
    for a, b in strata:
        n = a.trials + b.trials
        above += a.successes * b.trials / n
        below += b.successes * a.trials / n
        hits = a.successes + b.successes
        spread += (a.trials * b.trials * hits - a.successes * b.successes * n) / (n * n)
    if above <= 0 or below <= 0:
        return None
    return above / below, math.sqrt(max(0.0, spread) / (above * below))


def _odds_ratio(strata: Sequence[tuple[Proportion, Proportion]]) -> tuple[float, float] | None:
    """Return the pooled odds ratio and the standard error of its logarithm (Robins, Breslow and Greenland 1986)."""
    r = s = pr = mixed = qs = 0.0
    for a, b in strata:
        n = a.trials + b.trials
        miss_a, miss_b = a.trials - a.successes, b.trials - b.successes
        r_i, s_i = a.successes * miss_b / n, miss_a * b.successes / n
        p_i, q_i = (a.successes + miss_b) / n, (miss_a + b.successes) / n
        r, s = r + r_i, s + s_i
        pr, qs, mixed = pr + p_i * r_i, qs + q_i * s_i, mixed + p_i * s_i + q_i * r_i
    if r <= 0 or s <= 0:
        return None
    return r / s, math.sqrt(pr / (2 * r * r) + mixed / (2 * r * s) + qs / (2 * s * s))


def _limits(pooled: tuple[float, float] | None, level: float) -> tuple[float, float] | None:
    if pooled is None:
        return None
    ratio, se = pooled
    half = normal_quantile(level) * se
    return ratio * math.exp(-half), ratio * math.exp(half)
