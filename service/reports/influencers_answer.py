"""The shape of who made a campaign: creators in a careful order, tiers against a benchmark, reasons to look again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.reports.answer import MetricOut, RangeOut, SignOut, WarningOut


class SuspicionOut(msgspec.Struct, frozen=True, kw_only=True):
    """How much speaks for a second look at a creator's engagement. It is a signal with reasons, never a verdict."""

    score: float
    suspect: bool
    reasons: tuple[SignOut, ...]


class IndexOut(msgspec.Struct, frozen=True, kw_only=True):
    """Actual over expected engagements, where the benchmark has the tiers; ``covered`` posts of ``posts`` have one."""

    rate: float | None
    expected: float
    index: float | None
    covered: int
    posts: int


class InfluencerOut(msgspec.Struct, frozen=True, kw_only=True):
    """A creator's profile. ``tier`` is that of the newest post at its publication, ``tiers`` counts posts by tier.

    ``ordered_by`` is the careful limit of the first KPI: the lower one, of a cost the upper one; null sorts last.
    """

    rank: int
    platform: str
    creator: str | None
    tier: str | None
    tiers: Mapping[str, int]
    followers: int | None
    posts: int
    ordered_by: float | None
    metrics: Mapping[str, MetricOut]
    index: IndexOut | None
    suspicion: SuspicionOut


class QuartilesOut(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark of one's own: quartiles of the first KPI over the posts of a tier, where there are thirty of them."""

    metric: str
    posts: int
    lower: float
    median: float
    upper: float


class TierShareOut(msgspec.Struct, frozen=True, kw_only=True):
    """Posts of one tier; null where the followers at publication are unknown."""

    tier: str | None
    posts: int
    metrics: Mapping[str, MetricOut]
    index: IndexOut | None
    quartiles: QuartilesOut | None


class MixOut(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of two campaigns' rates, as within tiers plus the mix of tiers; null where a tier is missing."""

    against: str
    difference: float | None
    within: float | None
    mix: float | None
    reason: str | None


class BenchmarkUsedOut(msgspec.Struct, frozen=True, kw_only=True):
    """The benchmark that indices are against."""

    name: str
    metric: str
    base: str
    source: str
    dated: str
    rates: Mapping[str, float]


class InfluencersMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew: ``as_of`` pins it."""

    as_of: str
    posting: int
    range: RangeOut
    timezone: str
    tier_policy: str
    basis: str
    benchmark: BenchmarkUsedOut | None
    ordered_by: str
    excluded: tuple[str, ...]
    warnings: tuple[WarningOut, ...]


class InfluencersOut(msgspec.Struct, frozen=True, kw_only=True):
    """Creators, best first; ``without_suspects`` stands beside ``totals`` where that was asked for."""

    data: tuple[InfluencerOut, ...]
    tiers: tuple[TierShareOut, ...]
    totals: Mapping[str, MetricOut]
    without_suspects: Mapping[str, MetricOut] | None
    index: IndexOut | None
    mix: MixOut | None
    meta: InfluencersMetaOut
