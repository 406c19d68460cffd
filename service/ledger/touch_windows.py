"""How long a touch may lead to a conversion: which windows hold for a subject, and how new ones come to hold.

A version of a campaign with other windows holds for its members a few at a time, in the order of their ids. How far it
has come is a line of each posting that goes on, so what held at any posting can be told. Who is credited is the
business of ``conversions``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import asyncpg

from service.kpi.attribution import CLICK_WINDOW_DAYS, VIEW_WINDOW_DAYS, Windows
from service.ledger.history.knowledge import seen
from service.ledger.posting import Posting

MOST = 100
"""Subjects for which one posting lets new windows hold at most."""
MOST_TOUCHES = 5_000
"""Touches of these subjects at most, but for a subject that has more by itself."""

_NOBODY = UUID(int=0)
_EVERYBODY = UUID(int=2**128 - 1)
_STEP = "insert into window_steps (workspace_id, campaign_id, version, batch, after) values ($1, $2, $3, $4, $5)"
_PENDING = """
select campaign_id, version, after from (
  select distinct on (campaign_id) campaign_id, version, after from window_steps where workspace_id = $1
  order by campaign_id, version desc, after desc
) newest where after <> $2 order by campaign_id
"""
_NEXT = """
select m.subject_id,
  (select count(*) from touchpoints t where t.workspace_id = $1 and t.subject_id = m.subject_id) as touches
from (
  select subject_id from memberships where workspace_id = $1 and campaign_id = $2 and subject_id > $3
  group by subject_id having sum(sign) > 0
) m
where exists (select from touchpoints t where t.workspace_id = $1 and t.subject_id = m.subject_id)
order by m.subject_id limit $4
"""


async def windows_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Iterable[UUID], number: int | None = None
) -> dict[UUID, Windows]:
    """Return the windows of subjects, as they held at a posting (None: now).

    A touch counts where it is inside the window of any campaign that its subject counts in.
    """
    named = sorted(subject_ids)
    rows = await connection.fetch(_windows(number), workspace_id, named, number) if named else []
    return {row["subject_id"]: Windows(click_days=row["click_days"], view_days=row["view_days"]) for row in rows}


def _windows(number: int | None) -> str:
    # Of a version without steps the windows hold for everybody; of one with steps, up to where they have come.
    return f"""
select m.subject_id, max(coalesce(v.click_days, {CLICK_WINDOW_DAYS}))::float as click_days,
  max(coalesce(v.view_days, {VIEW_WINDOW_DAYS}))::float as view_days
from (
  select n.subject_id, n.campaign_id from memberships n
  where n.workspace_id = $1 and n.subject_id = any($2::uuid[]) and {seen(number, 3, "n")}
  group by n.subject_id, n.campaign_id having sum(n.sign) > 0
) m
cross join lateral (
  select v.click_days, v.view_days from campaign_versions v
  where v.workspace_id = $1 and v.campaign_id = m.campaign_id and {seen(number, 3, "v")}
    and (
      not exists (
        select from window_steps w
        where w.workspace_id = $1 and w.campaign_id = v.campaign_id and w.version = v.version)
      or exists (
        select from window_steps w
        where w.workspace_id = $1 and w.campaign_id = v.campaign_id and w.version = v.version
          and w.after >= m.subject_id and {seen(number, 3, "w")}))
  order by v.version desc limit 1
) v
group by m.subject_id
"""


async def is_pending(connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID) -> bool:
    """Tell whether windows of a campaign have not come to all of its members yet."""
    rows = await connection.fetch(_PENDING, workspace_id, _EVERYBODY)
    return campaign_id in {row["campaign_id"] for row in rows}


async def begin(connection: asyncpg.Connection[Any], posting: Posting, campaign_id: UUID, version: int) -> set[UUID]:
    """Let the windows of a version hold for the first members; return those whose touches lead elsewhere now.

    A version that follows one whose windows have not come to all members begins with the first of them again.
    """
    return await _step(connection, posting, campaign_id, version, _NOBODY)


async def go_on(connection: asyncpg.Connection[Any], posting: Posting) -> set[UUID] | None:
    """Let windows that wait hold for the next members; return these, None where none wait.

    The caller has the workspace to itself and credits anew what touches on them can have led to.
    """
    row = await connection.fetchrow(_PENDING, posting.workspace_id, _EVERYBODY)
    if row is None:
        return None
    return await _step(connection, posting, row["campaign_id"], row["version"], row["after"])


async def are_waiting(connection: asyncpg.Connection[Any], workspace_id: UUID) -> bool:
    """Tell whether any windows have not come to all members yet."""
    return await connection.fetchrow(_PENDING, workspace_id, _EVERYBODY) is not None


async def _step(
    connection: asyncpg.Connection[Any], posting: Posting, campaign_id: UUID, version: int, after: UUID
) -> set[UUID]:
    rows = await connection.fetch(_NEXT, posting.workspace_id, campaign_id, after, MOST)
    chosen: list[UUID] = []
    touches = 0
    for row in rows:
        touches += row["touches"]
        if chosen and touches > MOST_TOUCHES:
            break
        chosen.append(row["subject_id"])
    reached = chosen[-1] if len(rows) == MOST or len(chosen) < len(rows) else _EVERYBODY
    await connection.execute(_STEP, posting.workspace_id, campaign_id, version, posting.batch, reached)
    return set(chosen)
