"""The rows of ``fetch_tasks``: begun once, taken over by attempt, moved page by page, ended. No network here.

Every function takes a connection inside a transaction of the workspace and never commits. A change names the attempt it
belongs to; one that another replica has superseded changes nothing and raises :class:`TaskLost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import SubjectRef
from service.db.engine import driver
from service.db.tables import fetch_tasks
from service.fetch.hints import refs
from service.fetch.plan import Due, TaskRow, TaskState

_OPEN = (TaskState.RUNNING.value, TaskState.WAITING.value)
_COLUMNS = "source_id, kind, slot, state, attempt, lease_until, started_at, pages, cursor::text as progress"

_RECENT = f"""
select t.* from unnest($2::uuid[], $3::text[], $4::timestamptz[]) as wanted (source_id, kind, slot)
cross join lateral (
  (select {_COLUMNS} from fetch_tasks f
   where f.workspace_id = $1 and f.source_id = wanted.source_id and f.kind = wanted.kind
   order by f.slot desc limit 1)
  union all
  (select {_COLUMNS} from fetch_tasks f
   where f.workspace_id = $1 and f.source_id = wanted.source_id and f.kind = wanted.kind
     and f.cursor->'subjects' = '[]'::jsonb
   order by f.slot desc limit 1)
  union all
  (select {_COLUMNS} from fetch_tasks f
   where f.workspace_id = $1 and f.source_id = wanted.source_id and f.kind = wanted.kind and f.slot = wanted.slot)
) t
"""  # noqa: S608 - the columns are a constant of this file


class TaskLost(Exception):  # noqa: N818 - reads as a state
    """Another replica has taken the task over: what this one does must not be kept."""


class _Progress(msgspec.Struct):
    """What the cursor column holds: the connector's cursor, and the subjects that the task names."""

    after: dict[str, str] = {}
    subjects: list[tuple[str, str]] = []


def _progress(after: Mapping[str, str], subjects: Iterable[SubjectRef]) -> dict[str, Any]:
    return {"after": dict(after), "subjects": [[ref.external_id, ref.type.value] for ref in subjects]}


def _read(row: Mapping[str, Any]) -> TaskRow:
    progress = msgspec.json.decode(row["progress"], type=_Progress)
    plain = ("source_id", "kind", "slot", "attempt", "lease_until", "started_at", "pages")
    return TaskRow(
        **{name: row[name] for name in plain},
        state=TaskState(row["state"]),
        cursor=progress.after,
        subjects=refs(progress.subjects),
    )


async def recent(
    connection: AsyncConnection, workspace_id: UUID, slots: Sequence[tuple[UUID, str, datetime]]
) -> list[TaskRow]:
    """Return, for each (source, kind, slot), the task of that slot, the newest one and the newest that named nobody.

    A task may come more than once.
    """
    if not slots:
        return []
    raw = await driver(connection)
    columns = [list(column) for column in zip(*slots, strict=True)]
    return [_read(row) for row in await raw.fetch(_RECENT, workspace_id, *columns)]


# ------------------------------------------------------------------------------------------------ begin


async def begin(
    connection: AsyncConnection, workspace_id: UUID, source_id: UUID, due: Due, now: datetime, until: datetime
) -> TaskRow | None:
    """Begin a task or take it up again until ``until``; None when another replica was faster."""
    if due.resume is not None:
        return await _take_over(connection, workspace_id, due.resume, now, until)
    table = fetch_tasks
    values = {
        "workspace_id": workspace_id,
        "source_id": source_id,
        "kind": due.kind.name,
        "slot": due.slot,
        "state": TaskState.RUNNING.value,
        "attempt": 1,
        "lease_until": until,
        "cursor": _progress({}, due.subjects),
        "started_at": now,
    }
    begun = insert(table).values(values).on_conflict_do_nothing().returning(table.c.attempt)
    if await connection.scalar(begun) is None:
        return None
    await _skip_older(connection, workspace_id, source_id, due, now)
    return TaskRow(
        source_id=source_id,
        kind=due.kind.name,
        slot=due.slot,
        state=TaskState.RUNNING,
        attempt=1,
        lease_until=until,
        started_at=now,
        subjects=due.subjects,
    )


async def _take_over(
    connection: AsyncConnection, workspace_id: UUID, task: TaskRow, now: datetime, until: datetime
) -> TaskRow | None:
    table = fetch_tasks
    change = (
        table.update()
        .where(_same(workspace_id, task), table.c.state.in_(_OPEN), table.c.lease_until <= now)
        .values(state=TaskState.RUNNING.value, attempt=task.attempt + 1, lease_until=until)
    )
    if (await connection.execute(change)).rowcount != 1:
        return None
    return msgspec.structs.replace(task, state=TaskState.RUNNING, attempt=task.attempt + 1, lease_until=until)


async def _skip_older(
    connection: AsyncConnection, workspace_id: UUID, source_id: UUID, due: Due, now: datetime
) -> None:
    table = fetch_tasks
    older = (
        table.c.workspace_id == workspace_id,
        table.c.source_id == source_id,
        table.c.kind == due.kind.name,
        table.c.slot < due.slot,
        table.c.state.in_(_OPEN),
        table.c.lease_until <= now,
    )
    await connection.execute(table.update().where(*older).values(state=TaskState.SKIPPED.value, finished_at=now))


# ------------------------------------------------------------------------------------------------ go on, end


async def advance(
    connection: AsyncConnection,
    workspace_id: UUID,
    task: TaskRow,
    cursor: Mapping[str, str],
    pages: int,
    until: datetime,
) -> TaskRow:
    """Move a task past pages that land in the same transaction. Raises :class:`TaskLost`."""
    moved = msgspec.structs.replace(task, cursor=dict(cursor), pages=task.pages + pages, lease_until=until)
    values = {"cursor": _progress(cursor, task.subjects), "pages": moved.pages, "lease_until": until}
    await _change(connection, workspace_id, task, values)
    return moved


async def extend(connection: AsyncConnection, workspace_id: UUID, task: TaskRow, until: datetime) -> None:
    """Keep a task while its platform takes its time. Raises :class:`TaskLost`."""
    await _change(connection, workspace_id, task, {"lease_until": until})


async def put_off(connection: AsyncConnection, workspace_id: UUID, task: TaskRow, until: datetime, error: str) -> None:
    """Let a task wait; after ``until`` anybody may take it up at its cursor. Raises :class:`TaskLost`."""
    values = {"state": TaskState.WAITING.value, "lease_until": until, "error": error}
    await _change(connection, workspace_id, task, values)


async def end(
    connection: AsyncConnection, workspace_id: UUID, task: TaskRow, state: TaskState, now: datetime, error: str = ""
) -> None:
    """End a task for good. Raises :class:`TaskLost`."""
    await _change(connection, workspace_id, task, {"state": state.value, "finished_at": now, "error": error})


async def _change(connection: AsyncConnection, workspace_id: UUID, task: TaskRow, values: Mapping[str, Any]) -> None:
    running = fetch_tasks.c.state == TaskState.RUNNING.value
    change = fetch_tasks.update().where(_same(workspace_id, task), running).values(**values)
    if (await connection.execute(change)).rowcount != 1:
        raise TaskLost


def _same(workspace_id: UUID, task: TaskRow) -> sa.ColumnElement[bool]:
    table = fetch_tasks
    return sa.and_(
        table.c.workspace_id == workspace_id,
        table.c.source_id == task.source_id,
        table.c.kind == task.kind,
        table.c.slot == task.slot,
        table.c.attempt == task.attempt,
    )
