"""Reading conversions as they stood at a posting: what was sold, by which rule it is credited, and to whom.

Nothing here names a person: the hashes stay in the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.journeys import NOBODY

_SEEN = "p.workspace_id = $1 and p.batch = {0}.batch and ($2::bigint is null or p.posting <= $2)"
_SOLD = f"""
with held as (
  select distinct r.event_key, r.version from credits r
  where r.workspace_id = $1 and r.at >= $4 and r.at < $5 and (
    r.subject_id = any($3::uuid[])
    or r.subject_id in (select subject_id from subjects where workspace_id = $1 and external_id = '{NOBODY}'))
)
select c.event_key, c.version, c.kind, c.at, c.observed_at, c.rule, c.cause, c.currency, c.goal, c.value,
  c.first_order, c.source_id, c.delivery_id, p.posting, p.recorded_at
from held h
join conversions c on c.workspace_id = $1 and c.event_key = h.event_key and c.version = h.version and c.sign = 1
join postings p on {_SEEN.format("c")}
where not exists (
  select from conversions n join postings p on {_SEEN.format("n")}
  where n.workspace_id = $1 and n.event_key = c.event_key and n.version > c.version and n.sign = 1)
  and ($6::timestamptz is null or (c.at, c.event_key) < ($6, $7::bytea))
order by c.at desc, c.event_key desc limit $8
"""
_CREDITS = """
select r.event_key, r.subject_id, r.orders, r.refunds, r.conversions, r.conversion_value, s.platform, s.external_id,
  (
    select t.kind from touchpoints t
    where t.workspace_id = $1 and t.event_key = r.touch and t.sign = 1 order by t.version desc limit 1
  ) as touch
from unnest($2::bytea[], $3::integer[]) as given (event_key, version)
join credits r on r.workspace_id = $1 and r.event_key = given.event_key and r.version = given.version
join subjects s on s.workspace_id = $1 and s.subject_id = r.subject_id
order by r.event_key, r.place
"""


async def sold(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    start: datetime,
    end: datetime,
    number: int | None,
    before: tuple[datetime, bytes] | None,
    limit: int,
) -> list[Any]:
    """Return conversions of ``[start, end)`` that credit one of the subjects, or nobody, newest first."""
    asked = (number, list(subject_ids), start, end, *(before or (None, None)), limit)
    return list(await connection.fetch(_SOLD, workspace_id, *asked))


async def credits_of(connection: asyncpg.Connection[Any], workspace_id: UUID, rows: Sequence[Any]) -> list[Any]:
    """Return the credits of versions of conversions, with their subjects."""
    keys, versions = [row["event_key"] for row in rows], [row["version"] for row in rows]
    return list(await connection.fetch(_CREDITS, workspace_id, keys, versions)) if rows else []
