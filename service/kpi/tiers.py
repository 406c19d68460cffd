"""Tiers of creators as policies that are data: there is no standard, so a number always names its policy.

What a tier may be expected to achieve is in ``benchmarks``.
"""

from __future__ import annotations

import bisect
import enum
import itertools
from collections.abc import Sequence

import msgspec

from service.errors import Invalid


class Basis(enum.StrEnum):
    """Which follower count decides."""

    AT_PUBLISH = "followers_at_publish"
    NOW = "followers_now"
    AT_CONTRACT = "followers_at_contract"


class TierPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ordered half-open bands: a tier reaches from its lower bound to just below the next one, the last is open.

    Build one with :func:`policy` or :func:`policy_of_bands`, which check it.
    """

    id: str
    version: int
    tiers: tuple[tuple[str, int], ...]
    below: str
    basis: Basis = Basis.AT_PUBLISH

    @property
    def name(self) -> str:
        """The id with its version, as an answer names it."""
        return f"{self.id}@{self.version}"


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A band as tables in texts give it: ``upper`` is exclusive, None is open."""

    tier: str
    lower: int
    upper: int | None


def policy(
    id: str,  # noqa: A002 - the word of the domain
    version: int,
    tiers: Sequence[tuple[str, int]],
    *,
    below: str | None = None,
    basis: Basis = Basis.AT_PUBLISH,
) -> TierPolicy:
    """Return a checked policy from lower bounds. ``below`` names what is under the lowest: ``below_<lowest>``.

    Raises :class:`Invalid` for no tiers, names given twice, negative bounds and bounds that do not ascend.
    """
    names = [name for name, _ in tiers]
    if not tiers:
        raise Invalid("a tier policy has at least one tier", code="tier_policy_empty")
    if len(set(names)) != len(names):
        raise Invalid("a tier policy names each tier once", code="tier_policy_names")
    if tiers[0][1] < 0:
        raise Invalid("a tier policy has no negative bound", code="tier_policy_negative")
    for (lower, bound), (upper, next_bound) in itertools.pairwise(tiers):
        if next_bound <= bound:
            raise Invalid(f"the bounds of {lower} and {upper} do not ascend", code="tier_policy_order")
    return TierPolicy(id=id, version=version, tiers=tuple(tiers), below=below or f"below_{tiers[0][0]}", basis=basis)


def policy_of_bands(id: str, version: int, bands: Sequence[Band]) -> TierPolicy:  # noqa: A002
    """Return a checked policy from bands with both bounds.

    Raises :class:`Invalid` for a hole, an overlap or a closed top, naming the bounds.
    """
    ordered = sorted(bands, key=lambda band: band.lower)
    for low, high in itertools.pairwise(ordered):
        if low.upper is None or low.upper > high.lower:
            raise Invalid(f"the tiers {low.tier} and {high.tier} overlap", code="tier_policy_overlap")
        if low.upper < high.lower:
            message = f"there is a hole between {low.upper} and {high.lower}, above {low.tier}"
            raise Invalid(message, code="tier_policy_hole")
    if ordered and ordered[-1].upper is not None:
        raise Invalid(f"the highest tier, {ordered[-1].tier}, must be open", code="tier_policy_closed")
    return policy(id, version, [(band.tier, band.lower) for band in ordered])


def tier_of(rules: TierPolicy, followers: int | None) -> str | None:
    """Return the tier of a follower count; None for an unknown one."""
    if followers is None:
        return None
    place = bisect.bisect_right([bound for _, bound in rules.tiers], followers)
    return rules.tiers[place - 1][0] if place else rules.below


BRIEF_FOUR_TIER = policy("brief_four_tier", 1, (("nano", 0), ("micro", 5_000), ("macro", 100_000), ("mega", 5_000_000)))
GUIDE = policy("guide", 1, (("micro", 1_000), ("macro", 100_000), ("mega", 1_000_000)))
FIVE_TIER = policy(
    "five_tier", 1, (("nano", 1_000), ("micro", 10_000), ("mid", 50_000), ("macro", 500_000), ("mega", 1_000_000))
)
FIVE_TIER_WIDE = policy(
    "five_tier_wide", 1, (("nano", 1_000), ("micro", 10_000), ("mid", 100_000), ("macro", 500_000), ("mega", 1_000_000))
)
FOUR_TIER = policy("four_tier", 1, (("nano", 1_000), ("micro", 10_000), ("macro", 100_000), ("mega", 1_000_000)))
POLICIES: dict[str, TierPolicy] = {
    ready.name: ready for ready in (BRIEF_FOUR_TIER, FOUR_TIER, FIVE_TIER, FIVE_TIER_WIDE, GUIDE)
}
"""Ready-made policies by name; the first is the default."""
