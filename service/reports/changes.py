"""What changed between two answers about a campaign, for those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.reports.answer import AnswerOut, MetricOut, WarningOut
from service.reports.history import campaign_history
from service.reports.question import PlatformNotes, Question

_FIRST_TIME = frozenset({"growth", "opening", "facts", "membership"})
"""Causes of a change that takes nothing back, where no member left."""
_MOST = 20


class RestatementOut(msgspec.Struct, frozen=True, kw_only=True):
    """A posting that took back what was answered before, and why."""

    metric: str
    posting: int
    recorded_at: str
    old: int | float | str | None
    new: int | float | str | None
    causes: tuple[str, ...]


def changed(old: AnswerOut, new: AnswerOut) -> Mapping[str, MetricOut]:
    """Return the totals that are not what they were; links to evidence, which name an instant, do not count."""
    return {slug: value for slug, value in new.totals.items() if _bare(old.totals.get(slug)) != _bare(value)}


def _bare(value: MetricOut | None) -> MetricOut | None:
    return None if value is None else msgspec.structs.replace(value, provenance=None)


def alerts(old: AnswerOut | None, new: AnswerOut) -> list[WarningOut]:
    """Return the warnings that were not there before."""
    known = {warning.code for warning in old.meta.warnings} if old is not None else set()
    return [warning for warning in new.meta.warnings if warning.code not in known]


async def restatements(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    notes: PlatformNotes,
    now: datetime,
    *,
    metrics: tuple[str, ...],
    after: int,
) -> list[RestatementOut]:
    """Return what postings after ``after`` took back of some KPIs, oldest first, the first few of each."""
    found = []
    for metric in metrics:
        asked = msgspec.structs.replace(question, metrics=(metric,), known=None)
        told = await campaign_history(
            connection, workspace_id, campaign_id, asked, notes, now, after=after, limit=_MOST
        )
        found += [
            RestatementOut(
                metric=metric,
                posting=change.number,
                recorded_at=change.recorded_at,
                old=change.old.value,
                new=change.new.value,
                causes=change.causes,
            )
            for change in told.data
            if change.left or not _FIRST_TIME.issuperset(change.causes)
        ]
    return sorted(found, key=lambda one: one.posting)
