"""What is asked of a campaign, and what it means: its KPIs, range, knowledge and members. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import ADDITIVE, METRICS
from service.errors import Invalid
from service.kpi.buckets import Grain
from service.kpi.catalogue import Kpi, resolve
from service.kpi.definitions import with_margin
from service.kpi.members import FOLLOWERS_AT_PUBLISH
from service.kpi.periods import Flight, Period, of_days, of_instants
from service.kpi.periods import resolve as resolve_range
from service.kpi.profiles import BROAD, MICRO
from service.kpi.tiers import BRIEF_FOUR_TIER, TierPolicy
from service.ledger import kept
from service.ledger.history.campaigns import Campaign, campaign_at, freshness
from service.ledger.history.knowledge import Knowledge
from service.ledger.history.members import Members
from service.ledger.kept import Kept
from service.records import CampaignKind, CampaignVersion
from service.reports.exchange import Exchange

DIMENSIONS = (
    "platform",
    "source",
    "subject",
    "creator",
    "profile",
    "tier",
    "content_type",
    "paid",
    "tactic",
    "hashtag",
    "campaign",
    "strategy",
    "day",
)
"""What an answer may be broken down by."""
HIGH_WATER = "high_water"
FALLS = ("signed", HIGH_WATER)
"""How falls of counters are read: as the negative movements that they are, or by the highest value so far."""
COSTS = (*METRICS["cost"].parts, "cost")
_BY_PAGE = "set local enable_indexscan = off"
"""Lines and days of a subject lie where they came, a page for each. The planner takes them to lie together, by the one
workspace that every key begins with, and would go to each page of a month as often as there are members.
"""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. Empty ``metrics`` are those the campaign's kind opens on; ``range_from`` and ``range_to`` are
    inclusive local days, or instants (then half-open); with them ``preset`` is None. Without ``costs`` what was spent
    is suppressed. ``falls`` is one of :data:`FALLS`. ``evidence`` is the address below which each KPI has its
    provenance (None: not to be linked). ``known`` are number and time of the posting to name as the newest, where a
    later one has nothing to do with the campaign.
    """

    metrics: tuple[str, ...] = ()
    preset: str | None = None
    range_from: date | datetime | None = None
    range_to: date | datetime | None = None
    timezone: str | None = None
    granularity: Grain = Grain.TOTAL
    dimensions: tuple[str, ...] = ()
    compare: str | None = None
    as_of: datetime | None = None
    level: float = 0.95
    falls: str = FALLS[0]
    costs: bool = True
    evidence: str | None = None
    known: tuple[int, datetime] | None = None


class PlatformNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What the connectors declare that an answer must say: mapping rules by (platform, metric), simulated platforms.

    ``doubtful`` are (platform, metric) that a platform may say something against.
    """

    mappings: Mapping[tuple[str, str], str]
    simulated: frozenset[str]
    doubtful: frozenset[tuple[str, str]] = frozenset()


_PEOPLE = frozenset({"reach", "followers", FOLLOWERS_AT_PUBLISH})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question that has been understood: everything resolved, nothing computed.

    ``home``: what is asked is kept in tallies, now and in the campaign's zone. ``freshness`` is by platform. ``paid``
    narrows sums to paid (1), organic (0) or unsaid (-1) delivery; ``by_tier``: followers at publication are needed;
    ``doubtful`` are (platform, metric) of which is told what their platform says against them. ``campaigns`` are those
    that the members count in.
    """

    workspace_id: UUID
    zone: str
    home: bool
    currency: str
    kpis: tuple[Kpi, ...]
    columns: tuple[str, ...]
    period: Period
    knowledge: Knowledge
    members: Members
    freshness: Mapping[str, datetime]
    question: Question
    version: CampaignVersion
    kept: Kept | None = None
    paid: int | None = None
    exchange: Exchange | None = None
    tiers: TierPolicy = BRIEF_FOUR_TIER
    by_tier: bool = False
    doubtful: frozenset[tuple[str, str]] = frozenset()
    campaigns: tuple[UUID, ...] = ()

    @property
    def needed(self) -> frozenset[str]:
        """Return every key that a KPI looks at."""
        return frozenset(key for kpi in self.kpis for key in (*kpi.needs, kpi.numerator, kpi.denominator) if key)

    @property
    def longest(self) -> int:
        """Return how many days a window of the members may have."""
        return self.members.longest

    @property
    def asks_people(self) -> bool:
        """Tell whether levels or distinct people are needed: what is read at instants, not summed."""
        return self.by_tier or not _PEOPLE.isdisjoint(self.needed)


