"""A query is answered: campaigns → question → members that meet the filters → sums → rows of a page → answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import MONEY
from service.db.engine import driver
from service.errors import Invalid, TooLarge
from service.kpi.attribution import Model
from service.kpi.buckets import Bucket, Grain
from service.kpi.catalogue import ALIASES, Kpi
from service.kpi.conventions import expecting
from service.kpi.definitions import Benchmark, with_margin
from service.kpi.measure import Reason, State, Value
from service.ledger.history.spans import Span
from service.reports.answer import AnswerOut, ComparisonOut, CreditingOut, MetricOut, PageOut, RowOut
from service.reports.meta import More, meta_of, range_out
from service.reports.query import cursors
from service.reports.query.asked import Attribution, Query
from service.reports.query.attributing import attributed
from service.reports.query.comparing import Against, against, asked_of_other
from service.reports.query.dimensions import UNDATED
from service.reports.query.filters import conditions
from service.reports.query.items import Item, Slice, is_flat, slice_of, values_at
from service.reports.query.scope import Scoped, scoped
from service.reports.query.sides import Side, dimensions_of, narrowed, sides_of
from service.reports.question import Asked, PlatformNotes, kpis_of, resolved
from service.reports.rows import Evidence, evidence_of, shown
from service.reports.stretches import MAX_CELLS, TOTAL, Stretch, stretch
from service.reports.sums import Sums

_GRAINS = ((timedelta(hours=50), Grain.HOUR), (timedelta(days=93), Grain.DAY), (timedelta(days=400), Grain.WEEK))
"""The grain that is chosen for a range of at most this length; beyond, months."""
_MOST_EXPORTED = 100_000
"""Values of an answer of all rows."""


async def query_kpis(
    connection: AsyncConnection, workspace_id: UUID, query: Query, notes: PlatformNotes, now: datetime
) -> AnswerOut:
    """Answer a query inside one read-only snapshot.

    Raises NotFound, Invalid (with a pointer), TooLarge, Busy for an ``as_of`` that is not settled, Gone for one before
    the books.
    """
    raw = await driver(connection)
    digest = cursors.digest_of(query.written)
    as_of, clock = query.question.as_of, now
    if query.after is not None:
        cursor = cursors.read(query.after, digest)
        as_of, clock = cursor.as_of, cursor.clock
        query = msgspec.structs.replace(query, question=msgspec.structs.replace(query.question, known=None))
    found = await scoped(raw, workspace_id, query.scope, as_of, now)
    asked = await _asked(raw, workspace_id, query, found, clock if query.question.as_of is None else None)
    query, asked = _grained(query, asked)
    compared = await against(raw, query, found, asked, now)
    asked = await narrowed(raw, query, found, asked)
    side, other = await _sides(raw, query, found, asked, compared)
    if query.auto and asked.question.granularity is Grain.HOUR and side.sums.marks.windowed:
        # What comes as whole days has no hours.
        coarser = msgspec.structs.replace(query.question, granularity=Grain.DAY)
        query = msgspec.structs.replace(query, question=coarser, auto=False)
        asked = msgspec.structs.replace(asked, question=coarser)
        side, other = await _sides(raw, query, found, asked, compared)
    _check(query, side)
    side, other = await _attributed(raw, query, _expecting(query, side), _expecting(query, other) if other else None)
    return _answer(query, found, side, other, compared, slice_of(query, side, other, digest), notes)


async def _asked(
    raw: asyncpg.Connection, workspace_id: UUID, query: Query, found: Scoped, clock: datetime | None
) -> Asked:
    whole = found.whole
    if clock is not None:
        knowledge = msgspec.structs.replace(whole.knowledge, clock=clock)
        whole = msgspec.structs.replace(whole, knowledge=knowledge)
    looked_at = (*dimensions_of(query), *(condition.name for condition in conditions(query.filters)))
    by_tier = not {"tier", "followers_at_publish"}.isdisjoint(looked_at)
    asked = await resolved(
        raw, workspace_id, query.question, whole, _kpis(query, found), zones=found.zones, by_tier=by_tier
    )
    currency = query.currency or asked.currency
    return msgspec.structs.replace(asked, tiers=query.tiers, exchange=query.exchange, currency=currency)


def _kpis(query: Query, found: Scoped) -> tuple[Kpi, ...]:
    """Return what is shown, and after it what only decides about rows."""
    version = found.whole.version
    names = [name for name in query.question.metrics if name not in query.given]
    stated = kpis_of(names, version.kind) if names or not query.question.metrics else ()
    by_slug = {kpi.slug: kpi for kpi in stated} | dict(query.given)
    ordered: dict[str, Kpi] = {}
    for name in query.question.metrics or by_slug:
        slug = ALIASES.get(name, name)
        ordered.setdefault(slug, by_slug[slug])
    for slug in _deciding(query):
        if slug not in ordered:
            ordered[slug] = query.given[slug] if slug in query.given else kpis_of((slug,), version.kind)[0]
    return tuple(with_margin(kpi, version.margin) for kpi in ordered.values())


def _deciding(query: Query) -> list[str]:
    names = (*dimensions_of(query), "day")
    ordering = [order.key for order in query.order if order.key not in names]
    return [*ordering, *(condition.name for condition in conditions(query.having))]


def _shown(query: Query, asked: Asked) -> list[str]:
    metrics = query.question.metrics
    if not metrics:
        hidden = set(_deciding(query))
        opening = {kpi.slug for kpi in kpis_of((), asked.version.kind)}
        return [kpi.slug for kpi in asked.kpis if kpi.slug in opening or kpi.slug not in hidden]
    return list(dict.fromkeys(ALIASES.get(name, name) for name in metrics))


def _grained(query: Query, asked: Asked) -> tuple[Query, Asked]:
    """Return the query with the grain that ``auto``, or the day as a dimension, comes to."""
    grain = query.question.granularity
    if is_flat(query):
        if grain not in (Grain.TOTAL, Grain.DAY):
            why = "with the day as a dimension there is no other grain"
            raise Invalid(why, pointer="?granularity", code="conflicting_grain", allowed=("day", "total"))
        grain = Grain.DAY
    elif query.auto:
        grain = _auto(asked)
    question = msgspec.structs.replace(query.question, granularity=grain)
    return msgspec.structs.replace(query, question=question), msgspec.structs.replace(asked, question=question)


def _auto(asked: Asked) -> Grain:
    period = asked.period
    if period.start is None:
        return Grain.TOTAL
    length = period.end - period.start
    return next((grain for most, grain in _GRAINS if length <= most), Grain.MONTH)


async def _sides(
    raw: asyncpg.Connection, query: Query, found: Scoped, asked: Asked, compared: Against | None
) -> tuple[Side, Side | None]:
    grain, kpis = asked.question.granularity, len(asked.kpis)
    sunday = query.sunday_weeks
    mine = stretch(asked.period, grain, kpis, sunday=sunday)
    if (len(mine.buckets) + 2) * (len(asked.members) or 1) * kpis > MAX_CELLS * 500:
        raise TooLarge("the grid is too fine for this range and this many subjects")
    if compared is None:
        (side,) = await sides_of(raw, query, found, asked, [mine])
        return side, None
    theirs = stretch(compared.period, grain, kpis, elapsed=True, sunday=sunday)
    if compared.other is None:
        side, other = await sides_of(raw, query, found, asked, [mine, theirs])
    else:
        (side,) = await sides_of(raw, query, found, asked, [mine])
        put = await asked_of_other(raw, asked, compared, compared.other)
        put = await narrowed(raw, query, compared.other, put)
        (other,) = await sides_of(raw, query, compared.other, put, [theirs])
    return side, _comparable(other, theirs)


def _expecting(query: Query, side: Side) -> Side:
    """Return a side whose sums hold what a benchmark expects, where the query gives one."""
    card = query.given["tier_index"].card if "tier_index" in query.given else None
    if not isinstance(card, Benchmark):
        return side

    def told(sums: Sums) -> Sums:
        by_bucket = {number: expecting(part, card, side.asked.tiers) for number, part in sums.by_bucket.items()}
        return msgspec.structs.replace(sums, by_bucket=by_bucket)

    sums = told(side.sums)
    return msgspec.structs.replace(side, sums=sums, whole=sums if side.whole is side.sums else told(side.whole))


async def _attributed(
    raw: asyncpg.Connection, query: Query, side: Side, other: Side | None
) -> tuple[Side, Side | None]:
    mine, *theirs = await attributed(raw, query, [side] if other is None else [side, other])
    return mine, theirs[0] if theirs else None


def _comparable(other: Side, theirs: Stretch) -> Side:
    # The running day of a source that reports whole days cannot be set against the same part of another day.
    cut_short = other.sums.marks.windowed and theirs.total.end < theirs.period.end
    return msgspec.structs.replace(other, incomparable=Reason.COARSER_SOURCE if cut_short else None)


def _check(query: Query, side: Side) -> None:
    """Refuse what cannot be: hours of days, amounts in a currency without a rate."""
    asked, marks = side.asked, side.sums.marks
    if asked.question.granularity is Grain.HOUR and marks.windowed:
        raise Invalid(
            f"{', '.join(sorted(marks.windowed))} come as whole days from their source",
            pointer="?granularity",
            code="coarser_source",
            allowed=("day", "week", "month", "total"),
        )
    strange = sorted(side.sums.currencies - {query.currency}) if query.currency is not None else []
    if strange and not MONEY.isdisjoint(asked.columns):
        raise Invalid(
            f"there is no rate from {', '.join(strange)} to {query.currency}: give it in exchange.rates",
            pointer="?currency",
            code="missing_rate",
            allowed=tuple(strange),
        )


# ------------------------------------------------------------------------------------------------ the answer


def _answer(
    query: Query,
    found: Scoped,
    side: Side,
    other: Side | None,
    compared: Against | None,
    page: Slice,
    notes: PlatformNotes,
) -> AnswerOut:
    slugs = _shown(query, side.asked)
    if len(page.rows) * len(slugs) > (MAX_CELLS if query.limit is not None else _MOST_EXPORTED):
        raise TooLarge(f"{len(page.rows)} rows of {len(slugs)} metrics: ask for fewer, or for smaller pages")
    is_linked = _is_linked(query, found, compared)
    totals = _whole(query, side, slugs)
    before = None if other is None else _whole(query, other, slugs)
    evidence = evidence_of(side.asked, side.stretch.period, side.stretch.total) if is_linked else None
    trimmed = _Trim(query)
    rows = tuple(_row(query, side, other, item, at, slugs, trimmed, is_linked=is_linked) for item, at in page.rows)
    has_totals = "totals" in query.include
    return AnswerOut(
        data=rows,
        totals=trimmed(shown(totals, before, other.incomparable if other else None, evidence)) if has_totals else {},
        comparison=None
        if compared is None or other is None or before is None
        else _comparison(query, compared, other, before, trimmed, is_linked=is_linked),
        meta=meta_of(side.asked, side.sums, notes, page.total, _more(query, found, side, compared, slugs)),
        page=PageOut(next=page.next, has_more=page.next is not None),
    )


def _is_linked(query: Query, found: Scoped, compared: Against | None) -> bool:
    """Tell whether the trails of a KPI prove the numbers of this answer."""
    plain = query.filters is None and query.exchange is None and not query.strict and not query.given
    plain = plain and not query.attribution
    whole = found.is_one and (compared is None or compared.other is None)
    return plain and whole and "provenance" in query.include


def _whole(query: Query, side: Side, slugs: Sequence[str]) -> dict[str, Value]:
    whole = msgspec.structs.replace(side, sums=side.whole, groups=None)
    return values_at(query, whole, slugs, (), TOTAL)


def _row(
    query: Query,
    side: Side,
    other: Side | None,
    item: Item,
    at: tuple[Span, Bucket] | None,
    slugs: Sequence[str],
    trimmed: _Trim,
    *,
    is_linked: bool,
) -> RowOut:
    span = side.stretch.total if at is None else at[0]
    values = values_at(query, side, slugs, item.key, span.number)
    if at is not None and at[1].not_yet:
        values = {slug: _ahead(value) for slug, value in values.items()}
    others = None
    if other is not None and span.number in other.sums.by_bucket:
        others = values_at(query, other, slugs, item.key, span.number)
    is_group = bool(dimensions_of(query))
    evidence: Evidence | None = evidence_of(side.asked, side.asked.period, span) if is_linked and not is_group else None
    named = dict(zip(dimensions_of(query), item.key, strict=True)) if item.key else {}
    grain = side.asked.question.granularity.value
    return RowOut(
        dimensions=named if at is None else {grain: at[1].label, **named},
        metrics=trimmed(shown(values, others, other.incomparable if other else None, evidence)),
        partial=side.asked.period.partial if at is None else at[1].partial,
    )


def _ahead(value: Value) -> Value:
    return Value(value=None, unit=value.unit, state=State.NOT_YET, reason=Reason.NOT_STARTED, currency=value.currency)


def _comparison(
    query: Query, compared: Against, other: Side, before: Mapping[str, Value], trimmed: _Trim, *, is_linked: bool
) -> ComparisonOut:
    evidence = evidence_of(other.asked, other.stretch.period, other.stretch.total) if is_linked else None
    totals = trimmed(shown(before, None, None, evidence)) if "totals" in query.include else {}
    return ComparisonOut(to=compared.to, range=range_out(compared.period), totals=totals)


class _Trim:
    """Leaves out what was not asked to be included."""

    def __init__(self, query: Query) -> None:
        self.nothing: dict[str, None] = {}
        if "intervals" not in query.include:
            self.nothing["interval"] = None
        if "coverage" not in query.include:
            self.nothing |= {"coverage": None, "members": None}

    def __call__(self, metrics: Mapping[str, MetricOut]) -> Mapping[str, MetricOut]:
        if not self.nothing:
            return metrics
        return {slug: msgspec.structs.replace(metric, **self.nothing) for slug, metric in metrics.items()}


def _more(query: Query, found: Scoped, side: Side, compared: Against | None, slugs: Sequence[str]) -> More:
    names = dimensions_of(query)
    looked_at = {*names, *(condition.name for condition in conditions(query.filters))}
    warnings: list[tuple[str, str, str]] = []
    if side.overlapping:
        text = f"subjects count in several rows of {', '.join(side.overlapping)}: rows do not add up to the totals"
        warnings.append(("rows_overlap", text, "?dimensions"))
    undated = sorted(looked_at & UNDATED)
    if undated:
        text = "which profiles are one person is not dated: it is read as it is now"
        warnings.append(("undated_dimension", text, "?dimensions"))
    if query.filters is not None and not side.asked.members and found.whole.members:
        warnings.append(("filters_match_nothing", "no subject of the campaigns meets the filters", "?filters"))
    if compared is not None and compared.shorter:
        warnings.append(("unequal_length", "the other flight has fewer days than this range", "?compare"))
    if side.sums.currency is None and not MONEY.isdisjoint(side.asked.columns):
        text = f"amounts are in {', '.join(sorted(side.sums.currencies))}: give a currency and rates"
        warnings.append(("mixed_currency", text, "?currency"))
    return More(
        campaigns=tuple(campaign.campaign_id for campaign in found.campaigns),
        strategy=query.scope.strategy,
        slugs=tuple(slugs),
        written=query.written,
        attribution={slug: _way(way) for slug, way in query.attribution.items() if slug in slugs},
        warnings=tuple(warnings),
    )


def _way(way: Attribution) -> CreditingOut:
    model = "last_click_then_view" if way.model in (None, Model.LAST) else str(way.model)
    return CreditingOut(model=model, click_window_days=way.click_days, view_window_days=way.view_days)
