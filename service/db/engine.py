"""Connections to PostgreSQL: pool, time-outs, the workspace of a transaction. Not for queries.

A transaction always names its workspace in its first statement, by ``set_config(..., true)``: a setting that ends
with the transaction. Without it every tenant table is empty and every write is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.db.recall import Recall, remembering
from service.errors import Misconfigured

_SET_WORKSPACE = sa.text("select set_config('app.workspace_id', :workspace, true)")
# A plan that is kept may have met its tables empty, and is made anew only when they are analysed: it uses the keys.
_SET_POSTING = sa.text("""
select set_config('app.workspace_id', :workspace, true), set_config('plan_cache_mode', 'auto', true),
       set_config('enable_seqscan', 'off', true)
""")

_SERVER_SETTINGS = {
    "application_name": "tallybook",
    "timezone": "UTC",
    "statement_timeout": "60000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "60000",
    # Plans for a known workspace beat generic ones on partitioned tables; compiling them to machine code never pays.
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
}


_ARRAY_TYPES = ("bigint", "boolean", "bytea", "date", "integer", "jsonb", "smallint", "text", "timestamptz", "uuid")
_ARRAYS = f"select {', '.join(f'null::{kind}[]' for kind in _ARRAY_TYPES)}"


def asyncpg_url(url: str) -> sa.URL:
    """Return ``url`` for the asyncpg driver. Raises :class:`Misconfigured` when it is no PostgreSQL address."""
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise Misconfigured("the database address is not a valid URL") from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise Misconfigured("the database address must begin with postgresql://")
    return parsed.set(drivername="postgresql+asyncpg")


def make_engine(url: str, pool_size: int = 10, **server_settings: str) -> AsyncEngine:
    """Return an engine with ``pool_size`` connections, none beyond, and the time-outs every session has."""
    engine = create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        # The connection used last knows the tables and types already; the others may rest.
        pool_use_lifo=True,
        # Every transaction here ends before its connection is given back: another rollback would be a trip for nothing.
        pool_reset_on_return=None,
        hide_parameters=True,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={"server_settings": _SERVER_SETTINGS | server_settings},
    )
    sa.event.listen(engine.sync_engine, "connect", _learn_types)
    sa.event.listen(engine.sync_engine, "checkout", _require_open)
    return engine


def _learn_types(connection: Any, _record: Any) -> None:
    """Let the driver learn the types of arrays at once: it asks for each that it meets, ten milliseconds a time."""
    connection.run_async(lambda driver: driver.prepare(_ARRAYS))


def _require_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool replace a connection whose server has gone: the driver has heard of it, so nobody needs to ask."""
    if connection.driver_connection.is_closed():
        raise sa.exc.DisconnectionError


class Database:
    """The service role's view of the database. A kind of transaction for each kind of use."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Wrap an engine; the caller disposes of it."""
        self.engine = engine
        self.recall = Recall()

    @asynccontextmanager
    async def workspace(self, workspace_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Open a transaction of one workspace; it commits when the block ends well."""
        async with self.engine.begin() as connection:
            await connection.execute(_SET_WORKSPACE, {"workspace": str(workspace_id)})
            yield connection

    @asynccontextmanager
    async def posting(self, workspace_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Open a transaction of one workspace for the same look-ups by key as thousands before: it may keep plans.

        To plan them anew is much of a small batch. Not for what reads much.
        """
        async with self.engine.begin() as connection:
            await connection.execute(_SET_POSTING, {"workspace": str(workspace_id)})
            yield connection

    @asynccontextmanager
    async def snapshot(self, workspace_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Open a read-only, repeatable-read transaction of one workspace: one consistent view per report."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                await connection.execute(_SET_WORKSPACE, {"workspace": str(workspace_id)})
                with remembering(await driver(connection), self.recall):
                    yield connection

    @asynccontextmanager
    async def steady(self, workspace_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Open a repeatable-read transaction of one workspace that writes what it makes of one instant's books.

        It fails where somebody else has changed a row that it changes; whoever opens it tries again later.
        """
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                await connection.execute(_SET_WORKSPACE, {"workspace": str(workspace_id)})
                yield connection

    @asynccontextmanager
    async def single(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Lend the driver's connection for one statement on the control tables, which commits by itself."""
        async with self.engine.connect() as connection:
            yield await driver(connection)

    @asynccontextmanager
    async def control(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction without a workspace: only the control tables show anything."""
        async with self.engine.begin() as connection:
            yield connection


async def driver(connection: AsyncConnection) -> asyncpg.Connection[Any]:
    """Return the asyncpg connection of a connection, for statements that take whole columns as arrays.

    A transaction has begun where a statement was executed before, as the one that names the workspace is. JSON goes in
    as text and comes out decoded, as on the whole pool.
    """
    raw = await connection.get_raw_connection()
    inner = raw.driver_connection
    if inner is None:
        raise Misconfigured("the connection is closed")
    return inner
