"""A campaign of mixed tiers against what each tier usually achieves: index, per tier, and the effect of the mix.

A benchmark without a stated base cannot be compared with; whoever calls this has checked that the bases agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from service.kpi.measure import Coverage


class TierPost(msgspec.Struct, frozen=True, kw_only=True):
    """One post: its tier, its engagements and the follower count that is the base of the benchmark."""

    tier: str | None
    engagements: int
    followers: int


class TierIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Engagement rate by followers, what the tiers would lead one to expect, and their quotient."""

    rate: float | None
    expected: float
    index: float | None


class MixedTiers(msgspec.Struct, frozen=True, kw_only=True):
    """The index of all posts whose tier has a benchmark, of each tier, and how many posts that covers."""

    total: TierIndex
    per_tier: Mapping[str, TierIndex]
    coverage: Coverage


class MixEffect(msgspec.Struct, frozen=True, kw_only=True):
    """A difference of two rates: the part within tiers and the part that comes from another mix of tiers."""

    difference: float
    within: float
    mix: float


def _index(posts: Sequence[TierPost], benchmark: Mapping[str, float]) -> TierIndex:
    engagements = sum(post.engagements for post in posts)
    followers = sum(post.followers for post in posts)
    expected = sum(post.followers * benchmark[post.tier or ""] for post in posts)
    return TierIndex(
        rate=engagements / followers if followers else None,
        expected=expected,
        index=engagements / expected if expected else None,
    )


def mixed_tiers(posts: Sequence[TierPost], benchmark: Mapping[str, float]) -> MixedTiers:
    """Return actual against expected engagements; expected = sum of followers * benchmark of the post's tier.

    Posts of unknown tier, or of one without benchmark, are left out and counted in the coverage.
    """
    usable = [post for post in posts if post.tier in benchmark]
    tiers = sorted({post.tier for post in usable if post.tier is not None})
    everything = sum(post.engagements for post in posts)
    share = sum(post.engagements for post in usable) / everything if everything else None
    return MixedTiers(
        total=_index(usable, benchmark),
        per_tier={tier: _index([post for post in usable if post.tier == tier], benchmark) for tier in tiers},
        coverage=Coverage(members_known=len(usable), members_total=len(posts), numerator_share=share),
    )


def _shares(sums: Mapping[str, tuple[int, int]]) -> tuple[dict[str, float], dict[str, float]]:
    base = sum(below for _, below in sums.values())
    weights = {tier: below / base for tier, (_, below) in sums.items()}
    return weights, {tier: above / below for tier, (above, below) in sums.items()}


def mix_effect(a: Mapping[str, tuple[int, int]], b: Mapping[str, tuple[int, int]]) -> MixEffect | None:
    """Split the difference of two rates (a minus b) into a part within tiers and a part of the mix.

    Takes (numerator, denominator) by tier. The two parts add up; each is weighted by the mean of the two campaigns. A
    tier must have a denominator in both, otherwise None: there is nothing to standardise it to.
    """
    if not a or set(a) != set(b) or any(below <= 0 for sums in (a, b) for _, below in sums.values()):
        return None
    weight_a, rate_a = _shares(a)
    weight_b, rate_b = _shares(b)
    within = sum((weight_a[tier] + weight_b[tier]) / 2 * (rate_a[tier] - rate_b[tier]) for tier in a)
    mix = sum((weight_a[tier] - weight_b[tier]) * (rate_a[tier] + rate_b[tier]) / 2 for tier in a)
    return MixEffect(difference=within + mix, within=within, mix=mix)
