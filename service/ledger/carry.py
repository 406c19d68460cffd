"""Before months of validity go: every series gets one carried line, so that all that is kept stays exact.

The sum of a series before the edge is moved over it by two lines: one takes it away at the last instant before the edge
and goes with its month, the other puts it at the edge, where it stays. Both count as openings: they are in balances and
in the range ``lifetime`` and in no day. So the books say the same before and after the months are dropped, whenever
that is. From this posting on nothing is written before the edge (``service.ledger.horizon``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import STORED
from service.context import Context
from service.db.engine import driver
from service.ledger.posting import Posting, close_posting, open_posting
from service.ledger.series import Cause, Flag

RETENTION = "retention"
"""The cause of postings that carry values."""
_TIMEOUT = "set local statement_timeout = '15min'"

# Distinct people of a stated window are never added: of those only the instant of the newest reading is carried.
_COUNTED = f"(s.kind <> 'unique' or (e.day is null and e.days = 0 and e.flags & {Flag.SHORT} = 0))"


def _sum(metric: str) -> str:
    known = f"e.{metric} is not null and {_COUNTED}"
    return (
        f"case when sum(e.sign) filter (where {known}) > 0 "
        f"then (sum(e.{metric}) filter (where {known}))::bigint end as {metric}"
    )


_COLUMNS = ", ".join(STORED)
_CARRY = f"""
with old as materialized (
  select e.subject_id, e.series_id, max(e.observed_at) as observed_at, {", ".join(_sum(metric) for metric in STORED)}
  from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
  where e.workspace_id = $1 and e.valid_from < $3
  group by e.subject_id, e.series_id
)
insert into entries (workspace_id, batch, subject_id, series_id, valid_from, valid_to, line, sign, cause, flags,
  observed_at, delivery_id, received_at, days, {_COLUMNS})
select $1, $2, subject_id, series_id, at, at, row_number() over (order by subject_id, series_id, at), sign,
  {Cause.CARRIED}, {Flag.OPENING}, observed_at, '00000000-0000-0000-0000-000000000000', $3, 0,
  {", ".join(f"sign * {metric}" for metric in STORED)}
from old cross join (values (-1::smallint, $3 - interval '1 microsecond'), (1::smallint, $3)) as side (sign, at)
"""
_EDGE = """
select max(e.valid_to) from entries e
where e.workspace_id = $1 and e.valid_from < $2 and (e.day is not null or e.days > 0 or e.flags & $3 <> 0)
"""
# What reaches over the edge is kept in part, and with it when it was observed.
_OBSERVED = f"""
select u.platform, max(e.observed_at) as at
from entries e join subjects u on u.workspace_id = $1 and u.subject_id = e.subject_id
where e.workspace_id = $1 and e.valid_from < $2 and e.flags & {Flag.RIGHT} = 0 group by u.platform
"""
# A counter goes on from its carried value at the edge.
_BALANCES = """
update balances b set at = greatest(b.at, $2), earlier = (
  select jsonb_object_agg(x.key, to_jsonb(greatest(x.value::timestamptz, $2)))
  from jsonb_each_text(b.earlier) x where greatest(x.value::timestamptz, $2) <> greatest(b.at, $2))
where b.workspace_id = $1 and (b.at < $2 or (b.earlier is not null and exists (
  select from jsonb_each_text(b.earlier) x where x.value::timestamptz < $2)))
"""
_TRACKS = """
update sources set tracks_from = $2 where workspace_id = $1 and tracks_from < $2
"""
_FENCE = "update workspaces set kept_from = $2 where workspace_id = $1"
_NOTE = """
insert into retentions (workspace_id, kept_from, batch, since, observed) values ($1, $2, $3, $4, $5)
"""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What was carried over an edge: how many lines, and from when on answers lost nothing."""

    lines: int
    since: datetime


async def carry(
    connection: AsyncConnection, workspace_id: UUID, kept_from: datetime, context: Context
) -> Carried | None:
    """Carry the values of a workspace over the edge of the months that are kept; None where that was done before.

    One posting in the caller's transaction, which then has the workspace to itself until it ends.
    """
    posting = await open_posting(connection, workspace_id, context, cause=RETENTION, exclusive=True)
    if posting.kept_from is not None and posting.kept_from >= kept_from:
        return None
    raw = await driver(connection)
    await raw.execute(_TIMEOUT)
    since = await _write(raw, posting, kept_from)
    lines = int((await raw.execute(_CARRY, workspace_id, posting.batch, kept_from)).rpartition(" ")[2])
    await close_posting(connection, posting, context, entries=lines)
    return Carried(lines=lines, since=since)


async def _write(raw: asyncpg.Connection[Any], posting: Posting, kept_from: datetime) -> datetime:
    """Note the edge everywhere and return from when on answers lost nothing: windows may reach over it."""
    workspace_id = posting.workspace_id
    edge = await raw.fetchval(_EDGE, workspace_id, kept_from, Flag.SHORT)
    rows = await raw.fetch(_OBSERVED, workspace_id, kept_from)
    observed = {row["platform"]: row["at"].isoformat() for row in rows}
    since = max(kept_from, edge or kept_from)
    await raw.execute(_BALANCES, workspace_id, kept_from)
    await raw.execute(_TRACKS, workspace_id, kept_from)
    await raw.execute(_FENCE, workspace_id, kept_from)
    note = msgspec.json.encode(observed).decode()
    await raw.execute(_NOTE, workspace_id, kept_from, posting.batch, since, note)
    return since


def edge_of(months: int, now: datetime) -> datetime:
    """Return the first instant of the UTC month that lies ``months`` before the present one."""
    place = now.year * 12 + now.month - 1 - months
    return now.replace(year=place // 12, month=place % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
