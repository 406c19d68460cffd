"""Accounts that people are connecting at a platform: what a callback is answered from, once and not for long.

The state that travels through the browser names its workspace and is kept hashed; what is to be connected, and the
proof key, are sealed. Every function takes a connection inside a transaction of the workspace and never commits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.access.secrets import WorkspaceVault
from service.context import Context
from service.db.tables import connect_requests

LIFE = timedelta(minutes=10)
_ID_BYTES = 16
_RANDOM_BYTES = 32


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be connected: a new source, or with ``source_id`` one that is there. Its repr hides the proof key."""

    connector: str
    redirect: str
    source_id: UUID | None = None
    name: str = ""
    account: str = ""
    platform: str | None = None
    options: Mapping[str, Any] = {}
    verifier: str | None = None

    def __repr__(self) -> str:
        return f"Wanted({self.connector!r})"


def new_state(workspace_id: UUID, context: Context) -> str:
    """Return a state: the workspace that it answers to and 32 random bytes."""
    return base64.urlsafe_b64encode(workspace_id.bytes + context.token(_RANDOM_BYTES)).rstrip(b"=").decode()


def workspace_of(state: str) -> UUID | None:
    """Return the workspace that a state names; None for what is no state. Whether it is one the database says."""
    try:
        raw = base64.b64decode(state + "=" * (-len(state) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return UUID(bytes=raw[:_ID_BYTES]) if len(raw) == _ID_BYTES + _RANDOM_BYTES else None


async def begin(
    connection: AsyncConnection, vault: WorkspaceVault, state: str, wanted: Wanted, now: datetime
) -> datetime:
    """Keep what is to be connected and return until when; what nobody came back for is taken away."""
    table, own = connect_requests, connect_requests.c.workspace_id == vault.workspace_id
    await connection.execute(table.delete().where(own, table.c.expires_at <= now))
    hashed, until = _hash(state), now + LIFE
    sealed = vault.seal("connect_requests", "wanted", _row_id(hashed), msgspec.json.encode(wanted))
    row = {"workspace_id": vault.workspace_id, "state_hash": hashed, "wanted": sealed, "expires_at": until}
    await connection.execute(table.insert().values(row))
    return until


async def take(connection: AsyncConnection, vault: WorkspaceVault, state: str, now: datetime) -> Wanted | None:
    """Return what a state stands for and forget it: it answers once. None for one that is unknown, used or too old."""
    table, hashed = connect_requests, _hash(state)
    same = sa.and_(table.c.workspace_id == vault.workspace_id, table.c.state_hash == hashed)
    found = (
        await connection.execute(table.delete().where(same).returning(table.c.wanted, table.c.expires_at))
    ).one_or_none()
    if found is None or found.expires_at <= now:
        return None
    opened = vault.unseal("connect_requests", "wanted", _row_id(hashed), found.wanted)
    return msgspec.json.decode(opened, type=Wanted)


def _hash(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).digest()


def _row_id(hashed: bytes) -> UUID:
    return UUID(bytes=hashed[:_ID_BYTES])
