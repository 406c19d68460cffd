"""The restatements of a KPI: every posting that changed it over a range, with the value before and after, and why.

The books are replayed posting by posting: the last value after is the plain answer, and every one is the answer as of
its posting.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.db.engine import driver
from service.ledger import kept, restatements
from service.ledger.restatements import Reasons
from service.reports.answer import MetaOut, MetricOut, PageOut, metric_out
from service.reports.meta import meta_of
from service.reports.points import PointOut
from service.reports.question import PlatformNotes, Question, instant, understand
from service.reports.replay import Change, Replay
from service.reports.rows import values_of
from service.reports.stretches import TOTAL
from service.reports.sums import total_of

SCANNED = 500
"""Postings looked at for one page; a page may hold fewer changes than asked for and still not be the last."""


class ChangeOut(msgspec.Struct, frozen=True, kw_only=True):
    """One posting that changed a KPI.

    ``causes`` are those of its entries, and ``membership``, ``facts``, ``suspected_reset``, ``reset_recovered``,
    ``reset_settled``.
    ``deliveries`` are the first hundred of ``deliveries_total``; ``joined`` and ``left`` count subjects.
    """

    posting: str
    number: int
    recorded_at: str
    old: PointOut
    new: PointOut
    causes: tuple[str, ...]
    deliveries: tuple[str, ...]
    deliveries_total: int
    joined: int
    left: int


class HistoryOut(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a KPI, newest last, and its value now."""

    metric: str
    definition: str
    value: MetricOut
    data: tuple[ChangeOut, ...]
    meta: MetaOut
    page: PageOut


async def campaign_history(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    notes: PlatformNotes,
    now: datetime,
    *,
    after: int,
    limit: int,
) -> HistoryOut:
    """Return up to ``limit`` changes of the question's one KPI after posting ``after``, in one read-only snapshot.

    Raises what ``campaign_kpis`` does.
    """
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    (kpi,) = asked.kpis
    kept.refuse_history(asked.kept, asked.period.start, after, people=asked.asks_people)
    sums = await total_of(raw, msgspec.structs.replace(asked, doubtful=notes.doubtful))
    replay = await Replay.begin(raw, asked, campaign_id, after)
    changes, page = await _page(raw, replay, limit)
    return HistoryOut(
        metric=kpi.slug,
        definition=kpi.definition,
        value=metric_out(values_of(asked, sums, TOTAL)[kpi.slug]),
        data=tuple(changes),
        meta=meta_of(asked, sums, notes, len(changes)),
        page=page,
    )


async def _page(raw: asyncpg.Connection[Any], replay: Replay, limit: int) -> tuple[list[ChangeOut], PageOut]:
    """Return the next changes, and where the page after them begins."""
    newest = replay.asked.knowledge.posting
    found = await restatements.postings(raw, replay.watch, replay.number, newest, SCANNED + 1)
    scanned = found[:SCANNED]
    movements = await replay.first(scanned[-1].posting if scanned else replay.number)
    touched = await restatements.people_touched(raw, replay.watch, [one.batch for one in scanned])
    old = replay.point()
    changes: list[Change] = []
    for posted in scanned:
        change = await replay.step(posted, movements.get(posted.posting, ()), touched.get(posted.posting, set()), old)
        if change is not None:
            changes.append(change)
            old = change.new
        if len(changes) == limit:
            break
    more = bool(found) and found[-1].posting > replay.number
    shown = await _explained(raw, replay, changes)
    return shown, PageOut(next=str(replay.number) if more else None, has_more=more)


async def _explained(raw: asyncpg.Connection[Any], replay: Replay, changes: Sequence[Change]) -> list[ChangeOut]:
    pairs = [(change.posted.batch, one) for change in changes for one in change.moved]
    reasons = await restatements.reasons(raw, replay.watch, pairs)
    return [_shown(change, reasons.get(change.posted.posting)) for change in changes]


def _shown(change: Change, reasons: Reasons | None) -> ChangeOut:
    posted = change.posted
    return ChangeOut(
        posting=ids.show("posting", posted.posting_id),
        number=posted.posting,
        recorded_at=instant(posted.recorded_at),
        old=change.old,
        new=change.new,
        causes=(*(reasons.causes if reasons else ()), *change.extra),
        deliveries=tuple(ids.show("delivery", one) for one in reasons.deliveries) if reasons else (),
        deliveries_total=reasons.total if reasons else 0,
        joined=change.joined,
        left=change.left,
    )
