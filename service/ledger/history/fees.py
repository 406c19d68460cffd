"""Fees as they stand in the books: what each booking, by its scope, put on which subject and day."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

SCOPE = "fee:"
"""What the scope of a booking begins with; its reference follows."""
_STANDING = """
select s.scope, s.source_id, s.zone, s.currency, u.subject_id, u.platform, u.external_id, u.type, e.day,
  sum(e.fee_creator)::bigint as fee_creator, sum(e.cost_production)::bigint as cost_production
from series s
join entries e on e.workspace_id = $1 and e.series_id = s.series_id and e.day is not null
join subjects u on u.workspace_id = $1 and u.subject_id = e.subject_id
where s.workspace_id = $1 and s.kind = 'period' and s.source_id = any($2::uuid[])
  and starts_with(s.scope, $3) and ($4::text is null or s.scope = $3 || $4)
group by s.scope, s.source_id, s.zone, s.currency, u.subject_id, u.platform, u.external_id, u.type, e.day
having sum(e.sign) > 0
order by s.scope, e.day, u.platform, u.external_id limit $5
"""
MOST = 50_000
"""Parts of one question at most."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What a booking put on one subject and day, in millionths."""

    reference: str
    source_id: UUID
    subject_id: UUID
    platform: str
    external_id: str
    type: str
    day: date
    zone: str
    currency: str
    metric: str
    amount: int


async def standing(
    connection: asyncpg.Connection[Any], workspace_id: UUID, source_ids: list[UUID], reference: str | None
) -> list[Cell]:
    """Return what stands of one booking, or of all: up to one more than :data:`MOST`."""
    rows = await connection.fetch(_STANDING, workspace_id, source_ids, SCOPE, reference, MOST + 1) if source_ids else []
    return [
        Cell(
            reference=row["scope"].removeprefix(SCOPE),
            source_id=row["source_id"],
            subject_id=row["subject_id"],
            platform=row["platform"],
            external_id=row["external_id"],
            type=row["type"],
            day=row["day"],
            zone=row["zone"],
            currency=row["currency"],
            metric=metric,
            amount=row[metric],
        )
        for row in rows
        for metric in ("fee_creator", "cost_production")
        if row[metric] is not None
    ]
