"""Workspaces: made with an instance key, kept with a key of their own."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from service import ids
from service.access import keys
from service.access.keys import Scope
from service.api import auth
from service.api.auth import Administers, Anyone, Instance
from service.api.models import (
    UNSET,
    Currency,
    Input,
    Instant,
    KeyId,
    Name,
    Output,
    Page,
    Paged,
    WorkspaceId,
    Zone,
    after_id,
    page_of,
)
from service.api.state import Parts, Services
from service.errors import NotFound
from service.records import Workspace
from service.registry import workspaces

router = APIRouter(prefix="/v1/workspaces", tags=["workspaces"])


class WorkspaceInput(Input):
    """A new tenant. Zone and currency are the defaults of its campaigns."""

    name: Name
    zone: Zone = "UTC"
    currency: Currency = "EUR"


class WorkspaceChange(Input):
    """What changes; what is left out stays. Campaigns keep the zone and the currency they were made with."""

    name: Name = UNSET
    zone: Zone = UNSET
    currency: Currency = UNSET


class WorkspaceOutput(Output):
    """A tenant."""

    id: WorkspaceId
    name: str
    zone: str
    currency: str
    created_at: Instant


class FirstKey(Output):
    """The first key of a workspace, with every scope. The token is shown this once."""

    id: KeyId
    token: str


class WorkspaceCreated(WorkspaceOutput):
    """A new tenant and its first key."""

    key: FirstKey


class WorkspacePage(Page[WorkspaceOutput]):
    """Workspaces in the order of their ids."""


@router.post("", status_code=201)
async def create_workspace(body: WorkspaceInput, _caller: Instance, parts: Parts) -> WorkspaceCreated:
    """Create a workspace with its first key."""
    workspace = workspaces.new(body.name, body.zone, body.currency, parts.context)
    async with parts.db.workspace(workspace.workspace_id) as connection:
        await workspaces.create(connection, workspace, parts.vault)
        made = await keys.create(connection, workspace.workspace_id, "first key", [Scope.ADMIN], parts.context)
    key = FirstKey(id=ids.show("key", made.key_id), token=made.token)
    return WorkspaceCreated(**_output(workspace).model_dump(), key=key)


@router.get("")
async def list_workspaces(caller: Anyone, parts: Parts, paging: Paged) -> WorkspacePage:
    """List all workspaces with an instance key, the own one with another."""
    after = after_id("workspace", paging)
    if caller.workspace_id is not None:
        keys.require(caller, Scope.REGISTRY_READ)
        found = [caller.workspace_id] if after is None or caller.workspace_id > after else []
    else:
        async with parts.db.control() as connection:
            found = await workspaces.known(connection, paging.limit + 1, after)
    rows = [await _read(parts, workspace_id) for workspace_id in found]
    shown, page = page_of(rows, paging.limit, "workspace", lambda row: row.workspace_id)
    return WorkspacePage(data=[_output(row) for row in shown], page=page)


@router.get("/{workspace}")
async def get_workspace(workspace: str, caller: Anyone, parts: Parts) -> WorkspaceOutput:
    """Return a workspace: any with an instance key, the own one with another."""
    workspace_id = auth.visible_workspace(caller, ids.read("workspace", workspace), Scope.REGISTRY_READ)
    return _output(await _read(parts, workspace_id))


@router.patch("/{workspace}")
async def update_workspace(workspace: str, body: WorkspaceChange, caller: Administers, parts: Parts) -> WorkspaceOutput:
    """Change the own workspace."""
    if ids.read("workspace", workspace) != caller.workspace_id:
        raise NotFound("no such workspace")
    async with parts.db.workspace(caller.workspace_id) as connection:
        changed = await workspaces.update(connection, caller.workspace_id, **body.changes())
    return _output(changed)


async def _read(parts: Services, workspace_id: UUID) -> Workspace:
    async with parts.db.workspace(workspace_id) as connection:
        return await workspaces.get(connection, workspace_id)


def _output(workspace: Workspace) -> WorkspaceOutput:
    return WorkspaceOutput(
        id=ids.show("workspace", workspace.workspace_id),
        name=workspace.name,
        zone=workspace.zone,
        currency=workspace.currency,
        created_at=workspace.created_at,
    )
