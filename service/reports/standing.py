"""Where a campaign stands: what decides whether an answer about it is still the answer. No numbers are read here.

The posting that last shaped a campaign is kept beside its books (``campaign_postings``), so this is one look by key. Of
several campaigns it is the newest posting of their workspace. A range that runs moves on in steps: within a step, and
with no such posting, equal questions are answered alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Gone, NotFound
from service.kpi.periods import Flight, Period
from service.reports.question import Question, period_of

STEP = timedelta(seconds=15)
"""How often an answer over a running range may change by the clock alone."""
QUARTER = timedelta(minutes=15)
"""Local days begin at quarters of an hour in every zone: until the next one a settled range stays what it is."""
_MOVING = frozenset({"last_24h", "lifetime"})
_NOW = """
select c.zone, v.kind, v.starts, v.ends, coalesce(t.posting, b.posting) as posting,
  coalesce(t.recorded_at, b.recorded_at) as recorded_at
from campaigns c
join books b on b.workspace_id = $1
join lateral (
  select kind, starts, ends from campaign_versions where workspace_id = $1 and campaign_id = $2
  order by version desc limit 1
) v on true
left join lateral (
  select posting, recorded_at from campaign_postings
  where workspace_id = $1 and campaign_id in ($2, '00000000-0000-0000-0000-000000000000')
  order by posting desc limit 1
) t on true
where c.workspace_id = $1 and c.campaign_id = $2
"""
_THEN = """
select
  (select posting from postings where workspace_id = $1 and recorded_at <= $2 order by recorded_at desc limit 1)
    as posting,
  (select max(kept_from) from retentions where workspace_id = $1) as kept_from
"""
_THERE = "select true from campaigns where workspace_id = $1 and campaign_id = $2"
_NEWEST = "select posting, recorded_at from books where workspace_id = $1"
_DAY = timedelta(days=1)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer depends on beyond the words of its question.

    ``facts`` are written into its tag. ``posting`` is None for an answer that is pinned. ``clock`` is when it speaks
    at, ``holds_until`` when the clock may change it. ``running``: its range has not ended.
    """

    facts: tuple[Any, ...]
    posting: int | None
    known: tuple[int, datetime] | None
    clock: datetime
    holds_until: datetime
    running: bool


async def standing(
    connection: AsyncConnection, workspace_id: UUID, campaign_id: UUID, question: Question, now: datetime
) -> Standing:
    """Return where a campaign stands for a question. Raises NotFound, Gone, and Invalid for a range that is none."""
    raw = await driver(connection)
    if question.as_of is not None:
        if not await raw.fetchval(_THERE, workspace_id, campaign_id):
            raise NotFound("no such campaign")
        return _pinned(await raw.fetchrow(_THEN, workspace_id, question.as_of), now)
    row = await raw.fetchrow(_NOW, workspace_id, campaign_id)
    if row is None:
        raise NotFound("no such campaign")
    return _present(row, question, now)


async def workspace_standing(
    connection: AsyncConnection, workspace_id: UUID, question: Question, now: datetime, *, timeless: bool
) -> Standing:
    """Return where a workspace stands for a question that any posting may answer anew. Raises Gone.

    ``timeless``: once the range is over, the clock has no part in the answer.
    """
    raw = await driver(connection)
    if question.as_of is not None:
        return _pinned(await raw.fetchrow(_THEN, workspace_id, question.as_of), now)
    posting, recorded_at = await raw.fetchrow(_NEWEST, workspace_id)
    running = not (timeless and _is_over(question, now))
    clock = max(after(now, STEP) - STEP, recorded_at) if running else now
    return Standing(
        facts=(posting, str(clock) if running else "over"),
        posting=posting,
        known=None,
        clock=clock,
        holds_until=after(now, STEP if running else QUARTER),
        running=running,
    )


def _is_over(question: Question, now: datetime) -> bool:
    """Tell whether a stated range has ended in every zone."""
    last = question.range_to
    if isinstance(last, datetime):
        return last <= now
    return last is not None and last < (now - 2 * _DAY).date()


def _pinned(row: Any, now: datetime) -> Standing:
    if row["posting"] is None:
        raise Gone("the books of this workspace begin later")
    # Which posting that is depends on the instant alone once it is settled, and so does everything else; but what
    # retention takes is answered no more.
    facts = (row["posting"], str(row["kept_from"]))
    return Standing(facts=facts, posting=None, known=None, clock=now, holds_until=after(now, QUARTER), running=False)


def _present(row: Any, question: Question, now: datetime) -> Standing:
    zone, flight = question.timezone or row["zone"], Flight(first=row["starts"], last=row["ends"])
    # Never before what is known: a value that was read between two steps would lie ahead.
    clock = max(after(now, STEP) - STEP, row["recorded_at"])
    period = period_of(question, zone, flight, now)
    running = _runs(period, now)
    if running:
        period = period_of(question, zone, flight, clock)
    return Standing(
        facts=(row["posting"], row["kind"], zone, str(period.start), str(period.end), str(period.until)),
        posting=row["posting"],
        known=(row["posting"], row["recorded_at"]),
        clock=clock if running else now,
        holds_until=after(now, STEP if running else QUARTER),
        running=running,
    )


def _runs(period: Period, now: datetime) -> bool:
    return period.preset in _MOVING or period.end >= now


def after(now: datetime, step: timedelta) -> datetime:
    """Return the next instant that is a whole number of steps, after ``now``."""
    begun = datetime(2000, 1, 1, tzinfo=UTC)
    return begun + ((now - begun) // step + 1) * step
