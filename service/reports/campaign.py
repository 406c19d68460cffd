"""The KPIs of a campaign: question → range and members → sums per member → pure KPI functions → answer.

Plain answers over whole days of the campaign's zone are read from tallies; hours, other zones and past knowledge are
cut from the entries. Both give the same numbers: a test holds them to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import ADDITIVE, METRICS, Unit
from service.db.engine import driver
from service.errors import Invalid, NotFound
from service.kpi.buckets import Bucket, Grain, buckets
from service.kpi.catalogue import Kind, Kpi, resolve
from service.kpi.evaluate import evaluate
from service.kpi.measure import Quality, Reason, State, Value
from service.kpi.members import FOLLOWERS_AT_PUBLISH, FOLLOWERS_START, MemberSums, member_sums, take
from service.kpi.periods import Flight, Period, local_day, of_days, of_instants, previous
from service.kpi.periods import resolve as resolve_range
from service.kpi.profiles import BROAD, MICRO
from service.kpi.tiers import BRIEF_FOUR_TIER, tier_of
from service.ledger import history
from service.ledger.history import Knowledge, Marks, Member, Span
from service.records import CampaignKind, CampaignVersion
from service.reports import queries
from service.reports.answer import (
    AnswerOut,
    ComparisonOut,
    MetaOut,
    MetricOut,
    PageOut,
    RangeOut,
    RowOut,
    WarningOut,
    metric_out,
)

DIMENSIONS = ("platform", "tier")
COMPARISONS = ("previous_period",)
MAX_CELLS = 20_000
"""Buckets times groups times metrics of one answer."""
_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_UNIQUE = "reach"
COSTS = (*METRICS["cost"].parts, "cost")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. Empty ``metrics`` are those the campaign's kind opens on; ``range_from`` and ``range_to`` are
    inclusive local days, or instants (then half-open); with them ``preset`` is None. Without ``costs`` what was spent
    is suppressed. ``evidence`` is the address below which each KPI has its provenance (None: not to be linked).
    ``known`` are number and time of the posting to name as the newest, where a later one has nothing to do with the
    campaign.
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
    costs: bool = True
    evidence: str | None = None
    known: tuple[int, datetime] | None = None


class PlatformNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What the connectors declare that an answer must say: mapping rules by (platform, metric), simulated platforms."""

    mappings: Mapping[tuple[str, str], str]
    simulated: frozenset[str]


