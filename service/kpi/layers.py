"""Two arms platform by platform, and over one mix of platforms: a pooled difference may be that of the mix alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from service.kpi.arms import Arm, Nature
from service.kpi.pooling import pair_of, proportions_of
from service.kpi.rates import Spread
from service.kpi.strata import Stratified, stratified
from service.kpi.views import Look, Pair, View, view

Platforms = Mapping[str, tuple[Arm | None, Arm | None]]
"""Both arms of each platform; None where an arm was not there."""


class Stratum(msgspec.Struct, frozen=True, kw_only=True):
    """One platform that both arms were on, its weight in the stratified view, and its own difference."""

    name: str
    weight: float
    view: View
    pair: Pair


def strata(platforms: Platforms, nature: Nature, look: Look) -> tuple[tuple[Stratum, ...], tuple[str, ...]]:
    """Return the platforms that both arms were on, and the names of the others."""
    found, left_out = [], []
    for name, (a, b) in sorted(platforms.items()):
        pair = (
            None
            if a is None or b is None
            else pair_of(*(msgspec.structs.replace(arm, nature=nature) for arm in (a, b)))
        )
        if a is None or b is None or pair is None:
            left_out.append(name)
            continue
        weight = a.below * b.below / (a.below + b.below)
        found.append(Stratum(name=name, weight=weight, view=view(pair, look), pair=pair))
    whole = sum(stratum.weight for stratum in found)
    return tuple(msgspec.structs.replace(one, weight=one.weight / whole) for one in found), tuple(left_out)


def inside(platforms: Platforms, strata: Sequence[Stratum]) -> float:
    """Return how much was observed on the platforms that count."""
    return sum(arm.size for stratum in strata for arm in platforms[stratum.name] if arm is not None)


def standardised(strata: Sequence[Stratum], pooled: Pair, effect: float | None, size: float) -> Pair:
    """Return both rates over one mix of platforms, weighted as Mantel and Haenszel do.

    Where the pooled error is by post and a platform has too few posts for that, errors are widened as the pooled one.
    """
    spread_a = _over([(one.weight, one.pair.a) for one in strata])
    spread_b = _over([(one.weight, one.pair.b) for one in strata])
    by_post = all(one.pair.clustered for one in strata)
    if pooled.clustered and not by_post:
        wider = math.sqrt(max(1.0, effect or 1.0))
        spread_a, spread_b = (msgspec.structs.replace(one, se=one.se * wider) for one in (spread_a, spread_b))
    n = (pooled.a.n, pooled.b.n)
    return Pair(
        a=msgspec.structs.replace(spread_a, n=n[0]),
        b=msgspec.structs.replace(spread_b, n=n[1]),
        nature=pooled.nature,
        size=max(1.0, size),
        clustered=pooled.clustered,
    )


def _over(weighted: Sequence[tuple[float, Spread]]) -> Spread:
    return Spread(
        ratio=math.fsum(weight * spread.ratio for weight, spread in weighted),
        se=math.sqrt(math.fsum((weight * spread.se) ** 2 for weight, spread in weighted)),
        n=sum(spread.n for _, spread in weighted),
    )


def table(platforms: Platforms, nature: Nature) -> Stratified | None:
    """Return the ratios and the test of Mantel, Haenszel and Cochran where everything is counted in trials."""
    pairs = []
    for a, b in platforms.values():
        if a is None or b is None:
            continue
        pair = proportions_of(a, b) if nature is Nature.PROPORTION else None
        if pair is None:
            return None
        pairs.append(pair)
    return stratified(pairs) if pairs else None


def with_table(found: View, table: Stratified | None, pair: Pair, look: Look) -> View:
    """Return a view whose p-value is that of the stratified test, where trials stand for themselves at one look."""
    if table is None or look.peeking or pair.clustered:
        return found
    return msgspec.structs.replace(found, p_value=table.p_value)
