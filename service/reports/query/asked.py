"""A query as it is understood by the grammar: what is asked of which campaigns. Nothing is looked up here.

The question proper (KPIs, range, zone, grain, knowledge) is a :class:`~service.reports.question.Question`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from service.kpi.attribution import Model
from service.kpi.catalogue import Kpi
from service.kpi.tiers import BRIEF_FOUR_TIER, TierPolicy
from service.reports.exchange import Exchange
from service.reports.query.filters import Node
from service.reports.question import Question

COMPARISONS = ("previous_period", "previous_year", "previous_flight")
INCLUDED = ("totals", "intervals", "coverage", "provenance", "total_rows")
MOST_ROWS = 1000
"""Rows of one page at most."""
MOST_METRICS = 50
MOST_DIMENSIONS = 4
MOST_CAMPAIGNS = 200


class By(enum.StrEnum):
    """By what of a KPI rows are ordered."""

    VALUE = "value"
    LOWER_LIMIT = "lower_limit"
    UPPER_LIMIT = "upper_limit"
    CHANGE = "change"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Campaigns by id, or all of a strategy."""

    campaigns: tuple[UUID, ...] = ()
    strategy: UUID | None = None


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """With what to compare: a word of :data:`COMPARISONS`, days or instants, or another campaign.

    ``elapsed`` sets a running range against the same part of the other; ``same_weekdays`` steps back 52 weeks.
    """

    to: str
    first: date | datetime | None = None
    last: date | datetime | None = None
    campaign: UUID | None = None
    elapsed: bool = True
    same_weekdays: bool = True


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """By which KPI, dimension or bucket rows come."""

    key: str
    descending: bool = True
    by: By = By.VALUE


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """How conversions are credited; None is what the books or the campaigns say."""

    model: Model | None = None
    click_days: float | None = None
    view_days: float | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A whole query. ``given`` are KPIs that stand on figures of the asker's own, by slug.

    ``tier_policy`` names a policy of the workspace's own, which takes the place of ``tiers``. ``limit`` None is all
    rows; ``written`` is the query in the form in which it may be asked again.
    """

    question: Question
    scope: Scope
    auto: bool = False
    filters: Node | None = None
    having: Node | None = None
    order: tuple[Order, ...] = ()
    compare: Compare | None = None
    limit: int | None = None
    after: str | None = None
    include: frozenset[str] = frozenset(INCLUDED)
    currency: str | None = None
    exchange: Exchange | None = None
    strict: bool = False
    exclude_suspect: bool = False
    sunday_weeks: bool = False
    tiers: TierPolicy = BRIEF_FOUR_TIER
    tier_policy: str | None = None
    given: Mapping[str, Kpi] = msgspec.field(default_factory=dict)
    attribution: Mapping[str, Attribution] = msgspec.field(default_factory=dict)
    written: Mapping[str, Any] = msgspec.field(default_factory=dict)
