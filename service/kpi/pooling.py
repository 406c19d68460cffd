"""Two arms as they are, platforms aside: with errors by post where both have posts enough, else by what is counted."""

from __future__ import annotations

import math

import msgspec

from service.kpi import arms
from service.kpi.arms import Arm, Nature
from service.kpi.counts import exact_ratio
from service.kpi.proportions import Proportion, newcombe, ratio_log, score_test
from service.kpi.views import Estimate, Look, Pair, View, view

_MOST_EXACT = 100_000  # events up to which the exact method is worth its time


def pair_of(a: Arm, b: Arm) -> Pair | None:
    """Return two arms with their errors; None where an amount says nothing of its parts."""
    by_post = arms.clustered(a), arms.clustered(b)
    together = by_post[0] is not None and by_post[1] is not None
    found = by_post if together else (arms.plain(a), arms.plain(b))
    if found[0] is None or found[1] is None:
        return None
    return Pair(a=found[0], b=found[1], nature=a.nature, size=max(1.0, a.size + b.size), clustered=together)


def design_effect(a: Arm, b: Arm, pair: Pair) -> float | None:
    """Return how many times wider than independent trials the errors by post are."""
    independent = arms.plain(a), arms.plain(b)
    if not pair.clustered or independent[0] is None or independent[1] is None:
        return None
    variance = independent[0].se ** 2 + independent[1].se ** 2
    return pair.se**2 / variance if variance else None


def pooled(a: Arm, b: Arm, pair: Pair, look: Look) -> View:
    """Return the pooled view; of one look without posts by the methods for small numbers."""
    found = view(pair, look)
    if look.peeking or pair.clustered:
        return found
    if a.nature is Nature.PROPORTION:
        return _of_proportions(a, b, found, look)
    return _of_events(a, b, found, look) if a.nature is Nature.EVENTS else found


def _of_proportions(a: Arm, b: Arm, found: View, look: Look) -> View:
    pair = proportions_of(a, b)
    if pair is None:
        return found
    limits, ratio, score = newcombe(*pair, look.level), ratio_log(*pair, look.level), score_test(*pair)
    difference = msgspec.structs.replace(found.difference, low=limits[0], high=limits[1], method="newcombe")
    relative = found.ratio
    if ratio is not None and relative is not None:
        relative = Estimate(value=relative.value, low=ratio[0], high=ratio[1], method="log")
    return msgspec.structs.replace(
        found, difference=difference, ratio=relative, limits=limits, p_value=score.p_value if score else None
    )


def _of_events(a: Arm, b: Arm, found: View, look: Look) -> View:
    counts = a.above, b.above
    if any(count != int(count) for count in counts) or sum(counts) > _MOST_EXACT:
        return found
    exact = exact_ratio(int(a.above), a.below, int(b.above), b.below, look.level)
    if exact is None:
        return found
    ratio = None
    if exact.ratio is not None:
        ratio = Estimate(value=exact.ratio, low=exact.low or None, high=exact.high, method="exact_conditional")
    low = math.log(exact.low) if exact.low else -math.inf
    high = math.log(exact.high) if exact.high is not None else math.inf
    return msgspec.structs.replace(found, ratio=ratio, limits=(low, high), logarithmic=True, p_value=exact.p_value)


def proportions_of(a: Arm, b: Arm) -> tuple[Proportion, Proportion] | None:
    """Return two arms as whole trials and hits, or None where they are none."""
    counts = [arms.whole(arm) for arm in (a, b)]
    if counts[0] is None or counts[1] is None or a.nature is not Nature.PROPORTION:
        return None
    (above_a, below_a), (above_b, below_b) = counts[0], counts[1]
    if not (above_a <= below_a and above_b <= below_b):
        return None
    return Proportion(successes=above_a, trials=below_a), Proportion(successes=above_b, trials=below_b)
