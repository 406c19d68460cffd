"""A connection that is kept from one landing to the next, spoken to in the driver's own words.

The pool would ping, reset and hand over, and a transaction would begin and end: more round trips than a landing itself
has, and each waits until the process has read what its senders have sent. So each statement here commits by itself.
Landing may only insert, for the workspaces that the session names until it names others or ends; what a transaction
may do is in :class:`service.db.engine.Database`.
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
"""A connection that does not answer in this time after a failure is given up."""


class LandingLine:
    """One connection of the pool, taken when it is first needed. Not for two landings at once."""

    def __init__(self, db: Database) -> None:
        """Take the database; whoever made the line closes it."""
        self._db = db
        self._held: AsyncConnection | None = None
        self._driver: asyncpg.Connection[Any] | None = None
        self._named: str | None = None

    @asynccontextmanager
    async def landing(self, workspace_ids: Iterable[UUID]) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Lend the connection for statements that insert deliveries of these workspaces; each commits by itself.

        Raises the driver's errors, and SQLAlchemy's when no connection is to be had.
        """
        connection = await self._naming(",".join(sorted({str(workspace_id) for workspace_id in workspace_ids})))
        try:
            yield connection
        except BaseException:
            await self._calm(connection)
            raise

    async def _naming(self, workspaces: str) -> asyncpg.Connection[Any]:
        """Name the workspaces; a connection that was lost since the last time is replaced, for nothing was sent yet."""
        if self._driver is not None and self._driver.is_closed():
            await self._give_up()
        is_old = self._driver is not None
        connection = await self._open()
        if workspaces == self._named:
            return connection
        try:
            # Ids of our own. A landing is the same few statements again and again, and no plan of theirs depends on a
            # value.
            await connection.execute(
                f"set plan_cache_mode = auto; select set_config('app.landing', '{workspaces}', false)"
            )
        except BaseException as error:
            await self._give_up()
            if not is_old or not is_lost(error):
                raise
            return await self._naming(workspaces)
        self._named = workspaces
        return connection

    async def close(self) -> None:
        """Give the connection back to the pool, with the settings that it came with."""
        if self._held is None or self._driver is None:
            await self._give_up()
            return
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await self._driver.execute("reset plan_cache_mode; reset app.landing")
        except BaseException as error:
            await self._give_up()
            if not isinstance(error, DATABASE_ERRORS):
                raise
            return
        await self._held.close()
        self._held, self._driver, self._named = None, None, None

    async def _open(self) -> asyncpg.Connection[Any]:
        if self._driver is None:
            self._held = await self._db.engine.connect()
            self._driver = await driver(self._held)
        return self._driver

    async def _calm(self, connection: asyncpg.Connection[Any]) -> None:
        """Wait until a statement that failed is over; a connection on which it does not end is thrown away."""
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await connection.execute("select")
        except DATABASE_ERRORS:
            await self._give_up()

    async def _give_up(self) -> None:
        """Throw the connection away: nobody may have it with what it is allowed."""
        held, self._held, self._driver, self._named = self._held, None, None, None
        if held is not None:
            await held.invalidate()
            await held.close()


@asynccontextmanager
async def landing_line(db: Database) -> AsyncIterator[LandingLine]:
    """Keep a line until the block ends."""
    line = LandingLine(db)
    try:
        yield line
    finally:
        await line.close()
