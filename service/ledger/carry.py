"""Before months of validity go: every series gets one carried line, so that all that is kept stays exact.

The sum of a series before the edge is moved over it by two lines: one takes it away at the last instant before the edge
and goes with its month, the other puts it at the edge, where it stays. Both count as openings: they are in balances and
in the range ``lifetime`` and in no day. So the books say the same before and after the months are dropped, whenever
that is. From this posting on nothing is written before the edge (``service.ledger.horizon``).
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
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
from service.ledger.verdicts import doubts, unsettled

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
  select e.subject_id, e.series_id, {Flag.OPENING} | (e.flags & {Flag.RESET}) as flags,
    max(e.observed_at) as observed_at, {", ".join(_sum(metric) for metric in STORED)}
  from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
  where e.workspace_id = $1 and e.valid_from < $3
  group by e.subject_id, e.series_id, e.flags & {Flag.RESET}
)
insert into entries (workspace_id, batch, subject_id, series_id, valid_from, valid_to, line, sign, cause, flags,
  observed_at, delivery_id, received_at, days, {_COLUMNS})
select $1, $2, subject_id, series_id, at, at, row_number() over (order by subject_id, series_id, flags, at), sign,
  {Cause.CARRIED}, flags, observed_at, '00000000-0000-0000-0000-000000000000', $3, 0,
  {", ".join(f"sign * {metric}" for metric in STORED)}
from old cross join (values (-1::smallint, $3 - interval '1 microsecond'), (1::smallint, $3)) as side (sign, at)
"""
# Falls below a tenth that begin before the edge and of which nobody has said what they are, per metric.
_FALLS = f"""
select e.subject_id, e.series_id, e.valid_to, e.observed_at,
  {", ".join(f"sum(e.{key}) filter (where {unsettled(key, 'true')})::bigint as {key}" for key in STORED)}
from entries e where e.workspace_id = $1 and e.valid_from < $2 and e.flags & {Flag.SUSPECT} <> 0
group by e.subject_id, e.series_id, e.valid_to, e.observed_at having sum(e.sign) > 0
"""
_SUSPECT = """
insert into resets (workspace_id, subject_id, series_id, metric, at, batch, verdict, missing)
select $1, subject_id, series_id, metric, at, $2, 'suspected', missing
from unnest($3::uuid[], $4::bigint[], $5::text[], $6::timestamptz[], $7::bigint[])
  as given (subject_id, series_id, metric, at, missing)
on conflict do nothing
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
    await _doubt(raw, posting, kept_from)
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


async def _doubt(raw: asyncpg.Connection[Any], posting: Posting, kept_from: datetime) -> None:
    """Note the falls before the edge that are open there, with what their counters lack."""
    workspace_id = posting.workspace_id
    found: list[tuple[UUID, int, str, datetime, int]] = []
    for row in await raw.fetch(_FALLS, workspace_id, kept_from):
        for metric in STORED:
            if row[metric] is not None:
                given = (workspace_id, row["subject_id"], row["series_id"], row["valid_to"], kept_from)
                missing = -row[metric] - await raw.fetchval(_grown(metric), *given)
                found.append((row["subject_id"], row["series_id"], metric, row["observed_at"], missing))
    for doubt in await doubts(raw, workspace_id, None, None):
        given = (workspace_id, doubt.subject_id, doubt.series_id, doubt.edge, kept_from)
        missing = doubt.missing - await raw.fetchval(_grown(doubt.metric), *given)
        found.append((doubt.subject_id, doubt.series_id, doubt.metric, doubt.at, missing))
    still = [doubt for doubt in found if doubt[-1] > 0]
    if still:
        columns = [list(column) for column in zip(*still, strict=True)]
        await raw.execute(_SUSPECT, workspace_id, posting.batch, *columns)


@lru_cache(maxsize=64)
def _grown(metric: str) -> str:
    """Return SQL for what a series grew by after an instant, up to the edge."""
    return f"""
    select coalesce(sum(e.{metric}), 0)::bigint from entries e
    where e.workspace_id = $1 and e.subject_id = $2 and e.series_id = $3 and e.valid_to > $4 and e.valid_from < $5
      and e.flags & {Flag.RESET} = 0
    """


def edge_of(months: int, now: datetime) -> datetime:
    """Return the first instant of the UTC month that lies ``months`` before the present one."""
    place = now.year * 12 + now.month - 1 - months
    return now.replace(year=place // 12, month=place % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
