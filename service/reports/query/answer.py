"""A query is answered: campaigns → question → members that meet the filters → sums → rows of a page → answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import MONEY
from service.db.engine import driver
from service.errors import Invalid, TooLarge
from service.kpi.buckets import Grain
from service.kpi.conventions import expecting
from service.kpi.definitions import Benchmark
from service.kpi.measure import Reason
from service.reports.answer import AnswerOut
from service.reports.policies import tier_policy
from service.reports.query import cursors
from service.reports.query.asked import Query
from service.reports.query.attributing import attributed
from service.reports.query.comparing import Against, against, asked_of_other
from service.reports.query.filters import conditions
from service.reports.query.items import is_flat, slice_of
from service.reports.query.kpis import kpis_in
from service.reports.query.scope import Scoped, scoped
from service.reports.query.shaping import shaped
from service.reports.query.sides import Side, dimensions_of, narrowed, sides_of
from service.reports.query.suspects import suspects_of, without
from service.reports.question import Asked, PlatformNotes, resolved
from service.reports.stretches import MAX_CELLS, Stretch, stretch
from service.reports.sums import Sums

_GRAINS = ((timedelta(hours=50), Grain.HOUR), (timedelta(days=93), Grain.DAY), (timedelta(days=400), Grain.WEEK))
"""The grain that is chosen for a range of at most this length; beyond, months."""


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
    query, asked = _grained(query, msgspec.structs.replace(asked, doubtful=notes.doubtful))
    compared = await against(raw, query, found, asked, now)
    suspects = await suspects_of(raw, asked) if query.exclude_suspect else None
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
    if suspects is not None:
        side = without(side, suspects)
    return shaped(query, found, side, other, compared, slice_of(query, side, other, digest), notes, suspects)


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
        raw, workspace_id, query.question, whole, kpis_in(query, found), zones=found.zones, by_tier=by_tier
    )
    currency, tiers = query.currency or asked.currency, query.tiers
    if query.tier_policy is not None:
        number = asked.knowledge.number
        tiers = (await tier_policy(raw, workspace_id, query.tier_policy, number, "?options/tier_policy")).policy
    return msgspec.structs.replace(asked, tiers=tiers, exchange=query.exchange, currency=currency, campaigns=found.ids)


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
