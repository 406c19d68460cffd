"""The shape of a KPI answer. Field order is part of it: equal answers are equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.kpi.compare import change
from service.kpi.measure import Coverage, Interval, Reason, Value, reason_text


class IntervalOut(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a value; money limits are decimal strings, null is an open side."""

    low: int | float | str | None
    high: int | float | str | None
    level: float
    method: str
    n: int
    ignores_clustering: bool


class BoundsOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the true number cannot leave."""

    lower: int | float
    upper: int | float | None


class CompareOut(msgspec.Struct, frozen=True, kw_only=True):
    """The value of the other period, the difference, and that as a fraction where the base is above zero."""

    value: int | float | str | None
    abs: int | float | str | None
    pct: float | None
    reason: str | None


class MembersOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many members stand behind a value, of how many."""

    known: int
    total: int


class WithoutOut(msgspec.Struct, frozen=True, kw_only=True):
    """The same KPI once more, without the members whose engagement is suspect."""

    value: int | float | str | None
    state: str
    reason: str | None
    numerator: int | float | str | None
    denominator: int | float | str | None
    interval: IntervalOut | None
    bounds: BoundsOut | None
    members: MembersOut | None


class MetricOut(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI. ``value`` is null wherever ``state`` is neither ok, zero nor estimated; ``reason`` says why.

    ``provenance`` links to its evidence for keys that may read it; null for groups of a breakdown. ``without_suspects``
    is there where it was asked for.
    """

    value: int | float | str | None
    unit: str
    state: str
    reason: str | None
    numerator: int | float | str | None
    denominator: int | float | str | None
    interval: IntervalOut | None
    bounds: BoundsOut | None
    currency: str | None
    compare: CompareOut | None
    quality: str
    coverage: float | None
    members: MembersOut | None
    note: str | None
    provenance: str | None
    without_suspects: WithoutOut | UnsetType = UNSET


class RowOut(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of one group; ``partial`` where the range or the present cuts the bucket short."""

    dimensions: Mapping[str, str | None]
    metrics: Mapping[str, MetricOut]
    partial: bool


class RangeOut(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved range: half-open instants, the inclusive local days, its real hours (null for ``lifetime``)."""

    preset: str | None
    start: str | None
    end_exclusive: str
    until: str
    first_day: str | None
    last_day: str | None
    hours: float | None
    partial: bool


class ComparisonOut(msgspec.Struct, frozen=True, kw_only=True):
    """The other period and its totals."""

    to: str
    range: RangeOut
    totals: Mapping[str, MetricOut]


class WarningOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something to know before using a number: a code, a sentence, and where in the question it comes from."""

    code: str
    detail: str
    pointer: str


class ScopeOut(msgspec.Struct, frozen=True, kw_only=True):
    """The campaigns that an answer is about, and the strategy where they are all of one."""

    campaigns: tuple[str, ...]
    strategy: str | None


class ExchangeOut(msgspec.Struct, frozen=True, kw_only=True):
    """At which rates money was converted: what one unit of each currency is worth in ``to``."""

    to: str
    day: str | None
    rates: Mapping[str, str]


class CreditingOut(msgspec.Struct, frozen=True, kw_only=True):
    """How conversions of a KPI are credited; windows of null are those of the campaigns."""

    model: str
    click_window_days: float | None
    view_window_days: float | None


class SignOut(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to look again: its value, what is usual, and how much it weighs."""

    code: str
    value: float
    usual: float | None
    weight: float
    detail: str


class SuspectOut(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that second numbers leave out, with the reasons: a signal, never a verdict.

    ``left_out`` counts the members of the answer that are its own, ``subjects`` names the first hundred of them.
    """

    platform: str
    profile: str | None
    score: float
    reasons: tuple[SignOut, ...]
    left_out: int
    subjects: tuple[str, ...]


class MetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew and how it read the question.

    ``as_of`` pins this knowledge: asked again with it, the answer is the same to the byte. ``query`` is the question
    as it was understood. ``simulated`` names platforms whose numbers are made up, ``attribution`` the KPIs that are
    credited otherwise than the books are, ``suspects`` whom second numbers leave out, where these were asked for.
    """

    as_of: str
    posting: int
    range: RangeOut
    timezone: str
    granularity: str
    currency: str | None
    tier_policy: str
    freshness: Mapping[str, str]
    completeness: float | None
    definitions: Mapping[str, str]
    mappings: Mapping[str, tuple[str, ...]]
    simulated: tuple[str, ...]
    warnings: tuple[WarningOut, ...]
    query: Mapping[str, Any]
    total_rows: int
    scope: ScopeOut
    exchange: ExchangeOut | None
    attribution: Mapping[str, CreditingOut]
    suspects: tuple[SuspectOut, ...] | UnsetType = UNSET


class PageOut(msgspec.Struct, frozen=True, kw_only=True):
    """Where the next page begins."""

    next: str | None
    has_more: bool


class AnswerOut(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: rows, totals recomputed over all rows, the comparison, and what there is to know."""

    data: tuple[RowOut, ...]
    totals: Mapping[str, MetricOut]
    comparison: ComparisonOut | None
    meta: MetaOut
    page: PageOut


def metric_out(
    value: Value,
    other: Value | None = None,
    *,
    incomparable: Reason | None = None,
    provenance: str | None = None,
    without: Value | None = None,
) -> MetricOut:
    """Return a value as it is answered, compared with ``other`` and beside the value ``without`` suspects."""
    coverage = value.coverage
    share = None
    if coverage is not None:
        members = coverage.members_known / coverage.members_total if coverage.members_total else None
        share = coverage.numerator_share if coverage.numerator_share is not None else members
    return MetricOut(
        value=value.value,
        unit=str(value.unit),
        state=str(value.state),
        reason=reason_text(value.reason, value.detail),
        numerator=value.numerator,
        denominator=value.denominator,
        interval=_interval(value.interval),
        bounds=_bounds(value),
        currency=value.currency,
        compare=None if other is None else _compare(value, other, incomparable),
        quality=str(value.quality),
        coverage=share,
        members=_members(coverage),
        note=value.note,
        provenance=provenance,
        without_suspects=UNSET if without is None else _without(without),
    )


def _without(value: Value) -> WithoutOut:
    return WithoutOut(
        value=value.value,
        state=str(value.state),
        reason=reason_text(value.reason, value.detail),
        numerator=value.numerator,
        denominator=value.denominator,
        interval=_interval(value.interval),
        bounds=_bounds(value),
        members=_members(value.coverage),
    )


def _interval(found: Interval | None) -> IntervalOut | None:
    if found is None:
        return None
    return IntervalOut(
        low=found.low,
        high=found.high,
        level=found.level,
        method=str(found.method),
        n=found.n,
        ignores_clustering=found.ignores_clustering,
    )


def _bounds(value: Value) -> BoundsOut | None:
    return None if value.bounds is None else BoundsOut(lower=value.bounds.lower, upper=value.bounds.upper)


def _members(coverage: Coverage | None) -> MembersOut | None:
    return None if coverage is None else MembersOut(known=coverage.members_known, total=coverage.members_total)


def _compare(value: Value, other: Value, incomparable: Reason | None) -> CompareOut:
    if incomparable is not None:
        return CompareOut(value=None, abs=None, pct=None, reason=str(incomparable))
    if value.currency != other.currency and value.value is not None and other.value is not None:
        return CompareOut(value=other.value, abs=None, pct=None, reason=str(Reason.MIXED_CURRENCY))
    if value.bounds is not None or other.bounds is not None:
        return CompareOut(value=other.value, abs=None, pct=None, reason=str(Reason.NOT_ADDITIVE))
    found = change(value.value, other.value)
    return CompareOut(
        value=other.value, abs=found.absolute, pct=found.fraction, reason=str(found.reason) if found.reason else None
    )
