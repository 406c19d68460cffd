"""Writes that may be sent again: the name a sender gave to a write, what was asked under it, and what was answered.

One row per API key and name, for a day. Only answers to writes that were done are kept: what was refused changed
nothing and may be tried again. The row is the constraint: who inserts it runs the request, everybody else waits for
its answer or is told that it is under way.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.tables import idempotency_keys as rows
from service.errors import Conflict, Invalid

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=15)
"""After this a request that was never finished is one of a process that died: the next one takes its place."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request under a name: hashes of the name and of what is asked, and the request that holds the row."""

    workspace_id: UUID
    key_id: UUID
    name_hash: bytes
    fingerprint: bytes
    request_id: UUID


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was given before; ``body`` is sealed for the row of ``request_id``."""

    request_id: UUID
    status: int
    media_type: str | None
    body: bytes


async def claim(connection: AsyncConnection, attempt: Attempt, now: datetime) -> Stored | None:
    """Take a name, or return what was answered under it before.

    Raises :class:`Invalid` where something else was asked under it, :class:`Conflict` while that is under way.
    """
    await connection.execute(
        rows.delete().where(rows.c.workspace_id == attempt.workspace_id, rows.c.created_at < now - KEPT)
    )
    new = insert(rows).values(msgspec.structs.asdict(attempt) | {"created_at": now})
    taken = new.on_conflict_do_update(
        index_elements=["workspace_id", "key_id", "name_hash"],
        set_={name: new.excluded[name] for name in ("request_id", "fingerprint", "created_at")},
        where=sa.and_(rows.c.status.is_(None), rows.c.created_at < now - ABANDONED),
    )
    if await connection.scalar(taken.returning(rows.c.request_id)) is not None:
        return None
    found = (await connection.execute(sa.select(rows).where(_same(attempt)))).one()
    if found.fingerprint != attempt.fingerprint:
        raise Invalid(
            "this Idempotency-Key was used for another request",
            pointer="header:Idempotency-Key",
            code="idempotency_key_reused",
        )
    if found.status is None:
        raise Conflict("the request with this Idempotency-Key is under way")
    return Stored(request_id=found.request_id, status=found.status, media_type=found.media_type, body=found.body or b"")


async def finish(
    connection: AsyncConnection, attempt: Attempt, status: int, media_type: str | None, sealed: bytes
) -> None:
    """Keep what was answered, unless another request took the place of this one."""
    done = {"status": status, "media_type": media_type, "body": sealed}
    await connection.execute(rows.update().where(_same(attempt), rows.c.request_id == attempt.request_id).values(done))


async def release(connection: AsyncConnection, attempt: Attempt) -> None:
    """Forget a request that did nothing."""
    await connection.execute(
        rows.delete().where(_same(attempt), rows.c.request_id == attempt.request_id, rows.c.status.is_(None))
    )


def _same(attempt: Attempt) -> sa.ColumnElement[bool]:
    return sa.and_(
        rows.c.workspace_id == attempt.workspace_id,
        rows.c.key_id == attempt.key_id,
        rows.c.name_hash == attempt.name_hash,
    )
