"""How alembic runs here: over asyncpg, as the owner role, one process at a time, with bounded waits for locks."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service.db.engine import asyncpg_url
from service.db.tables import BY_RECEIPT, BY_VALIDITY, metadata

_PARENTS = {table.name for table in (*BY_RECEIPT, *BY_VALIDITY)}
_LOCK = sa.text("select pg_advisory_lock(hashtext('tallybook migrations'))")
_UNLOCK = sa.text("select pg_advisory_unlock(hashtext('tallybook migrations'))")


def _include(_object: Any, name: str | None, kind: str, reflected: bool, _other: Any) -> bool:  # noqa: FBT001
    """Leave partitions out: their parent speaks for them."""
    return not (kind == "table" and reflected and any((name or "").startswith(f"{parent}_") for parent in _PARENTS))


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_include,
        transaction_per_migration=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _online(url: str) -> None:
    engine = create_async_engine(
        asyncpg_url(url),
        poolclass=NullPool,
        connect_args={"server_settings": {"lock_timeout": "4000", "timezone": "UTC"}},
    )
    try:
        async with engine.connect() as holder, engine.connect() as connection:
            # A session of its own holds the lock, so that the migration's transactions are its own to commit.
            await holder.execute(sa.text("set lock_timeout = '120s'"))
            await holder.execute(_LOCK)
            # The lock is the session's; an open transaction would hold up an index that is made concurrently.
            await holder.commit()
            await connection.run_sync(_run)
            await connection.commit()
            await holder.execute(_UNLOCK)
    finally:
        await engine.dispose()


connection = context.config.attributes.get("connection")
if connection is not None:
    _run(connection)
else:
    asyncio.run(_online(context.config.attributes["url"]))
