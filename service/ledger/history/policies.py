"""Policies as they stood at a posting: tiers of creators, and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

_READ = """
select p.name, p.version, p.body, g.recorded_at from policies p
join postings g on g.workspace_id = $1 and g.batch = p.batch
where p.workspace_id = $1 and p.kind = $2 and ($3::text is null or p.name = $3)
  and ($4::bigint is null or g.posting <= $4)
order by p.name, p.version
"""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a policy, and when it was recorded."""

    name: str
    version: int
    body: Mapping[str, Any]
    recorded_at: datetime


async def stored(
    connection: asyncpg.Connection[Any], workspace_id: UUID, kind: str, name: str | None, number: int | None
) -> list[Stored]:
    """Return every version that was known at a posting (None: now), of one name or of all."""
    rows = await connection.fetch(_READ, workspace_id, kind, name, number)
    return [
        Stored(name=row["name"], version=row["version"], body=row["body"], recorded_at=row["recorded_at"])
        for row in rows
    ]
