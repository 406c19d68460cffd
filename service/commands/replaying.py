"""``replay``: kept deliveries, read again by today's connectors."""

from __future__ import annotations

from typing import Annotated

import typer

from service import ids
from service.api.state import Services
from service.commands import output, running, settling
from service.commands.endings import Code
from service.commands.running import JsonOption, WorkspaceOption
from service.errors import Invalid
from service.inbox import deliveries
from service.inbox.deliveries import Chosen, State

app = typer.Typer(rich_markup_mode=None)
_ACTOR = "command line"


@app.command()
def replay(
    *,
    workspace: WorkspaceOption = None,
    source: Annotated[str | None, typer.Option(help="src_... or its name: what it brought")] = None,
    delivery: Annotated[list[str] | None, typer.Option(metavar="ID", help="dlv_...; may be repeated")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="dead letters only")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read kept deliveries again. What the same connector version reads again changes nothing in the books."""

    async def work(parts: Services) -> Code:
        if not (source or delivery or dead):
            raise Invalid("name at least one of --source, --delivery, --dead")
        home = await running.workspace_of(parts, workspace)
        text = ids.show("workspace", home.workspace_id)
        chosen = Chosen(
            source_id=(await running.source_of(parts, text, source)).source_id if source else None,
            delivery_ids=tuple(ids.read("delivery", one) for one in delivery) if delivery else None,
            state=State.DEAD if dead else None,
        )
        async with parts.db.workspace(home.workspace_id) as connection:
            for one in chosen.delivery_ids or ():
                await deliveries.get(connection, home.workspace_id, one)
            now = parts.context.now()
            queued = await deliveries.replay(connection, home.workspace_id, chosen, now, _ACTOR)
        with output.spinner(f"reading {queued} deliveries"):
            done = await settling.drain(parts)
        if as_json:
            output.show_json({"queued": queued, "summary": done})
        else:
            line = f"queued {queued}, posted {done.posted}, dead {done.dead}, to be tried again {done.postponed}"
            output.show_lines((f"{line}, entries {done.entries}, dropped {done.drops}",))
        if done.dead:
            return Code.PARTLY if done.posted else Code.FAILED
        return Code.LATER if done.postponed else Code.DONE

    running.run(work)
