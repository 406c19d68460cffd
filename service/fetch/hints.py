"""Hints (subjects that a platform says have changed) and looks (when a kind of task last asked for a subject by name).

A hint is one row for all kinds of task that may name subjects; each answers it for itself, and the last one to do so
takes it away. Every function takes a connection inside a transaction of the workspace and never commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import FetchKind, SubjectRef, SubjectType
from service.db.engine import driver
from service.fetch.plan import TaskRow

MOST_HINTS = 500
"""Subjects that one task is told of at most; the others wait for the next."""
IN_VAIN = timedelta(minutes=15)
"""How long a hint waits after a task that asked for it and failed."""
Pending = dict[tuple[UUID, str], list[SubjectRef]]
"""Source and kind to the subjects that were hinted at and not answered by that kind, the oldest hints first."""

_PENDING = """
select wanted.source_id, wanted.kind, h.external_id, h.type
from unnest($2::uuid[], $3::text[]) as wanted (source_id, kind)
cross join lateral (
  select h.external_id, h.type, h.hinted_at from refresh_hints h
  left join refresh_looks l on l.workspace_id = $1 and l.source_id = h.source_id and l.kind = wanted.kind
    and l.external_id = h.external_id
  where h.workspace_id = $1 and h.source_id = wanted.source_id
    and (l.answered_at is null or l.answered_at < h.hinted_at)
    and (l.asked_at is null or l.asked_at < greatest(h.hinted_at, $5))
  order by h.hinted_at, h.external_id limit $4
) h
"""

_LOOKED = """
insert into refresh_looks (workspace_id, source_id, kind, external_id, asked_at, answered_at)
select $1, $2, $3, external_id, $5, $6 from unnest($4::text[]) as named (external_id) order by external_id
on conflict (workspace_id, source_id, kind, external_id) do update
set asked_at = excluded.asked_at, answered_at = coalesce(excluded.answered_at, refresh_looks.answered_at)
"""

# A task that named nobody has read what was published within its look-back, and nothing older.
_SWEPT = """
insert into refresh_looks (workspace_id, source_id, kind, external_id, answered_at)
select $1, $2, $3, h.external_id, $4 from refresh_hints h
where h.workspace_id = $1 and h.source_id = $2 and h.hinted_at <= $4 and not exists (
  select from subjects s join sources o on o.workspace_id = $1 and o.source_id = $2
  where s.workspace_id = $1 and s.platform = o.platform and s.external_id = h.external_id
    and (s.facts->'published_at'->>1)::timestamptz < $5)
order by h.external_id
on conflict (workspace_id, source_id, kind, external_id) do update set answered_at = excluded.answered_at
"""

_FORGET = """
delete from refresh_hints h where h.workspace_id = $1 and h.source_id = $2 and not exists (
  select from unnest($3::text[]) as asked (kind) where not exists (
    select from refresh_looks l where l.workspace_id = $1 and l.source_id = $2 and l.kind = asked.kind
      and l.external_id = h.external_id and l.answered_at >= h.hinted_at))
"""


def refs(pairs: Iterable[tuple[str, str]]) -> tuple[SubjectRef, ...]:
    """Return references from ids and types; a type that is no longer known is *other*."""
    known = frozenset(SubjectType)
    return tuple(SubjectRef(name, SubjectType(kind) if kind in known else SubjectType.OTHER) for name, kind in pairs)


async def pending(
    connection: AsyncConnection, workspace_id: UUID, wanted: Sequence[tuple[UUID, str]], now: datetime
) -> Pending:
    """Return what each of the given kinds of the given sources has still to answer, a bounded number for each.

    What was asked for in vain is asked for again after a while, and not before.
    """
    found: Pending = {}
    if wanted:
        raw = await driver(connection)
        sources, kinds = (list(column) for column in zip(*wanted, strict=True))
        for row in await raw.fetch(_PENDING, workspace_id, sources, kinds, MOST_HINTS, now - IN_VAIN):
            found.setdefault((row["source_id"], row["kind"]), []).extend(refs([(row["external_id"], row["type"])]))
    return found


async def looked(connection: AsyncConnection, workspace_id: UUID, task: TaskRow, *, answered: bool) -> None:
    """Keep that an ended task has asked for the subjects that it named."""
    if task.subjects:
        raw = await driver(connection)
        names = sorted({ref.external_id for ref in task.subjects})
        at = task.started_at
        key = (workspace_id, task.source_id, task.kind, names)
        await raw.execute(_LOOKED, *key, at, at if answered else None)


async def answer(connection: AsyncConnection, workspace_id: UUID, task: TaskRow, kinds: Sequence[FetchKind]) -> None:
    """Keep that a finished task has answered the hints given before it began; forget those that every kind has.

    ``kinds`` are all kinds of the connector. A task of a kind that may not name subjects answers none.
    """
    asked = [kind for kind in kinds if kind.subjects]
    own = next((kind for kind in asked if kind.name == task.kind), None)
    if own is None:
        return
    raw = await driver(connection)
    at = task.started_at
    if not task.subjects:
        reach = at - own.look_back if own.look_back else None
        await raw.execute(_SWEPT, workspace_id, task.source_id, task.kind, at, reach)
    await raw.execute(_FORGET, workspace_id, task.source_id, [kind.name for kind in asked])
