"""``workspace``: the tenants of this instance."""

from __future__ import annotations

from typing import Annotated

import typer

from service import ids
from service.access.keys import Principal, Scope
from service.api.state import Services
from service.api.workspaces import WorkspaceInput, create_workspace
from service.commands import output, running
from service.commands.endings import Code
from service.commands.running import NOBODY, JsonOption

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Create and list workspaces.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="what people call it")],
    *,
    zone: Annotated[str, typer.Option(help="time zone of its campaigns unless they have their own")] = "UTC",
    currency: Annotated[str, typer.Option(help="currency of its campaigns unless they have their own")] = "EUR",
    as_json: JsonOption = False,
) -> None:
    """Create a workspace and its first key, which is shown this once."""

    async def work(parts: Services) -> Code:
        instance = Principal(workspace_id=None, key_id=NOBODY, scopes=frozenset({Scope.ADMIN}), instance=True)
        made = await create_workspace(WorkspaceInput(name=name, zone=zone, currency=currency), instance, parts)
        if as_json:
            output.show_json(made)
        else:
            output.show_lines((f"workspace {made.id}", f"key {made.key.token}"))
        return Code.DONE

    running.run(work)


@app.command(name="list")
def show(*, as_json: JsonOption = False) -> None:
    """List the workspaces."""

    async def work(parts: Services) -> Code:
        found = await running.all_workspaces(parts)
        rows = [(ids.show("workspace", row.workspace_id), row.name, row.zone, row.currency) for row in found]
        if as_json:
            names = ("id", "name", "zone", "currency")
            output.show_json({"data": [dict(zip(names, row, strict=True)) for row in rows]})
        else:
            output.show_table(("workspace", "name", "zone", "currency"), rows, empty="there is no workspace")
        return Code.DONE

    running.run(work)
