"""The KPIs of one campaign: a question without the rest of the grammar, all rows in one answer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.reports.answer import AnswerOut
from service.reports.query.answer import query_kpis
from service.reports.query.asked import Compare, Query, Scope
from service.reports.question import PlatformNotes, Question


async def campaign_kpis(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    notes: PlatformNotes,
    now: datetime,
) -> AnswerOut:
    """Answer a question about one campaign. Raises what ``query_kpis`` does."""
    query = Query(
        question=question,
        scope=Scope(campaigns=(campaign_id,)),
        compare=None if question.compare is None else Compare(to=question.compare),
    )
    return await query_kpis(connection, workspace_id, query, notes, now)
