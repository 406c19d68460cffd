"""The KPIs of a campaign: question → range and members → sums per member → pure KPI functions → answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid
from service.kpi.buckets import Grain
from service.kpi.measure import Reason, Value
from service.kpi.periods import previous
from service.ledger import kept
from service.reports.answer import AnswerOut, ComparisonOut, PageOut
from service.reports.meta import meta_of, range_out
from service.reports.question import Asked, PlatformNotes, Question, understand
from service.reports.rows import Other, evidence_of, groups_of, rows_of, shown, values_of
from service.reports.stretches import MAX_CELLS, Stretch, stretch
from service.reports.sums import Sums, sums_of


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
    stretches = _stretches(asked)
    sums, *others = await sums_of(raw, asked, stretches, notes)
    if question.granularity is Grain.HOUR:
        _refuse_hours(sums)
    other = _other(stretches[1], others[0]) if others else None
    groups = await groups_of(raw, asked)
    rows = rows_of(asked, stretches[0], sums, groups, other)
    total = stretches[0].total
    totals = values_of(asked, sums, total.number)
    before = None if other is None else values_of(asked, other.sums, total.number)
    incomparable = None if other is None else other.incomparable
    return AnswerOut(
        data=rows,
        totals=shown(totals, before, incomparable, evidence_of(asked, asked.period, total)),
        comparison=None if other is None or before is None else _comparison(asked, other.stretch, before),
        meta=meta_of(asked, sums, notes, len(rows)),
        page=PageOut(next=None, has_more=False),
    )


def _stretches(asked: Asked) -> list[Stretch]:
    """Return the range that is asked for, and the one to compare it with, up to where it has come."""
    question = asked.question
    found = [stretch(asked.period, question.granularity, len(asked.kpis))]
    if (len(found[0].buckets) + 2) * (len(asked.members) or 1) * len(asked.kpis) > MAX_CELLS * 500:
        raise Invalid("the grid is too fine for this range", pointer="?granularity", code="too_many_cells")
    if question.compare is not None:
        period = previous(asked.period)
        if period is None:
            raise Invalid("the range lifetime has no previous period", pointer="?compare", code="no_previous")
        kept.refuse(asked.kept, period.start, asked.knowledge, people=asked.asks_people)
        found.append(stretch(period, question.granularity, len(asked.kpis), elapsed=True))
    return found


def _other(stretch: Stretch, sums: Sums) -> Other:
    # The running day of a source that reports whole days cannot be set against the same part of another day.
    cut_short = sums.marks.windowed and stretch.total.end < stretch.period.end
    return Other(stretch=stretch, sums=sums, incomparable=Reason.COARSER_SOURCE if cut_short else None)


def _comparison(asked: Asked, before: Stretch, totals: Mapping[str, Value]) -> ComparisonOut:
    evidence = evidence_of(asked, before.period, before.total)
    return ComparisonOut(
        to="previous_period", range=range_out(before.period), totals=shown(totals, None, None, evidence)
    )


def _refuse_hours(sums: Sums) -> None:
    if sums.marks.windowed:
        raise Invalid(
            f"{', '.join(sorted(sums.marks.windowed))} come as whole days from their source",
            pointer="?granularity",
            code="coarser_source",
            allowed=("day", "week", "month", "total"),
        )
