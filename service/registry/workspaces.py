"""Workspaces: the tenants. Each has a wrapped data key and books that begin at posting 0."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.access.secrets import Vault, WorkspaceVault
from service.context import Context
from service.db.engine import Database
from service.db.tables import books, tenants, workspaces
from service.errors import NotFound
from service.records import Workspace
from service.registry import checks

_PAGE = 1000


async def create(connection: AsyncConnection, workspace: Workspace, vault: Vault) -> Workspace:
    """Create a workspace inside ``db.workspace(workspace.workspace_id)``, an id that is new, and return it.

    Raises :class:`service.errors.Invalid` for an unknown zone or currency.
    """
    checks.zone(workspace.zone, "/zone")
    checks.currency(workspace.currency, "/currency")
    key = {"workspace_id": workspace.workspace_id, "created_at": workspace.created_at}
    row = key | {"name": workspace.name, "zone": workspace.zone, "currency": workspace.currency}
    row["data_key"] = vault.new_data_key(workspace.workspace_id)
    await connection.execute(tenants.insert().values(key))
    await connection.execute(workspaces.insert().values(row))
    opened = {"workspace_id": workspace.workspace_id, "posting": 0, "recorded_at": workspace.created_at}
    await connection.execute(books.insert().values(opened))
    return workspace


def new(name: str, zone: str, currency: str, context: Context) -> Workspace:
    """Return the record of a workspace that is still to be created."""
    return Workspace(workspace_id=context.new_id(), name=name, zone=zone, currency=currency, created_at=context.now())


async def get(connection: AsyncConnection, workspace_id: UUID) -> Workspace:
    """Return the workspace of the transaction. Raises :class:`NotFound`."""
    row = await _one(connection, workspace_id)
    return Workspace(
        workspace_id=row.workspace_id,
        name=row.name,
        zone=row.zone,
        currency=row.currency,
        created_at=row.created_at,
    )


async def update(
    connection: AsyncConnection,
    workspace_id: UUID,
    *,
    name: str | None = None,
    zone: str | None = None,
    currency: str | None = None,
) -> Workspace:
    """Change what is given; zone and currency are defaults of campaigns to come. Raises NotFound, Invalid."""
    if zone is not None:
        checks.zone(zone, "/zone")
    if currency is not None:
        checks.currency(currency, "/currency")
    given = {"name": name, "zone": zone, "currency": currency}
    changes = {column: value for column, value in given.items() if value is not None}
    if changes:
        same = workspaces.c.workspace_id == workspace_id
        await connection.execute(workspaces.update().where(same).values(changes))
    return await get(connection, workspace_id)


async def lock(connection: AsyncConnection, workspace_id: UUID, *, alone: bool = False) -> None:
    """Let one transaction at a time decide what must be unique in a workspace; reads and postings go on.

    ``alone`` keeps postings out too. It must be the first lock of a transaction that changes memberships: whoever
    takes it later may wait for a posting that waits for them.
    """
    query = sa.select(workspaces.c.workspace_id).where(workspaces.c.workspace_id == workspace_id)
    await connection.execute(query.with_for_update(key_share=not alone))


async def open_vault(connection: AsyncConnection, workspace_id: UUID, vault: Vault) -> WorkspaceVault:
    """Return the vault of the workspace. Raises NotFound, Misconfigured, SealBroken."""
    row = await _one(connection, workspace_id)
    return vault.open_workspace(workspace_id, row.data_key)


async def known(connection: AsyncConnection, limit: int, after: UUID | None = None) -> list[UUID]:
    """Return ids of all workspaces in their order, in a control transaction: for sweeps and instance keys."""
    query = sa.select(tenants.c.workspace_id).order_by(tenants.c.workspace_id).limit(limit)
    if after is not None:
        query = query.where(tenants.c.workspace_id > after)
    return list(await connection.scalars(query))


async def everywhere(db: Database) -> AsyncIterator[UUID]:
    """Yield the ids of all workspaces in their order, each page of them read in a transaction of its own."""
    after: UUID | None = None
    while True:
        async with db.control() as connection:
            page = await known(connection, _PAGE, after)
        for workspace_id in page:
            yield workspace_id
        if len(page) < _PAGE:
            return
        after = page[-1]


async def _one(connection: AsyncConnection, workspace_id: UUID) -> sa.Row[Any]:
    query = sa.select(workspaces).where(workspaces.c.workspace_id == workspace_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("no such workspace")
    return row
