"""Rounds: what is due in a workspace or of one source, pulled source by source. For the scheduler and for commands.

The kinds of one source follow each other, so that one account is not asked twice at once; sources go side by side.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Connector, FetchKind
from service.context import Context
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS
from service.errors import Invalid
from service.fetch import hints, tasks
from service.fetch.plan import Due, TaskRow, Wanted, due, intervals, next_look, slot_of
from service.fetch.pull import Pulled, Puller, unexpected
from service.fetch.refresh import Asked, Refresh
from service.records import SourceRow, SourceState
from service.registry import sources, workspaces

SIDE_BY_SIDE = 8
"""Sources that are pulled at the same time by one process."""
_PAGE = 500


class DueSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source with something to pull."""

    source: SourceRow
    connector: Connector
    dues: tuple[Due, ...]


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What is due in a workspace, and when more may be (None: nothing there is ever fetched)."""

    sources: tuple[DueSource, ...]
    next_look: datetime | None


class Rounds:
    """Plans and pulls for every workspace of the database."""

    def __init__(self, db: Database, context: Context, connectors: Mapping[str, Connector], puller: Puller) -> None:
        self._db = db
        self._context = context
        self._connectors = connectors
        self._puller = puller
        self._refresh = Refresh()

    async def plan(self, workspace_id: UUID) -> Planned:
        """Return what is due for the active sources of a workspace."""
        found: list[DueSource] = []
        looks: list[datetime] = []
        after: UUID | None = None
        while True:
            async with self._db.workspace(workspace_id) as connection:
                rows = await sources.listing(connection, workspace_id, _PAGE, after)
                active = [row for row in rows if row.state is SourceState.ACTIVE and self._kinds(row)]
                kept = await self._newest(connection, workspace_id, active)
                now = self._context.now()
                wanted = await self._wanted(connection, workspace_id, active, kept, now)
            for row in active:
                kinds, own = self._kinds(row), kept.get(row.source_id, [])
                dues = due(kinds, own, wanted[row.source_id], row.source_id, now)
                if dues:
                    found.append(DueSource(source=row, connector=self._connectors[row.connector], dues=tuple(dues)))
                looks += filter(None, [next_look(kinds, own, row.source_id, now)])
            if len(rows) < _PAGE:
                return Planned(sources=tuple(found), next_look=min(looks, default=None))
            after = rows[-1].source_id

    def _kinds(self, row: SourceRow) -> tuple[FetchKind, ...]:
        connector = self._connectors.get(row.connector)
        return () if connector is None else connector.capabilities.fetch

    async def _newest(
        self, connection: AsyncConnection, workspace_id: UUID, rows: Iterable[SourceRow]
    ) -> dict[UUID, list[TaskRow]]:
        now = self._context.now()
        slots = [
            (row.source_id, kind.name, slot_of(now, every, row.source_id, kind.name))
            for row in rows
            for kind in self._kinds(row)
            for every in intervals(kind)
        ]
        found: dict[UUID, list[TaskRow]] = {}
        for task in await tasks.recent(connection, workspace_id, slots):
            found.setdefault(task.source_id, []).append(task)
        return found

    async def _wanted(
        self,
        connection: AsyncConnection,
        workspace_id: UUID,
        rows: Sequence[SourceRow],
        kept: Mapping[UUID, Sequence[TaskRow]],
        now: datetime,
    ) -> dict[UUID, dict[str, Wanted]]:
        """Return what each kind that may name subjects should name, by source."""
        naming = [(row, kind) for row in rows for kind in self._kinds(row) if kind.subjects]
        pending = await hints.pending(
            connection, workspace_id, [(row.source_id, kind.name) for row, kind in naming], now
        )
        shared = Counter(row.connector for row in rows)
        found: dict[UUID, dict[str, Wanted]] = {row.source_id: {} for row in rows}
        for row, kind in naming:
            asked = Asked(
                row=row,
                connector=self._connectors[row.connector],
                kind=kind,
                tasks=kept.get(row.source_id, ()),
                hints=pending.get((row.source_id, kind.name), ()),
                sources=shared[row.connector],
            )
            found[row.source_id][kind.name] = await self._refresh.wanted(connection, asked, now)
        return found

    # -------------------------------------------------------------------------------------------- pulling

    async def pull(self, wanted: DueSource) -> list[Pulled]:
        """Pull what is due of one source, one kind after the other; stop where the account must be connected again.

        Raises the database's errors. What a broken connector raises ends its task alone.
        """
        done: list[Pulled] = []
        for one in wanted.dues:
            result = await _outcome(self._puller.pull(wanted.source, wanted.connector, one))
            if isinstance(result, DATABASE_ERRORS):
                raise result
            pulled = result if isinstance(result, Pulled) else unexpected(wanted.source, one, result)
            done.append(pulled)
            if pulled.is_locked_out:
                break
        return done

    async def fetch_source(self, workspace_id: UUID, source_id: UUID) -> list[Pulled]:
        """Pull every kind of one source now, whatever its slots say: for a person or a cron job.

        What was begun and left is taken up, what another replica works on is left to it. Raises NotFound, Invalid for
        a source that is never fetched or is not active, and the database's errors.
        """
        async with self._db.workspace(workspace_id) as connection:
            row = await sources.load(connection, workspace_id, source_id)
            kept = (await self._newest(connection, workspace_id, [row])).get(source_id, [])
        kinds = self._kinds(row)
        if not kinds:
            raise Invalid(f"{row.connector} is not fetched", code="not_fetched")
        if row.state is not SourceState.ACTIVE:
            raise Invalid(f"the source is not active: {row.state.value}", code="not_active")
        now = self._context.now()
        dues = [self._now(kind, kept, source_id, now) for kind in kinds]
        wanted = tuple(one for one in dues if one is not None)
        return await self.pull(DueSource(source=row, connector=self._connectors[row.connector], dues=wanted))

    def _now(self, kind: FetchKind, kept: Sequence[TaskRow], source_id: UUID, now: datetime) -> Due | None:
        own = [task for task in kept if task.kind == kind.name]
        if any(task.is_open and task.lease_until > now for task in own):
            return None
        regular = next(iter(due([kind], own, {}, source_id, now)), None)
        return regular or Due(kind=kind, slot=now)

    async def fetch_due(self) -> list[Pulled]:
        """Pull everything that is due in every workspace and return: one round, for a cron job.

        Raises the database's errors once the rest is done.
        """
        room = asyncio.Semaphore(SIDE_BY_SIDE)

        async def pull(wanted: DueSource) -> list[Pulled]:
            async with room:
                return await self.pull(wanted)

        wanted = [one for workspace_id in await self.known() for one in (await self.plan(workspace_id)).sources]
        results = await asyncio.gather(*(pull(one) for one in wanted), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            raise failed[0]
        return [pulled for result in results if isinstance(result, list) for pulled in result]

    async def known(self) -> list[UUID]:
        """Return the ids of all workspaces."""
        return [workspace_id async for workspace_id in workspaces.everywhere(self._db)]


async def _outcome(pulling: Coroutine[Any, Any, Pulled]) -> Pulled | BaseException:
    """Return the result of a task or what it raised; cancelled, wait until it has let go."""
    task = asyncio.create_task(pulling)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
    return task.exception() or task.result()
