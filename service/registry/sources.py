"""Sources: one connected account of one platform, its webhook address, its state, and whether its numbers count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors import contract
from connectors.contract import Connector, Secret
from service import ids
from service.access.secrets import WorkspaceVault
from service.context import Context
from service.db.engine import Database, driver
from service.db.tables import delivery_queue, fetch_tasks, postings, sources, webhook_routes
from service.errors import Conflict, NotFound
from service.records import OWN_ACCOUNT, SourceRow, SourceState
from service.registry import options as wanted_options
from service.registry import rings, workspaces

OWN_CONNECTOR = "standard_webhooks"
_COLUMNS = tuple(sources.c[name] for name in SourceRow.__struct_fields__)
# In words of its own: the worker asks for every batch.
_NAMES = ", ".join(SourceRow.__struct_fields__)
_ONE = f"select {_NAMES} from sources where workspace_id = $1 and source_id = $2"  # noqa: S608 - names of our own
_LOCKED = f"{_ONE} for no key update"


class NewSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a person connects. ``tracks_from`` None is the time of connecting. Its repr hides what is secret."""

    connector: str
    name: str
    account: str = ""
    platform: str | None = None
    options: Mapping[str, Any] = {}
    credentials: Mapping[str, str] = {}
    tracks_from: datetime | None = None

    def __repr__(self) -> str:
        return f"NewSource({self.connector!r})"


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A source at the one moment when its address and a generated key are known. ``missing`` names credentials that
    the connector asks for and that were not given.
    """

    row: SourceRow
    address: str
    secret: str | None
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Created({self.row!r})"


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source is: its newest posting of the last month, its newest finished fetch, deliveries that wait."""

    posted_at: datetime | None = None
    fetched_at: datetime | None = None
    waiting: int = 0


# ------------------------------------------------------------------------------------------------ connect


async def create(
    connection: AsyncConnection,
    workspace_id: UUID,
    wanted: NewSource,
    connectors: Mapping[str, Connector],
    vault: WorkspaceVault,
    context: Context,
) -> Created:
    """Connect a source in the workspace's transaction. Raises :class:`service.errors.Invalid` with a pointer."""
    connector = wanted_options.connector_named(connectors, wanted.connector)
    credentials, given = wanted_options.sort_credentials(connector, wanted.credentials)
    generated = rings.new_secret(context) if given is None and wanted_options.wants_generated(connector) else None
    key = given or generated
    source_id, now = context.new_id(), context.now()
    await workspaces.lock(connection, workspace_id)
    platform = wanted_options.platform_of(connector, wanted.platform)
    row = SourceRow(
        workspace_id=workspace_id,
        source_id=source_id,
        connector=connector.name,
        platform=platform,
        account=wanted.account,
        name=wanted.name,
        options=wanted_options.plain(wanted_options.decode(connector, wanted.options)),
        credentials=rings.seal_credentials(vault, source_id, credentials),
        secrets=rings.seal_ring(vault, source_id, (Secret(value=key),) if key else ()),
        counts=await _rival(connection, workspace_id, platform, wanted.account) is None,
        tracks_from=wanted.tracks_from or now,
        state=SourceState.ACTIVE,
        state_detail="",
        created_at=now,
        updated_at=now,
    )
    await connection.execute(sources.insert().values(_values(row)))
    address = await rotate_address(connection, workspace_id, source_id, context, vault)
    wants = connector.auth_for(wanted_options.restored(connector, row.options)).credentials
    missing = tuple(name for name in wants if name not in wanted.credentials)
    left = tuple(name for name in missing if not (generated and name == wanted_options.GENERATED))
    kept = await load(connection, workspace_id, source_id)
    return Created(row=kept, address=address, secret=generated, missing=left)


async def _rival(
    connection: AsyncConnection, workspace_id: UUID, platform: str, account: str, but: UUID | None = None
) -> UUID | None:
    """Return an active source that is of record for the account; an empty account may be any but our own."""
    if account == OWN_ACCOUNT:
        return None
    query = sa.select(sources.c.source_id).where(
        sources.c.workspace_id == workspace_id,
        sources.c.platform == platform,
        sources.c.counts,
        sources.c.state == SourceState.ACTIVE.value,
        sources.c.account != OWN_ACCOUNT,
    )
    if account:
        query = query.where(sources.c.account.in_(("", account)))
    if but is not None:
        query = query.where(sources.c.source_id != but)
    found: UUID | None = await connection.scalar(query.order_by(sources.c.source_id).limit(1))
    return found


# ------------------------------------------------------------------------------------------------ read


async def load(connection: AsyncConnection, workspace_id: UUID, source_id: UUID, *, lock: bool = False) -> SourceRow:
    """Return one source, locked for a change if asked. Raises :class:`NotFound`."""
    # Rows that point at the source by its key may still be written meanwhile.
    row = await (await driver(connection)).fetchrow(_LOCKED if lock else _ONE, workspace_id, source_id)
    if row is None:
        raise NotFound("no such source")
    return _read(row)


async def listing(
    connection: AsyncConnection, workspace_id: UUID, limit: int, after: UUID | None = None
) -> list[SourceRow]:
    """Return sources in the order of their ids."""
    query = sa.select(*_COLUMNS).where(sources.c.workspace_id == workspace_id)
    if after is not None:
        query = query.where(sources.c.source_id > after)
    found = await connection.execute(query.order_by(sources.c.source_id).limit(limit))
    return [_read(row) for row in found.mappings()]


async def all_own(connection: AsyncConnection, workspace_id: UUID, platform: str | None = None) -> list[SourceRow]:
    """Return the sources of what a workspace books itself, or that of one platform."""
    query = sa.select(*_COLUMNS).where(
        sources.c.workspace_id == workspace_id,
        sources.c.account == OWN_ACCOUNT,
        sources.c.connector == OWN_CONNECTOR,
    )
    if platform is not None:
        query = query.where(sources.c.platform == platform, sources.c.state == SourceState.ACTIVE.value)
    found = await connection.execute(query.order_by(sources.c.source_id))
    return [_read(row) for row in found.mappings()]


async def by_address(db: Database, address: str) -> SourceRow | None:
    """Return the source behind the last part of a webhook address, or None. Opens its own two transactions."""
    hashed = rings.address_hash(address)
    async with db.control() as connection:
        query = sa.select(webhook_routes).where(webhook_routes.c.address_hash == hashed)
        route = (await connection.execute(query)).one_or_none()
    if route is None:
        return None
    async with db.workspace(route.workspace_id) as connection:
        same = sa.and_(_same(route.workspace_id, route.source_id), sources.c.address_hash == hashed)
        row = (await connection.execute(sa.select(*_COLUMNS).where(same))).mappings().one_or_none()
    return None if row is None else _read(row)


def contract_source(
    row: SourceRow, vault: WorkspaceVault, connector: Connector, public_url: str | None = None
) -> contract.Source:
    """Return a source as its connector may know it, unsealed; ``public_url`` is where this service is reached.

    Raises :class:`service.access.secrets.SealBroken`, or Misconfigured when the options no longer fit the connector.
    """
    return contract.Source(
        id=ids.show("source", row.source_id),
        platform=row.platform,
        account=row.account,
        options=wanted_options.restored(connector, row.options),
        credentials=rings.unseal_credentials(vault, row.source_id, row.credentials),
        secrets=rings.unseal_ring(vault, row.source_id, row.secrets),
        webhook_url=_webhook_url(row, vault, public_url) if connector.capabilities.webhook else "",
    )


def _webhook_url(row: SourceRow, vault: WorkspaceVault, public_url: str | None) -> str:
    if public_url is None or row.address is None:
        return ""
    return f"{public_url.rstrip('/')}/v1/webhooks/{rings.unseal_address(vault, row.source_id, row.address)}"


async def freshness(
    connection: AsyncConnection, workspace_id: UUID, source_ids: Iterable[UUID], now: datetime
) -> dict[UUID, Freshness]:
    """Return how far each of the sources is."""
    ids_ = list(source_ids)
    if not ids_:
        return {}
    posted = await _per_source(
        connection, postings, sa.func.max(postings.c.recorded_at), workspace_id, ids_,
        postings.c.recorded_at > now - timedelta(days=31),
    )  # fmt: skip
    fetched = await _per_source(connection, fetch_tasks, sa.func.max(fetch_tasks.c.finished_at), workspace_id, ids_)
    waiting = await _per_source(connection, delivery_queue, sa.func.count(), workspace_id, ids_)
    return {
        source_id: Freshness(
            posted_at=posted.get(source_id), fetched_at=fetched.get(source_id), waiting=waiting.get(source_id, 0)
        )
        for source_id in ids_
    }


async def _per_source(
    connection: AsyncConnection,
    table: sa.Table,
    value: sa.ColumnElement[Any],
    workspace_id: UUID,
    source_ids: list[UUID],
    *conditions: sa.ColumnElement[bool],
) -> dict[UUID, Any]:
    own = (table.c.workspace_id == workspace_id, table.c.source_id.in_(source_ids), *conditions)
    query = sa.select(table.c.source_id, value.label("value")).where(*own).group_by(table.c.source_id)
    return {row.source_id: row.value for row in await connection.execute(query)}


async def lost(connection: AsyncConnection, workspace_id: UUID) -> int:
    """Return how many sources of a workspace a person must connect again."""
    is_lost = (sources.c.workspace_id == workspace_id, sources.c.state == SourceState.NEEDS_REAUTH.value)
    return int(await connection.scalar(sa.select(sa.func.count()).where(*is_lost)) or 0)


async def missing(connection: AsyncConnection, workspace_id: UUID, wanted: Iterable[UUID]) -> set[UUID]:
    """Return the ids among ``wanted`` that name no source of the workspace."""
    given = set(wanted)
    query = sa.select(sources.c.source_id).where(sources.c.workspace_id == workspace_id, sources.c.source_id.in_(given))
    return given - set(await connection.scalars(query)) if given else given


# ------------------------------------------------------------------------------------------------ change


async def update(connection: AsyncConnection, row: SourceRow, context: Context, **changes: Any) -> SourceRow:
    """Change the name, the checked options or the sealed credentials of a source that was read under lock."""
    return await _write(connection, msgspec.structs.replace(row, **changes, updated_at=context.now()))


async def rotate_secret(
    connection: AsyncConnection,
    row: SourceRow,
    vault: WorkspaceVault,
    value: str,
    overlap: timedelta,
    context: Context,
) -> SourceRow:
    """Put a new key first in the ring of a source that was read under lock; older ones end after ``overlap``."""
    ring = rings.turned(rings.unseal_ring(vault, row.source_id, row.secrets), value, context.now(), overlap)
    sealed = rings.seal_ring(vault, row.source_id, ring)
    return await _write(connection, msgspec.structs.replace(row, secrets=sealed, updated_at=context.now()))


async def rotate_address(
    connection: AsyncConnection,
    workspace_id: UUID,
    source_id: UUID,
    context: Context,
    vault: WorkspaceVault | None = None,
) -> str:
    """Give a source a new webhook address and return it, this once; the old one ends with the transaction.

    With a vault it is kept sealed as well, so that the platform can be asked to push to it.
    """
    address = rings.new_address(context)
    sealed = None if vault is None else rings.seal_address(vault, source_id, address)
    hashed = rings.address_hash(address)
    own = sa.and_(webhook_routes.c.workspace_id == workspace_id, webhook_routes.c.source_id == source_id)
    await connection.execute(webhook_routes.delete().where(own))
    change = sources.update().where(_same(workspace_id, source_id))
    await connection.execute(change.values(address_hash=hashed, address=sealed, updated_at=context.now()))
    route = {"address_hash": hashed, "workspace_id": workspace_id, "source_id": source_id}
    await connection.execute(webhook_routes.insert().values(route))
    return address


async def pause(connection: AsyncConnection, workspace_id: UUID, source_id: UUID, context: Context) -> SourceRow:
    """Stop fetching a source; what is pushed is still kept. Raises :class:`NotFound`."""
    return await set_state(connection, workspace_id, source_id, SourceState.PAUSED, context)


async def resume(connection: AsyncConnection, workspace_id: UUID, source_id: UUID, context: Context) -> SourceRow:
    """Fetch a source again. Raises NotFound, and :class:`Conflict` while another source is of record in its place."""
    await workspaces.lock(connection, workspace_id)
    row = await load(connection, workspace_id, source_id)
    if row.counts and row.state is not SourceState.ACTIVE:
        rival = await _rival(connection, workspace_id, row.platform, row.account, but=source_id)
        if rival is not None:
            raise Conflict(f"{ids.show('source', rival)} counts for this account now: pause it first")
    return await set_state(connection, workspace_id, source_id, SourceState.ACTIVE, context)


async def set_state(
    connection: AsyncConnection,
    workspace_id: UUID,
    source_id: UUID,
    state: SourceState,
    context: Context,
    detail: str = "",
) -> SourceRow:
    """Set the state of a source with a word on why. Raises :class:`NotFound`."""
    row = await load(connection, workspace_id, source_id, lock=True)
    changed = msgspec.structs.replace(row, state=state, state_detail=detail[:500], updated_at=context.now())
    return await _write(connection, changed)


async def _write(connection: AsyncConnection, row: SourceRow) -> SourceRow:
    same = _same(row.workspace_id, row.source_id)
    await connection.execute(sources.update().where(same).values(_values(row)))
    return row


def _same(workspace_id: UUID, source_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(sources.c.workspace_id == workspace_id, sources.c.source_id == source_id)


def _values(row: SourceRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SourceRow.__struct_fields__} | {"state": row.state.value}


def _read(row: Mapping[Any, Any]) -> SourceRow:
    values = {name: row[name] for name in SourceRow.__struct_fields__}
    return SourceRow(**values | {"state": SourceState(row["state"])})
