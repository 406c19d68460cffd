"""API keys: how they are made, stored, recognised and revoked. Only hashes are kept.

A key is ``tbk_live_``, 43 characters of base64url (32 random bytes) and six characters of base62 (CRC-32 of what
stands before), so that a mistyped key is known without asking the database and a leaked one is found by a scanner.
Of 256 random bits a plain SHA-256 is enough. Keys are looked up on every request, so a revoked one ends at once.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.db.engine import Database
from service.db.tables import api_keys, key_routes
from service.errors import Forbidden, NotFound, Unauthorised

MARK = "tbk_live_"
_SHOWN = len(MARK) + 6
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(MARK + r"[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}")


class Scope(enum.StrEnum):
    """What a key may do. Closed; ``admin`` is all of them."""

    KPIS_READ = "kpis:read"
    PROVENANCE_READ = "provenance:read"
    COSTS_READ = "costs:read"
    REGISTRY_READ = "registry:read"
    REGISTRY_WRITE = "registry:write"
    DELIVERIES_WRITE = "deliveries:write"
    ADMIN = "admin"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a key of one workspace, or an instance key (``workspace_id`` None), which only keeps workspaces.

    A read token speaks for its key, about ``campaigns`` alone (None: about all). ``key_hash`` is what is kept of the
    key; what it may do ends at ``expires_at``.
    """

    workspace_id: UUID | None
    key_id: UUID
    scopes: frozenset[Scope]
    instance: bool = False
    campaigns: frozenset[UUID] | None = None
    key_hash: bytes = b""
    expires_at: datetime | None = None

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has ``scope``."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace's key as it is kept: everything but the key."""

    key_id: UUID
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key at the one moment when it is known. Its repr hides the token."""

    key_id: UUID
    token: str

    def __repr__(self) -> str:
        return f"NewKey({self.key_id}, ***)"


def mint(context: Context) -> str:
    """Return a new key text."""
    body = MARK + base64.urlsafe_b64encode(context.token(32)).rstrip(b"=").decode()
    return body + _checksum(body)


def well_formed(text: str) -> bool:
    """Tell whether ``text`` has the form and the checksum of a key."""
    return bool(_FORM.fullmatch(text)) and hmac.compare_digest(_checksum(text[:-6]), text[-6:])


def digest(token: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(token.encode()).digest()


def require(principal: Principal, scope: Scope) -> None:
    """Raise :class:`Forbidden` naming the scope that a key lacks."""
    if not principal.may(scope):
        raise Forbidden(f"this key lacks the scope {scope.value}")


async def create(
    connection: AsyncConnection,
    workspace_id: UUID,
    name: str,
    scopes: Iterable[Scope],
    context: Context,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key of a workspace inside its transaction and return it, this once."""
    made = NewKey(key_id=context.new_id(), token=mint(context))
    values = {
        "workspace_id": workspace_id,
        "key_id": made.key_id,
        "name": name,
        "prefix": made.token[:_SHOWN],
        "key_hash": digest(made.token),
        "scopes": sorted(set(scopes)),
        "created_at": context.now(),
        "expires_at": expires_at,
    }
    await connection.execute(api_keys.insert().values(values))
    await _route(connection, made, workspace_id, context)
    return made


async def create_instance(connection: AsyncConnection, context: Context) -> NewKey:
    """Make an instance key inside a control transaction and return it, this once."""
    made = NewKey(key_id=context.new_id(), token=mint(context))
    await _route(connection, made, None, context)
    return made


async def revoke_instance(connection: AsyncConnection, key_id: UUID) -> None:
    """End an instance key. Raises :class:`NotFound`."""
    same = sa.and_(key_routes.c.key_id == key_id, key_routes.c.workspace_id.is_(None))
    done = await connection.execute(key_routes.delete().where(same))
    if done.rowcount == 0:
        raise NotFound("no such key")


async def listing(
    connection: AsyncConnection, workspace_id: UUID, limit: int, after: UUID | None = None
) -> list[KeyRow]:
    """Return keys of a workspace in the order of their ids, revoked ones included."""
    query = sa.select(api_keys).where(api_keys.c.workspace_id == workspace_id)
    if after is not None:
        query = query.where(api_keys.c.key_id > after)
    rows = await connection.execute(query.order_by(api_keys.c.key_id).limit(limit))
    return [_row(row) for row in rows]


async def get(connection: AsyncConnection, workspace_id: UUID, key_id: UUID) -> KeyRow:
    """Return one key. Raises :class:`NotFound`."""
    same = sa.and_(api_keys.c.workspace_id == workspace_id, api_keys.c.key_id == key_id)
    row = (await connection.execute(sa.select(api_keys).where(same))).one_or_none()
    if row is None:
        raise NotFound("no such key")
    return _row(row)


async def revoke(connection: AsyncConnection, workspace_id: UUID, key_id: UUID, context: Context) -> None:
    """End a key; again is no error. Raises :class:`NotFound`."""
    same = sa.and_(api_keys.c.workspace_id == workspace_id, api_keys.c.key_id == key_id)
    ended = sa.func.coalesce(api_keys.c.revoked_at, context.now())
    change = api_keys.update().where(same).values(revoked_at=ended).returning(api_keys.c.key_hash)
    row = (await connection.execute(change)).one_or_none()
    if row is None:
        raise NotFound("no such key")
    await connection.execute(key_routes.delete().where(key_routes.c.key_hash == row.key_hash))


async def authenticate(db: Database, bearer: str | None, context: Context) -> Principal:
    """Return who a bearer token speaks for. Raises :class:`Unauthorised`, the same for every reason."""
    refusal = Unauthorised("a valid API key is needed")
    if bearer is None or not well_formed(bearer):
        raise refusal
    hashed = digest(bearer)
    async with db.control() as connection:
        route = (await connection.execute(sa.select(key_routes).where(key_routes.c.key_hash == hashed))).one_or_none()
    if route is None:
        raise refusal
    if route.workspace_id is None:
        return Principal(workspace_id=None, key_id=route.key_id, scopes=frozenset({Scope.ADMIN}), instance=True)
    async with db.workspace(route.workspace_id) as connection:
        found = await live(connection, route.workspace_id, route.key_id, context.now())
    if found is None or not hmac.compare_digest(found.key_hash, hashed):
        raise refusal
    return found


async def live(connection: AsyncConnection, workspace_id: UUID, key_id: UUID, now: datetime) -> Principal | None:
    """Return who a key of a workspace speaks for while it is neither revoked nor expired, else None."""
    same = sa.and_(api_keys.c.workspace_id == workspace_id, api_keys.c.key_id == key_id)
    row = (await connection.execute(sa.select(api_keys).where(same))).one_or_none()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return Principal(
        workspace_id=workspace_id,
        key_id=key_id,
        scopes=frozenset(Scope(name) for name in row.scopes),
        key_hash=row.key_hash,
        expires_at=row.expires_at,
    )


async def _route(connection: AsyncConnection, made: NewKey, workspace_id: UUID | None, context: Context) -> None:
    values = {
        "key_hash": digest(made.token),
        "workspace_id": workspace_id,
        "key_id": made.key_id,
        "created_at": context.now(),
    }
    await connection.execute(key_routes.insert().values(values))


def _row(row: sa.Row[tuple[object, ...]]) -> KeyRow:
    return KeyRow(
        key_id=row.key_id,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(Scope(name) for name in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits
