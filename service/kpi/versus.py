"""One campaign against another: pooled, by platform, and the word that both allow.

Campaigns are not randomised: *better* says that they differ, never why. Whether two numbers may be set side by side at
all is for whoever asks.
"""

from __future__ import annotations

import math

import msgspec

from service.kpi import layers
from service.kpi.arms import Arm, Nature, alike
from service.kpi.compare import Decision, decide
from service.kpi.layers import Platforms, Stratum
from service.kpi.pooling import design_effect, pair_of, pooled, proportions_of
from service.kpi.proportions import probability_better, sample_size
from service.kpi.rates import normal_quantile
from service.kpi.strata import Stratified
from service.kpi.views import Look, Pair, View, multiplier, view

FEWEST_EVENTS = 10
"""Hits of both arms together below which limits for any number of looks say nothing: they rest on many."""
POWER = 0.8


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """What would not matter: an absolute difference of rates, or a fraction of the other's rate."""

    absolute: float | None = None
    relative: float | None = None


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """What the smaller arm lacks before a difference like this can be told, with four chances out of five.

    ``factor`` is how many times as much it wants; ``of_first`` tells whether arm a is the smaller one.
    """

    amount: int
    factor: float
    of_first: bool


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """Arm a against arm b. ``views`` of rates in which more is better.

    The stratified view decides where there is one; ``reversed`` is True where the two point to different sides.
    ``equivalent`` is None without a margin.
    """

    decision: Decision
    pooled: View
    pair: Pair
    strata: tuple[Stratum, ...] = ()
    stratified: View | None = None
    pair_stratified: Pair | None = None
    table: Stratified | None = None
    left_out: tuple[str, ...] = ()
    reversed: bool = False
    design_effect: float | None = None
    equivalent: bool | None = None
    needed: Needed | None = None
    chance_better: float | None = None
    too_few: bool = False

    @property
    def deciding(self) -> View:
        """The view that decided."""
        return self.pooled if self.stratified is None else self.stratified


def against(a: Arm, b: Arm, platforms: Platforms, look: Look, margin: Margin | None = None) -> Against | None:
    """Return arm a against arm b, with platforms as strata; None where an arm has no error to speak of.

    With platforms given, the stratified view decides; where none is in common there is none, and that is the caller's
    to tell.
    """
    a, b = alike((a, b))
    pair = pair_of(a, b)
    if pair is None:
        return None
    crude, effect = pooled(a, b, pair, look), design_effect(a, b, pair)
    strata, left_out = layers.strata(platforms, a.nature, look)
    over = layers.standardised(strata, pair, effect, layers.inside(platforms, strata)) if strata else None
    table = layers.table(platforms, a.nature)
    mixed = None if over is None else layers.with_table(view(over, look), table, over, look)
    deciding, used = (crude, pair) if over is None or mixed is None else (mixed, over)
    too_few = look.peeking and a.nature is not Nature.AMOUNTS and a.above + b.above < FEWEST_EVENTS
    equivalent = None if margin is None else not too_few and _equivalent(used, look, margin)
    decision = _word(deciding, too_few=too_few, equivalent=bool(equivalent))
    return Against(
        decision=decision,
        pooled=crude,
        pair=pair,
        strata=strata,
        stratified=mixed,
        pair_stratified=over,
        table=table,
        left_out=left_out,
        reversed=mixed is not None and crude.difference.value * mixed.difference.value < 0,
        design_effect=effect,
        equivalent=equivalent,
        needed=_needed(a, b, used, effect, look) if decision is Decision.UNDECIDED else None,
        chance_better=_chance(a, b, pair),
        too_few=too_few,
    )


def _word(deciding: View, *, too_few: bool, equivalent: bool) -> Decision:
    if too_few:
        return Decision.UNDECIDED
    word = decide(deciding.limits)
    return Decision.EQUIVALENT if word is Decision.UNDECIDED and equivalent else word


def _equivalent(pair: Pair, look: Look, margin: Margin) -> bool:
    """Return whether the difference is shown to lie within the margin, by two one-sided tests."""
    one_sided = look if look.peeking else msgspec.structs.replace(look, level=1 - 2 * look.alpha)
    half = multiplier(pair, one_sided)[0]
    if pair.logarithmic and pair.log_se is not None:
        within = margin.relative
        if within is None:
            return False
        middle = math.log(pair.a.ratio / pair.b.ratio)
        low, high = middle - half * pair.log_se, middle + half * pair.log_se
        return -math.log1p(within) < low and high < math.log1p(within)
    within = margin.absolute if margin.absolute is not None else (margin.relative or 0) * pair.b.ratio
    difference = pair.a.ratio - pair.b.ratio
    return pair.se > 0 and -within < difference - half * pair.se and difference + half * pair.se < within


def _needed(a: Arm, b: Arm, pair: Pair, effect: float | None, look: Look) -> Needed | None:
    """Return what is lacking for a difference of this size; None where there is none, or nothing was seen."""
    smaller = min(a.size, b.size)
    if smaller <= 0:
        return None
    wider = multiplier(pair, look)[0] / normal_quantile(look.level)
    counts = proportions_of(a, b)
    if counts is not None:
        per_arm = sample_size(pair.a.ratio, pair.b.ratio, look.alpha, POWER)
        wanted = None if per_arm is None else per_arm * max(1.0, effect or 1.0) * max(1.0, wider) ** 2
    else:
        wanted = _by_error(pair, smaller, look)
    if wanted is None or not math.isfinite(wanted):
        return None
    amount = max(0, math.ceil(wanted - smaller))
    return Needed(amount=amount, factor=wanted / smaller, of_first=a.size <= b.size)


def _by_error(pair: Pair, smaller: float, look: Look) -> float | None:
    """Return how much an arm wants by the error it has: errors shrink with the square root of what is observed."""
    distance, se = pair.a.ratio - pair.b.ratio, pair.se
    if pair.logarithmic and pair.log_se is not None:
        distance, se = math.log(pair.a.ratio / pair.b.ratio), pair.log_se
    if not distance or not se:
        return None
    quantiles = multiplier(pair, look)[0] + normal_quantile(2 * POWER - 1)
    return smaller * (quantiles * se / distance) ** 2


def _chance(a: Arm, b: Arm, pair: Pair) -> float | None:
    """Return the chance that a is better under uniform priors, where trials stand for themselves."""
    counts = None if pair.clustered else proportions_of(a, b)
    return None if counts is None else probability_better(*counts)
