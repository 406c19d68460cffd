"""API keys of a workspace: made, listed, revoked by a key that may administer it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from service import ids
from service.access import keys
from service.access.keys import KeyRow, Scope
from service.api.auth import Administers
from service.api.listing import listed
from service.api.models import Input, Instant, KeyId, Name, Output, Page, Paged, Word
from service.api.state import Parts
from service.errors import Invalid

router = APIRouter(prefix="/v1/keys", tags=["keys"])


class KeyInput(Input):
    """A new key and what it may do."""

    name: Name
    scopes: list[Word[Scope]] = Field(min_length=1, max_length=len(Scope))
    expires_at: Instant | None = None


class KeyOutput(Output):
    """A key without the key: `prefix` is how it begins."""

    id: KeyId
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyCreated(KeyOutput):
    """A new key. The token is shown this once."""

    token: str


class KeyPage(Page[KeyOutput]):
    """Keys in the order of their ids."""


@router.post("", status_code=201)
async def create_key(body: KeyInput, caller: Administers, parts: Parts) -> KeyCreated:
    """Make a key of this workspace."""
    if body.expires_at is not None and body.expires_at <= parts.context.now():
        raise Invalid("a key expires in the future", pointer="/expires_at", code="in_the_past")
    async with parts.db.workspace(caller.workspace_id) as connection:
        made = await keys.create(
            connection, caller.workspace_id, body.name, body.scopes, parts.context, body.expires_at
        )
        row = await keys.get(connection, caller.workspace_id, made.key_id)
    return KeyCreated(**_output(row).model_dump(), token=made.token)


@router.get("")
async def list_keys(caller: Administers, parts: Parts, paging: Paged) -> KeyPage:
    """List the keys of this workspace, revoked ones included."""
    shown, page = await listed(parts, caller, paging, "key", keys.listing, lambda row: row.key_id)
    return KeyPage(data=[_output(row) for row in shown], page=page)


@router.get("/{key}")
async def get_key(key: str, caller: Administers, parts: Parts) -> KeyOutput:
    """Return a key without the key."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        return _output(await keys.get(connection, caller.workspace_id, ids.read("key", key)))


@router.delete("/{key}", status_code=204)
async def revoke_key(key: str, caller: Administers, parts: Parts) -> None:
    """Revoke a key at once; again changes nothing."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        await keys.revoke(connection, caller.workspace_id, ids.read("key", key), parts.context)


def _output(row: KeyRow) -> KeyOutput:
    return KeyOutput(
        id=ids.show("key", row.key_id),
        name=row.name,
        prefix=row.prefix,
        scopes=list(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