async def understand(
    raw: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, question: Question, now: datetime
) -> Asked:
    """Resolve a question. Raises what ``campaign.campaign_kpis`` does."""
    campaign = await campaign_at(raw, workspace_id, campaign_id, question.as_of, now)
    kpis = tuple(with_margin(kpi, campaign.version.margin) for kpi in kpis_of(question.metrics, campaign.version.kind))
    return await resolved(raw, workspace_id, question, campaign, kpis, zones=frozenset({campaign.zone}))


async def resolved(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    question: Question,
    campaign: Campaign,
    kpis: tuple[Kpi, ...],
    *,
    zones: frozenset[str],
    by_tier: bool = False,
    period: Period | None = None,
) -> Asked:
    """Resolve a question about what stands in ``campaign``, whose days are kept in ``zones``; ``period`` is its range

    where that is known already.
    """
    await raw.execute(_BY_PAGE)
    knowledge = campaign.knowledge
    if question.known is not None:
        posting, recorded_at = question.known
        knowledge = msgspec.structs.replace(knowledge, posting=posting, recorded_at=recorded_at)
    zone = question.timezone or campaign.zone
    needs = {key for kpi in kpis for key in kpi.needs}
    found = Asked(
        workspace_id=workspace_id,
        zone=zone,
        home=zones == {zone} and knowledge.number is None,
        currency=campaign.currency,
        kpis=kpis,
        columns=tuple(key for key in ADDITIVE if key in needs),
        period=period or period_of(question, zone, _flight(campaign.version), knowledge.clock),
        knowledge=knowledge,
        members=campaign.members,
        freshness=await freshness(raw, workspace_id, campaign.members, knowledge.number),
        question=question,
        version=campaign.version,
        kept=await kept.load(raw, workspace_id),
        by_tier=by_tier,
        campaigns=(campaign.campaign_id,),
    )
    kept.refuse(found.kept, found.period.start, knowledge, people=found.asks_people)
    kept.refuse_freshness(found.kept, knowledge, found.freshness, set(found.members.platforms))
    return found


def kpis_of(metrics: Sequence[str], kind: CampaignKind) -> tuple[Kpi, ...]:
    """Return the KPIs of names; without names those that a kind of campaign opens on. Raises :class:`Invalid`."""
    profile = BROAD if kind is CampaignKind.BROAD else MICRO
    names = metrics or (*profile.headline, *profile.secondary)
    found: dict[str, Kpi] = {}
    for place, name in enumerate(names):
        try:
            kpi = resolve(name)
        except Invalid as error:
            raise pointed(error, f"?metrics/{place}") from None
        found.setdefault(kpi.slug, kpi)
    return tuple(found.values())


def pointed(error: Invalid, pointer: str) -> Invalid:
    """Return an error of the pure functions with the place in the question that it is about."""
    return Invalid(str(error), pointer=pointer, code=error.code, allowed=error.allowed, nearest=error.nearest)


def _flight(version: CampaignVersion) -> Flight:
    return Flight(first=version.starts, last=version.ends)


def period_of(question: Question, zone: str, flight: Flight, clock: datetime) -> Period:
    """Return the range of a question at an instant. Raises :class:`Invalid` with its pointer."""
    first, last = question.range_from, question.range_to
    try:
        if first is None or last is None:
            return resolve_range(question.preset or "flight_to_date", now=clock, zone=zone, flight=flight)
        if isinstance(first, datetime) and isinstance(last, datetime):
            return of_instants(first, last, now=clock, zone=zone)
        return of_days(first, last, now=clock, zone=zone)
    except Invalid as error:
        raise pointed(error, "?range" if first is None else "?to") from None


def instant(at: datetime) -> str:
    """Return an instant as it is answered."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def known_at(asked: Asked) -> str:
    """Return the instant of knowledge that pins an answer."""
    return instant(asked.question.as_of or asked.knowledge.recorded_at)
