"""What subjects are said to be, at a posting: facts that questions are broken down and narrowed by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.statements import FACTS

SOURCES = "sources"
"""The name under which stand the ids of the sources that named a subject, in the order of their ids."""
_PREFIX = "source:"

_NOW = f"""
select s.subject_id, f.key as name, f.value -> 1 as value
from subjects s cross join lateral jsonb_each(s.facts) f
where s.workspace_id = $1 and s.subject_id = any((select $2::uuid[])::uuid[])
  and (f.key = any($3::text[]) or ($4 and f.key like '{_PREFIX}%'))
"""
_NAMED = """
select {columns}, array_agg(s.subject_id) as ids from subjects s
where s.workspace_id = $1 and s.subject_id = any((select $2::uuid[])::uuid[])
"""
_THEN = f"""
select distinct on (f.subject_id, f.name) f.subject_id, f.name, f.value
from {FACTS} f join postings p using (workspace_id, batch)
where f.workspace_id = $1 and f.subject_id = any((select $2::uuid[])::uuid[]) and p.posting <= $5
  and (f.name = any($3::text[]) or ($4 and f.name like '{_PREFIX}%'))
order by f.subject_id, f.name, p.posting desc
"""
_PERSONS = """
select platform, external_id, creator_id from creator_profiles
where workspace_id = $1 and (platform, external_id) in (select * from unnest($2::text[], $3::text[]))
"""


async def facts_of(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    names: Sequence[str],
    number: int | None,
) -> Mapping[UUID, Mapping[str, Any]]:
    """Return facts of subjects by name, those of a posting or of now; ``sources`` may be among the names."""
    found: dict[UUID, dict[str, Any]] = defaultdict(dict)
    if not subject_ids or not names:
        return found
    if number is None and SOURCES not in names:
        return await _named(connection, workspace_id, subject_ids, names)
    wanted = [name for name in names if name != SOURCES]
    given = (workspace_id, list(subject_ids), wanted, SOURCES in names)
    rows = await (connection.fetch(_NOW, *given) if number is None else connection.fetch(_THEN, *given, number))
    for row in rows:
        if row["value"] is None:
            continue
        facts, name = found[row["subject_id"]], row["name"]
        if name.startswith(_PREFIX):
            facts.setdefault(SOURCES, []).append(UUID(hex=name.removeprefix(_PREFIX)))
        else:
            facts[name] = row["value"]
    return found


async def _named(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID], names: Sequence[str]
) -> Mapping[UUID, Mapping[str, Any]]:
    """Return facts of now whose names are known: each is looked up, without a look at the others."""
    columns = ", ".join(f"array_agg(s.facts -> ${3 + place} -> 1) as fact_{place}" for place in range(len(names)))
    row = await connection.fetchrow(_NAMED.format(columns=columns), workspace_id, list(subject_ids), *names)
    told = [row[f"fact_{place}"] or () for place in range(len(names))]
    return {
        subject_id: {name: value for name, value in zip(names, values, strict=True) if value is not None}
        for subject_id, values in zip(row["ids"] or (), zip(*told, strict=True), strict=True)
    }


async def persons_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, profiles: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], UUID]:
    """Return the creators behind profiles (platform, external id), as they are put together now: that is not dated."""
    if not profiles:
        return {}
    platforms, names = [platform for platform, _ in profiles], [name for _, name in profiles]
    rows = await connection.fetch(_PERSONS, workspace_id, platforms, names)
    return {(row["platform"], row["external_id"]): row["creator_id"] for row in rows}
