"""``key``: who may call the API. A key is shown once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from service import ids
from service.access import keys
from service.access.keys import Scope
from service.api.keys import KeyInput, KeyOutput, create_key, list_keys, revoke_key
from service.api.models import shown_instant
from service.api.state import Services
from service.commands import output, running
from service.commands.endings import Code
from service.commands.running import JsonOption, WorkspaceOption
from service.errors import Invalid

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Create, list and revoke API keys.")
InstanceOption = Annotated[bool, typer.Option("--instance", help="a key of the instance: it creates workspaces")]


@app.command()
def create(
    *,
    workspace: WorkspaceOption = None,
    instance: InstanceOption = False,
    name: Annotated[str, typer.Option(help="what it is for")] = "command line",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"may be repeated; {', '.join(Scope)}; default kpis:read")
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="INSTANT", help="RFC 3339; default: never")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key and show it this once."""

    async def work(parts: Services) -> Code:
        if instance:
            if scope or expires or workspace:
                raise Invalid("an instance key has no workspace, scope or end", pointer="--instance")
            async with parts.db.control() as connection:
                made = await keys.create_instance(connection, parts.context)
            _show_new(ids.show("key", made.key_id), made.token, as_json=as_json)
            return Code.DONE
        home = await running.workspace_of(parts, workspace)
        wanted = KeyInput.model_validate(
            {"name": name, "scopes": list(scope or [Scope.KPIS_READ.value]), "expires_at": expires}
        )
        created = await create_key(wanted, running.caller(home.workspace_id), parts)
        _show_new(created.id, created.token, as_json=as_json)
        return Code.DONE

    running.run(work)


def _show_new(key: str, token: str, *, as_json: bool) -> None:
    if as_json:
        output.show_json({"id": key, "token": token})
    else:
        output.show_lines((f"key {key}", f"token {token}"))


@app.command(name="list")
def show(*, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the keys of a workspace, revoked ones included."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        caller = running.caller(home.workspace_id)
        found = await running.every(lambda paging: list_keys(caller, parts, paging))
        if as_json:
            output.show_json({"data": found})
        else:
            columns = ("key", "name", "begins", "scopes", "created", "state")
            output.show_table(columns, map(_row, found), empty="there is no key")
        return Code.DONE

    running.run(work)


def _row(key: KeyOutput) -> tuple[str, ...]:
    state = f"until {shown_instant(key.expires_at)}" if key.expires_at else "valid"
    if key.revoked_at is not None:
        state = f"revoked {shown_instant(key.revoked_at)}"
    return key.id, key.name, key.prefix, ", ".join(key.scopes), _day(key.created_at), state


def _day(at: datetime) -> str:
    return at.date().isoformat()


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="key_...")],
    *,
    workspace: WorkspaceOption = None,
    instance: InstanceOption = False,
) -> None:
    """End a key at once."""

    async def work(parts: Services) -> Code:
        if instance:
            async with parts.db.control() as connection:
                await keys.revoke_instance(connection, ids.read("key", key))
        else:
            home = await running.workspace_of(parts, workspace)
            await revoke_key(key, running.caller(home.workspace_id), parts)
        output.show_lines((f"revoked {key}",))
        return Code.DONE

    running.run(work)
