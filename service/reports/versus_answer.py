"""The shape of a comparison. Every word in it stands on limits; no difference goes out without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.reports.answer import MetricOut, RangeOut, WarningOut


class EstimateOut(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its limits and their method; money as decimal strings, null is an open side."""

    value: float | str
    low: float | str | None
    high: float | str | None
    method: str


class ViewOut(msgspec.Struct, frozen=True, kw_only=True):
    """Difference (a minus b), ratio (a over b), lift (ratio minus 1), and the p-value of *no difference*.

    ``ratio`` and ``lift`` are null over nothing, and for returns that are counted from -1.
    """

    difference: EstimateOut
    ratio: EstimateOut | None
    lift: EstimateOut | None
    p_value: float | None


class PlatformOut(msgspec.Struct, frozen=True, kw_only=True):
    """One platform that both campaigns were on, and its weight in the stratified view."""

    platform: str
    weight: float
    a: MetricOut
    b: MetricOut
    view: ViewOut


class MantelHaenszelOut(msgspec.Struct, frozen=True, kw_only=True):
    """Ratios over the platforms for trials that stand for themselves, and Cochran's test of no association."""

    risk_ratio: float | None
    risk_ratio_low: float | None
    risk_ratio_high: float | None
    odds_ratio: float | None
    odds_ratio_low: float | None
    odds_ratio_high: float | None
    statistic: float | None
    p_value: float | None


class StratifiedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Both campaigns over one mix of platforms. ``left_out`` names platforms that only one of them was on."""

    view: ViewOut
    platforms: tuple[PlatformOut, ...]
    left_out: tuple[str, ...]
    mantel_haenszel: MantelHaenszelOut | None


class ReasonOut(msgspec.Struct, frozen=True, kw_only=True):
    """Why a verdict is what it is: a code, and plain words."""

    code: str
    detail: str


class NeededOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the smaller campaign lacks before a difference of this size can be told, with a power of 0.8.

    ``days``: at the pace of its range so far.
    """

    amount: int
    unit: str
    days: float | None


class MarginOut(msgspec.Struct, frozen=True, kw_only=True):
    """What would not matter, as it was declared, and whether the difference is shown to be smaller."""

    absolute: float | str | None
    relative: float | None
    equivalent: bool | None


class AgainstOut(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI of campaign a against campaign b.

    ``verdict`` is *better*, *worse*, *equivalent*, *undecided* or *not_comparable*, seen from a; ``decided_by`` names
    the view that it rests on. ``p_adjusted`` allows for everything that was asked at once. ``clustered``: errors are by
    post. ``chance_better`` is that of a under uniform priors, where trials stand for themselves.
    """

    definition: str
    unit: str
    better: str
    verdict: str
    reasons: tuple[ReasonOut, ...]
    summary: str
    decided_by: str | None
    a: MetricOut
    b: MetricOut
    pooled: ViewOut | None
    stratified: StratifiedOut | None
    reversed: bool
    p_value: float | None
    p_adjusted: float | None
    margin: MarginOut | None
    still_needed: NeededOut | None
    chance_better: float | None
    design_effect: float | None
    clustered: bool


class SideOut(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign of a comparison: the range that it is looked at over, and how many subjects count in it."""

    campaign: str
    name: str
    kind: str
    range: RangeOut
    members: int


class PairOut(msgspec.Struct, frozen=True, kw_only=True):
    """Campaign a against campaign b. ``part`` says in words which parts of both are compared."""

    a: SideOut
    b: SideOut
    part: str
    shared_subjects: int
    metrics: Mapping[str, AgainstOut]
    warnings: tuple[WarningOut, ...]


class VersusMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison knew and how it looked. ``as_of`` pins it.

    ``peeking``: limits hold however often one looks. ``claims`` is how many verdicts share the false-discovery rate.
    ``randomised`` is always false: a difference is not a cause.
    """

    as_of: str
    posting: int
    level: float
    peeking: bool
    strata: str | None
    align: str
    false_discovery_rate: float
    claims: int
    randomised: bool
    attribution: str
    definitions: Mapping[str, str]
    query: Mapping[str, Any]


class VersusOut(msgspec.Struct, frozen=True, kw_only=True):
    """Campaigns, each against the same other one."""

    data: tuple[PairOut, ...]
    meta: VersusMetaOut