class Sums(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sums of every bucket by member, the currency they are in, and what must be said of them."""

    by_bucket: Mapping[int, MemberSums]
    currency: str | None
    marks: Marks


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question that has been understood: everything resolved, nothing computed."""

    workspace_id: UUID
    zone: str
    home: bool
    currency: str
    kpis: tuple[Kpi, ...]
    columns: tuple[str, ...]
    period: Period
    knowledge: Knowledge
    members: tuple[Member, ...]
    question: Question
    version: CampaignVersion


async def campaign_kpis(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    notes: PlatformNotes,
    now: datetime,
) -> AnswerOut:
    """Answer a question about one campaign, inside one read-only snapshot.

    Raises NotFound, Invalid (with a pointer), Busy for an ``as_of`` that is not settled, Gone for one before the books.
    """
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    spans = _spans(asked, asked.period, asked.question.granularity)
    if (len(spans) + 2) * (len(asked.members) or 1) * len(asked.kpis) > MAX_CELLS * 500:
        raise Invalid("the grid is too fine for this range", pointer="?granularity", code="too_many_cells")
    total = total_span(asked.period)
    sums = await sums_of(raw, asked, asked.period, [*(span for span, _ in spans), total])
    if question.granularity is Grain.HOUR:
        _refuse_hours(sums)
    groups = await _groups(raw, asked)
    other = await _compared(raw, asked)
    rows = _rows(asked, spans, sums, groups, other)
    totals = values_of(asked, sums, total.number, None)
    other_totals = None if other is None else values_of(asked, other[1], total.number, None)
    incomparable = other[2] if other else None
    return AnswerOut(
        data=tuple(rows),
        totals=_shown(totals, other_totals, incomparable, _evidence(asked, asked.period, total)),
        comparison=None
        if other is None or other_totals is None
        else ComparisonOut(
            to="previous_period",
            range=_range(other[0]),
            totals=_shown(other_totals, None, None, _evidence(asked, other[0], total_span(other[0], elapsed=True))),
        ),
        meta=meta_of(asked, sums, notes, len(rows)),
        page=PageOut(next=None, has_more=False),
    )


# ------------------------------------------------------------------------------------------------ understanding


async def understand(
    raw: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, question: Question, now: datetime
) -> Asked:
    """Resolve a question: knowledge, version, KPIs, range, members. Raises what :func:`campaign_kpis` does."""
    row = await raw.fetchrow(queries.CAMPAIGN, workspace_id, campaign_id)
    if row is None:
        raise NotFound("no such campaign")
    knowledge = await history.knowledge(raw, workspace_id, question.as_of, now)
    if question.known is not None:
        posting, recorded_at = question.known
        knowledge = msgspec.structs.replace(knowledge, posting=posting, recorded_at=recorded_at)
    version = await history.campaign_version(raw, workspace_id, campaign_id, knowledge.number)
    kpis = _kpis(question.metrics, version.kind)
    zone = question.timezone or row["zone"]
    period = period_of(question, zone, Flight(first=version.starts, last=version.ends), knowledge.clock)
    members = await history.members(raw, workspace_id, campaign_id, knowledge.number)
    needed = dict.fromkeys(key for kpi in kpis for key in kpi.needs)
    return Asked(
        workspace_id=workspace_id,
        zone=zone,
        home=zone == row["zone"] and knowledge.number is None,
        currency=row["currency"],
        kpis=kpis,
        columns=tuple(key for key in ADDITIVE if key in needed),
        period=period,
        knowledge=knowledge,
        members=tuple(members),
        question=question,
        version=version,
    )


def _kpis(metrics: Sequence[str], kind: CampaignKind) -> tuple[Kpi, ...]:
    profile = BROAD if kind is CampaignKind.BROAD else MICRO
    names = metrics or (*profile.headline, *profile.secondary)
    found: dict[str, Kpi] = {}
    for place, name in enumerate(names):
        try:
            kpi = resolve(name)
        except Invalid as error:
            raise _pointed(error, f"?metrics/{place}") from None
        found.setdefault(kpi.slug, kpi)
    return tuple(found.values())


def _pointed(error: Invalid, pointer: str) -> Invalid:
    """Return an error of the pure functions with the place in the question that it is about."""
    return Invalid(str(error), pointer=pointer, code=error.code, allowed=error.allowed, nearest=error.nearest)


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
        raise _pointed(error, "?range" if first is None else "?to") from None


# ------------------------------------------------------------------------------------------------ sums


def total_span(period: Period, *, elapsed: bool = False) -> Span:
    """Return the whole range as one bucket; with ``elapsed`` up to where it has come."""
    if period.start is None:
        return Span(number=-1, start=_BEGINNING, end=period.end, first_day=date.min, last_day=date.max, openings=True)
    end = period.until if elapsed else period.end
    first, last = _whole_days(period.start, end, period.zone)
    return Span(number=-1, start=period.start, end=end, first_day=first, last_day=last)


def _whole_days(start: datetime, end: datetime, zone: str) -> tuple[date | None, date | None]:
    """Return the first and last local day that lie wholly inside ``[start, end)``, or None twice."""
    first = local_day(start, zone)
    if of_days(first, first, now=start, zone=zone).start != start:
        first += timedelta(days=1)
    last = local_day(end, zone) - timedelta(days=1)
    return (first, last) if first <= last else (None, None)


def _spans(asked: Asked, period: Period, grain: Grain) -> list[tuple[Span, Bucket]]:
    """Return the buckets of the range in the zone; the grain ``total`` needs none beside the whole range."""
    if grain is Grain.TOTAL or period.start is None:
        if period.start is None and grain is not Grain.TOTAL:
            raise Invalid("the range lifetime has no first bucket", pointer="?granularity", code="no_grid")
        return []
    found = []
    for number, bucket in enumerate(buckets(period.start, period.end, zone=period.zone, grain=grain, now=period.until)):
        first, last = (None, None) if grain is Grain.HOUR else _whole_days(bucket.start, bucket.end, period.zone)
        found.append((Span(number=number, start=bucket.start, end=bucket.end, first_day=first, last_day=last), bucket))
    if len(found) * len(asked.kpis) > MAX_CELLS:
        raise Invalid("the grid is too fine for this range", pointer="?granularity", code="too_many_cells")
    return found


async def sums_of(raw: asyncpg.Connection[Any], asked: Asked, period: Period, spans: Sequence[Span]) -> Sums:
    """Return the sums of spans by member, with reach, levels and the followers at publication."""
    ids = [member.subject_id for member in asked.members]
    number = asked.knowledge.number
    days_are_kept = asked.home and (period.whole_days or period.start is None) and asked.question.granularity != "hour"
    if days_are_kept and all(span.end == period.end or span.number >= 0 for span in spans):
        rows = await queries.day_sums(raw, asked.workspace_id, ids, spans, asked.columns, asked.zone)
    else:
        rows = await history.cut_sums(raw, asked.workspace_id, ids, spans, asked.columns, number)
    marks = await history.marks(raw, asked.workspace_id, ids, spans, asked.columns, number)
    place = {subject_id: at for at, subject_id in enumerate(ids)}
    tables: dict[int, dict[str, list[int | None]]] = {
        span.number: {key: [None] * len(ids) for key in asked.columns} for span in spans
    }
    currencies = _fill(tables, rows, place, asked.columns)
    await fill_people(raw, asked, spans, tables, place)
    names = [subject_id.hex for subject_id in ids]
    withheld = dict.fromkeys(marks.suspected, Reason.SUSPECTED_RESET)
    if not asked.question.costs:
        withheld |= dict.fromkeys(COSTS, Reason.NOT_PERMITTED)
    quality = dict.fromkeys(marks.interpolated, Quality.INTERPOLATED)
    currency = next(iter(currencies), asked.currency) if len(currencies) < 2 else None  # noqa: PLR2004 - one or none
    return Sums(
        by_bucket={
            at: msgspec.structs.replace(member_sums(names, table), withheld=withheld, quality=quality)
            for at, table in tables.items()
        },
        currency=currency,
        marks=marks,
    )


def _fill(
    tables: Mapping[int, dict[str, list[int | None]]],
    rows: Sequence[Any],
    place: Mapping[UUID, int],
    columns: Sequence[str],
) -> set[str]:
    """Put rows into tables; return the currencies that money came in."""
    money = [key for key in columns if METRICS[key].unit is Unit.MONEY]
    currencies = set()
    for row in rows:
        table, at = tables[row["number"]], place[row["subject_id"]]
        for key in columns:
            amount = row[key]
            if amount is not None:
                known = table[key][at]
                table[key][at] = amount if known is None else known + amount
        if any(row[key] is not None for key in money):
            currencies.add(row["currency"])
    return currencies


async def fill_people(
    raw: asyncpg.Connection[Any],
    asked: Asked,
    spans: Sequence[Span],
    tables: Mapping[int, dict[str, list[int | None]]],
    place: Mapping[UUID, int],
) -> None:
    """Add what is never summed: reach, levels, followers at publication."""
    needed = {key for kpi in asked.kpis for key in (*kpi.needs, kpi.numerator, kpi.denominator) if key}
    ids, number = list(place), asked.knowledge.number
    if _UNIQUE in needed:
        found = await history.uniques(raw, asked.workspace_id, ids, spans, number)
        for span in spans:
            column: list[int | None] = [None] * len(ids)
            for member, at in zip(asked.members, place.values(), strict=True):
                if span.openings or (member.published_at is not None and member.published_at >= span.start):
                    column[at] = found.get((span.number, member.subject_id))
            tables[span.number][_UNIQUE] = column
    if "followers" in needed:
        profiles = [member.subject_id for member in asked.members if member.type == "profile"]
        for span in spans:
            start = None if span.openings else span.start
            levels = await history.levels(raw, asked.workspace_id, profiles, "followers", start, span.end, number)
            table = tables[span.number]
            table["followers"] = [None] * len(ids)
            table[FOLLOWERS_START] = [None] * len(ids)
            for subject_id, level in levels.items():
                table["followers"][place[subject_id]] = level.end
                table[FOLLOWERS_START][place[subject_id]] = level.start
    if FOLLOWERS_AT_PUBLISH in needed:
        followers = await _at_publication(raw, asked)
        for span in spans:
            tables[span.number][FOLLOWERS_AT_PUBLISH] = [followers.get(subject_id) for subject_id in ids]


async def _at_publication(raw: asyncpg.Connection[Any], asked: Asked) -> dict[UUID, int]:
    """Return the followers of each post's profile at its publication: as stated, or as the profile's level says."""
    stated = {
        member.subject_id: int(member.facts["followers_at_publish"])
        for member in asked.members
        if "followers_at_publish" in member.facts
    }
    asks: dict[UUID, tuple[str, str, datetime]] = {}
    for member in asked.members:
        published_at = member.published_at
        if member.subject_id not in stated and "creator" in member.facts and published_at is not None:
            asks[member.subject_id] = (member.platform, member.facts["creator"], published_at)
    keys = list(dict.fromkeys(asks.values()))
    levels = await history.levels_at(raw, asked.workspace_id, keys, asked.knowledge.number)
    return stated | {
        subject_id: levels[platform, creator, at]
        for subject_id, (platform, creator, at) in asks.items()
        if (platform, creator, at) in levels
    }


def _refuse_hours(sums: Sums) -> None:
    if sums.marks.windowed:
        raise Invalid(
            f"{', '.join(sorted(sums.marks.windowed))} come as whole days from their source",
            pointer="?granularity",
            code="coarser_source",
            allowed=("day", "week", "month", "total"),
        )


# ------------------------------------------------------------------------------------------------ groups, rows


async def _groups(raw: asyncpg.Connection[Any], asked: Asked) -> list[tuple[dict[str, str | None], list[int]]]:
    """Return the groups of the asked dimensions, each with the places of its members; one of all without dimensions."""
    if not asked.question.dimensions:
        return [({}, list(range(len(asked.members))))]
    followers = await _at_publication(raw, asked) if "tier" in asked.question.dimensions else {}
    found: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for at, member in enumerate(asked.members):
        values = {
            "platform": member.platform,
            "tier": tier_of(BRIEF_FOUR_TIER, followers.get(member.subject_id)),
        }
        found[tuple(values[name] for name in asked.question.dimensions)].append(at)
    ordered = sorted(found.items(), key=lambda group: tuple((name is None, name or "") for name in group[0]))
    return [(dict(zip(asked.question.dimensions, key, strict=True)), places) for key, places in ordered]


def _rows(
    asked: Asked,
    spans: Sequence[tuple[Span, Bucket]],
    sums: Sums,
    groups: Sequence[tuple[dict[str, str | None], list[int]]],
    other: tuple[Period, Sums, Reason | None] | None,
) -> list[RowOut]:
    grain = asked.question.granularity
    rows = []
    for dimensions, places in groups:
        if grain is Grain.TOTAL:
            partial = asked.period.partial
            rows.append(_row(asked, dimensions, total_span(asked.period), partial, sums, places, other))
        for span, bucket in spans:
            labelled = {grain.value: bucket.label} | dimensions
            rows.append(_row(asked, labelled, span, bucket.partial, sums, places, other, not_yet=bucket.not_yet))
    return rows


def _row(
    asked: Asked,
    dimensions: Mapping[str, str | None],
    span: Span,
    partial: bool,  # noqa: FBT001 - a value of the row
    sums: Sums,
    places: Sequence[int],
    other: tuple[Period, Sums, Reason | None] | None,
    *,
    not_yet: bool = False,
) -> RowOut:
    number = span.number
    which = None if len(places) == len(asked.members) else places
    values = values_of(asked, sums, number, which)
    if not_yet:
        values = {slug: _ahead(value) for slug, value in values.items()}
    comparable = other is not None and number in other[1].by_bucket
    others = values_of(asked, other[1], number, which) if other and comparable else None
    evidence = None if asked.question.dimensions else _evidence(asked, asked.period, span)
    shown = _shown(values, others, other[2] if other else None, evidence)
    return RowOut(dimensions=dict(dimensions), metrics=shown, partial=partial)


def _ahead(value: Value) -> Value:
    return Value(value=None, unit=value.unit, state=State.NOT_YET, reason=Reason.NOT_STARTED, currency=value.currency)


def values_of(asked: Asked, sums: Sums, number: int, places: Sequence[int] | None) -> dict[str, Value]:
    """Return the values of a bucket by slug, over all members or those at ``places``."""
    part = sums.by_bucket[number]
    if places is not None:
        part = take(part, _indices(places))
    return {kpi.slug: evaluate(kpi, part, currency=sums.currency, level=asked.question.level) for kpi in asked.kpis}


def _indices(places: Sequence[int]) -> Any:
    return list(places)


def _shown(
    values: Mapping[str, Value],
    others: Mapping[str, Value] | None,
    incomparable: Reason | None,
    evidence: tuple[str, str] | None,
) -> dict[str, MetricOut]:
    return {
        slug: metric_out(
            value,
            others[slug] if others else None,
            incomparable=incomparable,
            provenance=f"{evidence[0]}/{slug}/provenance?{evidence[1]}" if evidence else None,
        )
        for slug, value in values.items()
    }


def _evidence(asked: Asked, period: Period, span: Span) -> tuple[str, str] | None:
    """Return address and query of the evidence for a span: its range resolved, its knowledge pinned."""
    if asked.question.evidence is None:
        return None
    if period.start is None:
        place = {"range": "lifetime"}
    elif span.number < 0 and period.whole_days and span.end == period.end:
        place = {"from": period.days[0].isoformat(), "to": period.days[-1].isoformat()}
    else:
        place = {"from": instant(span.start), "to": instant(span.end)}
    return asked.question.evidence, urlencode(place | {"timezone": asked.zone, "as_of": known_at(asked)}, safe=":/")


async def _compared(raw: asyncpg.Connection[Any], asked: Asked) -> tuple[Period, Sums, Reason | None] | None:
    """Return the period to compare with and its sums, up to where the asked one has come."""
    if asked.question.compare is None:
        return None
    period = previous(asked.period)
    if period is None:
        raise Invalid("the range lifetime has no previous period", pointer="?compare", code="no_previous")
    spans = [span for span, _ in _spans(asked, period, asked.question.granularity)]
    total = total_span(period, elapsed=True)
    sums = await sums_of(raw, asked, period, [*spans, total])
    # The running day of a source that reports whole days cannot be set against the same part of another day.
    reason = Reason.COARSER_SOURCE if sums.marks.windowed and total.end < period.end else None
    return period, sums, reason


# ------------------------------------------------------------------------------------------------ meta


def instant(at: datetime) -> str:
    """Return an instant as it is answered."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def known_at(asked: Asked) -> str:
    """Return the instant of knowledge that pins an answer."""
    return instant(asked.question.as_of or asked.knowledge.recorded_at)


def _range(period: Period) -> RangeOut:
    return RangeOut(
        preset=period.preset,
        start=instant(period.start) if period.start else None,
        end_exclusive=instant(period.end),
        until=instant(period.until),
        first_day=period.days[0].isoformat() if period.days else None,
        last_day=period.days[-1].isoformat() if period.days else None,
        hours=period.hours,
        partial=period.partial,
    )


def meta_of(asked: Asked, sums: Sums, notes: PlatformNotes, rows: int) -> MetaOut:
    """Return what an answer of ``rows`` rows must say of itself."""
    platforms = sorted({member.platform for member in asked.members})
    needs = {key for kpi in asked.kpis for key in kpi.needs}
    mappings = {
        platform: tuple(sorted({notes.mappings[platform, key] for key in needs if (platform, key) in notes.mappings}))
        for platform in platforms
    }
    knowledge = asked.knowledge
    return MetaOut(
        as_of=known_at(asked),
        posting=knowledge.posting,
        range=_range(asked.period),
        timezone=asked.zone,
        granularity=asked.question.granularity.value,
        currency=sums.currency,
        tier_policy=BRIEF_FOUR_TIER.name,
        freshness={platform: instant(at) for platform, at in sums.marks.freshness.items()},
        completeness=_completeness(asked, sums),
        definitions={kpi.slug: kpi.definition for kpi in asked.kpis},
        mappings={platform: rules for platform, rules in mappings.items() if rules},
        simulated=tuple(platform for platform in platforms if platform in notes.simulated),
        warnings=tuple(_warnings(asked, sums, notes, platforms)),
        query=_query(asked),
        total_rows=rows,
    )


def _completeness(asked: Asked, sums: Sums) -> float | None:
    """Return the share of members that report anything of what is asked; null without members."""
    if not asked.members or not asked.columns:
        return None
    part = sums.by_bucket[-1]
    known = sum(1 for at in range(len(asked.members)) if any(part.columns[key].known[at] for key in asked.columns))
    return round(known / len(asked.members), 6)


def _warnings(asked: Asked, sums: Sums, notes: PlatformNotes, platforms: Sequence[str]) -> list[WarningOut]:
    found = []

    def warn(code: str, detail: str, pointer: str = "") -> None:
        found.append(WarningOut(code=code, detail=detail, pointer=pointer))

    if not asked.members:
        warn("no_members", "no subject meets the campaign's rules yet")
    other_zones = sorted(zone for zone in sums.marks.source_zones if zone != asked.zone)
    if other_zones:
        warn("mixed_source_timezone", f"days of {', '.join(other_zones)} are kept as source days", "?timezone")
    if sums.marks.coarse and asked.question.granularity is not Grain.HOUR:
        warn("coarser_source", f"windows that do not fit are left out: {', '.join(sorted(sums.marks.coarse))}")
    if sums.marks.suspected:
        warn("suspected_reset", f"a counter fell below a tenth: {', '.join(sorted(sums.marks.suspected))}")
    simulated = [platform for platform in platforms if platform in notes.simulated]
    if simulated:
        warn("simulated", f"made-up numbers: {', '.join(simulated)}")
    return found


def _query(asked: Asked) -> dict[str, Any]:
    question = asked.question
    dates = (question.range_from, question.range_to)
    return {
        "metrics": [kpi.slug for kpi in asked.kpis],
        "range": {"from": str(dates[0]), "to": str(dates[1])} if dates[0] else {"preset": asked.period.preset},
        "timezone": asked.zone,
        "granularity": question.granularity.value,
        "dimensions": list(question.dimensions),
        "compare": {"to": question.compare, "align": "elapsed"} if question.compare else None,
        "as_of": instant(question.as_of) if question.as_of else None,
        "options": {"interval": {"level": question.level, "method": "auto"}, "coverage": "report"},
    }


__all__ = ["COMPARISONS", "DIMENSIONS", "Kind", "PlatformNotes", "Question", "campaign_kpis"]
