"""A connection that is kept from one landing transaction to the next, spoken to in the driver's own words.

Between two transactions the pool would ping, reset and hand over: more round trips than the transaction itself has.
Landing may only insert, for the workspaces that the transaction names; what else a transaction may do is in
:class:`service.db.engine.Database`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database, driver
from service.db.faults import DATABASE_ERRORS, is_lost

UNDO_SECONDS = 1.0
"""A connection that does not roll back in this time is given up."""


class LandingLine:
    """One connection of the pool, taken when it is first needed. Not for two transactions at once."""

    def __init__(self, db: Database) -> None:
        """Take the database; whoever made the line closes it."""
        self._db = db
        self._held: AsyncConnection | None = None
        self._driver: asyncpg.Connection[Any] | None = None

    @asynccontextmanager
    async def transaction(self, workspace_ids: Iterable[UUID]) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Open a transaction that may insert deliveries of these workspaces; it commits when the block ends well.

        Raises the driver's errors, and SQLAlchemy's when no connection is to be had.
        """
        connection = await self._begin(",".join(sorted({str(workspace_id) for workspace_id in workspace_ids})))
        try:
            yield connection
            await connection.execute("COMMIT")
        except BaseException:
            await self._undo(connection)
            raise

    async def _begin(self, workspaces: str) -> asyncpg.Connection[Any]:
        """Begin a transaction; a connection that was lost since the last one is replaced, for nothing was sent yet."""
        is_old = self._driver is not None
        connection = await self._open()
        try:
            # One message, and ids of our own: the beginning, and settings that end with the transaction. A landing is
            # the same few statements again and again, and no plan of theirs depends on a value.
            await connection.execute(
                f"BEGIN; set local plan_cache_mode = auto; select set_config('app.landing', '{workspaces}', true)"
            )
        except BaseException as error:
            await self._undo(connection)
            if not is_old or not is_lost(error) or self._driver is not None:
                raise
            return await self._begin(workspaces)
        return connection

    async def close(self) -> None:
        """Give the connection back to the pool."""
        held, self._held, self._driver = self._held, None, None
        if held is not None:
            await held.close()

    async def _open(self) -> asyncpg.Connection[Any]:
        if self._driver is None:
            self._held = await self._db.engine.connect()
            self._driver = await driver(self._held)
        return self._driver

    async def _undo(self, connection: asyncpg.Connection[Any]) -> None:
        """Roll back; a connection that cannot even do that is thrown away."""
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await connection.execute("ROLLBACK")
        except DATABASE_ERRORS:
            if self._held is not None:
                await self._held.invalidate()
                await self.close()


@asynccontextmanager
async def landing_line(db: Database) -> AsyncIterator[LandingLine]:
    """Keep a line until the block ends."""
    line = LandingLine(db)
    try:
        yield line
    finally:
        await line.close()
