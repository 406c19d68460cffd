"""Going on with subjects that wait to be moved between campaigns: for whoever changed a rule, and for a loop.

A change of a rule is recorded with the first few moves (``service.ledger.moves``). Who asked for it lets the rest
follow here, a transaction for each few, so that postings and questions have their turn between. What a crash left is
found by the loop of any worker, in one look where nothing was left.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from service.context import Context
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS, is_passing, sqlstate
from service.ledger import moves

_log = structlog.get_logger(__name__)

EVERY_SECONDS = 30.0
"""How often the loop looks for what was left."""
_PAGE = 1000


class Mover:
    """Moves what waits, a few subjects at a time. Any number of them may run: the workspace's row is locked."""

    def __init__(self, db: Database, context: Context) -> None:
        self._db = db
        self._context = context

    async def finish(self, workspace_id: UUID) -> None:
        """Move all that waits in a workspace. Trouble that passes leaves the rest to the loop."""
        try:
            while await self._go_on(workspace_id):
                pass
        except DATABASE_ERRORS as error:
            if not is_passing(error):
                raise
            _log.warning("moves.interrupted", workspace=str(workspace_id), state=sqlstate(error))

    async def _go_on(self, workspace_id: UUID) -> bool:
        async with self._db.workspace(workspace_id) as connection:
            return await moves.go_on(connection, workspace_id, self._context)

    async def sweep(self) -> None:
        """Move what waits anywhere."""
        after: UUID | None = None
        while True:
            async with self._db.control() as connection:
                found = await moves.waiting_anywhere(connection, _PAGE, after)
            for workspace_id in found:
                await self.finish(workspace_id)
            if len(found) < _PAGE:
                return
            after = found[-1]

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until ``stop`` is set."""
        while not stop.is_set():
            try:
                await self.sweep()
            except DATABASE_ERRORS as error:
                _log.warning("moves.failed", error=type(error).__name__, state=sqlstate(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_SECONDS)
