"""Creators: the people behind profiles. A profile belongs to one creator; rules of campaigns may name creators."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from msgspec import structs
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api.auth import Caller, ReadsRegistry, WritesRegistry
from service.api.listing import listed, named
from service.api.models import (
    UNSET,
    CreatorId,
    ExternalId,
    Input,
    Instant,
    Name,
    Output,
    Page,
    Paged,
    Prose,
    Slug,
)
from service.api.state import Parts, Services
from service.records import Creator
from service.registry import campaigns, creators, workspaces

router = APIRouter(prefix="/v1/creators", tags=["creators"])


class ProfileInput(Input):
    """A profile: a platform and the id it has there."""

    platform: Slug
    external_id: ExternalId


class CreatorInput(Input):
    """A new creator."""

    name: Name
    notes: Prose = ""
    profiles: list[ProfileInput] = Field(default_factory=list, max_length=100)


class CreatorChange(Input):
    """What changes; what is left out stays. `profiles` replaces all of them."""

    name: Name = UNSET
    notes: Prose = UNSET
    profiles: list[ProfileInput] = Field(default_factory=list, max_length=100)


class ProfileOutput(Output):
    """A profile."""

    platform: str
    external_id: str


class CreatorOutput(Output):
    """A creator."""

    id: CreatorId
    name: str
    notes: str
    profiles: list[ProfileOutput]
    created_at: Instant
    updated_at: Instant


class CreatorPage(Page[CreatorOutput]):
    """Creators in the order of their ids."""


@router.post("", status_code=201)
async def create_creator(body: CreatorInput, caller: WritesRegistry, parts: Parts) -> CreatorOutput:
    """Create a creator with profiles."""
    now = parts.context.now()
    creator = Creator(
        creator_id=parts.context.new_id(),
        name=body.name,
        notes=body.notes,
        profiles=_pairs(body.profiles),
        created_at=now,
        updated_at=now,
    )
    async with parts.db.workspace(caller.workspace_id) as connection:
        return _output(await creators.create(connection, caller.workspace_id, creator))


@router.get("")
async def list_creators(caller: ReadsRegistry, parts: Parts, paging: Paged) -> CreatorPage:
    """List creators."""
    shown, page = await listed(parts, caller, paging, "creator", creators.listing, lambda row: row.creator_id)
    return CreatorPage(data=[_output(row) for row in shown], page=page)


@router.get("/{creator}")
async def get_creator(creator: str, caller: ReadsRegistry, parts: Parts) -> CreatorOutput:
    """Return a creator."""
    return _output(await named(parts, caller, "creator", creator, creators.get))


@router.patch("/{creator}")
async def update_creator(creator: str, body: CreatorChange, caller: WritesRegistry, parts: Parts) -> CreatorOutput:
    """Change a creator; campaigns whose rules name it count anew when its profiles change."""
    changes = body.changes()
    if "profiles" in changes:
        changes["profiles"] = _pairs(body.profiles)
    creator_id = ids.read("creator", creator)
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        found = await creators.get(connection, caller.workspace_id, creator_id, lock=True)
        wanted = structs.replace(found, **changes, updated_at=parts.context.now())
        changed = await creators.replace(connection, caller.workspace_id, wanted)
        if set(changed.profiles) != set(found.profiles):
            await _count_anew(parts, connection, caller, creator_id)
    await parts.finish_moves(caller.workspace_id)
    return _output(changed)


@router.delete("/{creator}", status_code=204)
async def delete_creator(creator: str, caller: WritesRegistry, parts: Parts) -> None:
    """Delete a creator and free the profiles; campaigns whose rules name it count anew."""
    creator_id = ids.read("creator", creator)
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        await creators.delete(connection, caller.workspace_id, creator_id)
        await _count_anew(parts, connection, caller, creator_id)
    await parts.finish_moves(caller.workspace_id)


async def _count_anew(parts: Services, connection: AsyncConnection, caller: Caller, creator_id: UUID) -> None:
    named = await campaigns.naming_creator(connection, caller.workspace_id, creator_id)
    if named:
        await parts.reassign(connection, caller.workspace_id, named, parts.context)


def _pairs(profiles: list[ProfileInput]) -> tuple[tuple[str, str], ...]:
    return tuple((profile.platform, profile.external_id) for profile in profiles)


def _output(creator: Creator) -> CreatorOutput:
    return CreatorOutput(
        id=ids.show("creator", creator.creator_id),
        name=creator.name,
        notes=creator.notes,
        profiles=[ProfileOutput(platform=platform, external_id=name) for platform, name in creator.profiles],
        created_at=creator.created_at,
        updated_at=creator.updated_at,
    )
