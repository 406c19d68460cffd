"""What platforms were asked to push: when, until when, and when to ask again. Rows of ``subscriptions``.

Every function takes a connection inside a transaction of the workspace and never commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.tables import subscriptions


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """``ends_at`` None: it does not end by itself. ``error`` is why the newest renewal failed."""

    source_id: UUID
    subscribed_at: datetime | None = None
    ends_at: datetime | None = None
    renew_at: datetime | None = None
    error: str = ""


_COLUMNS = tuple(subscriptions.c[name] for name in Subscription.__struct_fields__)


async def load(connection: AsyncConnection, workspace_id: UUID, source_id: UUID) -> Subscription | None:
    """Return the subscription of a source; None where none was asked for."""
    query = sa.select(*_COLUMNS).where(_same(workspace_id, source_id))
    found = (await connection.execute(query)).mappings().one_or_none()
    return None if found is None else Subscription(**found)


async def begun(
    connection: AsyncConnection, workspace_id: UUID, source_id: UUID, now: datetime, lease: timedelta | None
) -> None:
    """Note that a platform agreed; it is asked again after two thirds of the lease, for there may be outages."""
    values = {
        "subscribed_at": now,
        "ends_at": None if lease is None else now + lease,
        "renew_at": None if lease is None else now + lease * 2 / 3,
        "claimed_until": None,
        "error": "",
    }
    row = insert(subscriptions).values(workspace_id=workspace_id, source_id=source_id, **values)
    await connection.execute(row.on_conflict_do_update(index_elements=["workspace_id", "source_id"], set_=values))


async def failed(connection: AsyncConnection, workspace_id: UUID, source_id: UUID, error: str, again: datetime) -> None:
    """Note why a platform was not asked, or did not agree, and when to ask again."""
    change = subscriptions.update().where(_same(workspace_id, source_id))
    await connection.execute(change.values(claimed_until=None, error=error[:300], renew_at=again))


async def moved(connection: AsyncConnection, workspace_id: UUID, source_id: UUID, now: datetime) -> None:
    """Ask anew soon: the address that was told to the platform has ended."""
    change = subscriptions.update().where(_same(workspace_id, source_id))
    await connection.execute(change.values(renew_at=now))


async def claim_due(connection: AsyncConnection, workspace_id: UUID, now: datetime, until: datetime) -> list[UUID]:
    """Claim what is to be renewed, for one replica until ``until``, and return its sources."""
    table = subscriptions
    is_free = sa.or_(table.c.claimed_until.is_(None), table.c.claimed_until <= now)
    due = (table.c.workspace_id == workspace_id, table.c.renew_at <= now, is_free)
    claimed = table.update().where(*due).values(claimed_until=until).returning(table.c.source_id)
    return sorted(await connection.scalars(claimed))


def _same(workspace_id: UUID, source_id: UUID) -> sa.ColumnElement[bool]:
    table = subscriptions
    return sa.and_(table.c.workspace_id == workspace_id, table.c.source_id == source_id)
