"""``fetch``: one round of pulling, for a person or a cron job. What is pulled is read into the books at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from service import ids
from service.api.models import shown_instant
from service.api.state import Services
from service.app import rounds_of
from service.commands import output, running, settling
from service.commands.endings import Code
from service.commands.running import JsonOption
from service.errors import Invalid
from service.fetch.plan import TaskState
from service.fetch.pull import Pulled

app = typer.Typer(rich_markup_mode=None)


@app.command()
def fetch(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="src_... or its name: all its kinds, now")
    ] = None,
    *,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="wsp_...; where the source is")] = None,
    due: Annotated[bool, typer.Option("--due", help="every source of every workspace, what is due")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pull one source, or everything that is due."""

    async def work(parts: Services) -> Code:
        if (source is None) is not due:
            raise Invalid("name a source or say --due")
        rounds = rounds_of(parts)
        with output.spinner("pulling"):
            if source is not None:
                row = await running.source_of(parts, workspace, source)
                pulled = await rounds.fetch_source(row.workspace_id, row.source_id)
            else:
                pulled = await rounds.fetch_due()
            done = await settling.drain(parts)
        if as_json:
            output.show_json({"pulled": pulled, "summary": done})
        else:
            columns = ("source", "kind", "state", "pages", "new", "")
            output.show_table(columns, map(_row, pulled), empty="nothing is due")
            output.show_lines(
                (f"posted {done.posted}, dead {done.dead}, entries {done.entries}, dropped {done.drops}",)
            )
        return code_of(pulled, dead=done.dead)

    running.run(work)


def code_of(pulled: Sequence[Pulled], *, dead: int = 0) -> Code:
    """Return how a round ended; what another replica works on is its business."""
    states = [one.state for one in pulled]
    if TaskState.FAILED in states:
        return Code.PARTLY if TaskState.DONE in states else Code.FAILED
    if TaskState.WAITING in states:
        return Code.LATER
    return Code.PARTLY if dead else Code.DONE


def _row(one: Pulled) -> tuple[str, ...]:
    state = one.state.value if one.state is not None else "left to another process"
    until = f"until {shown_instant(one.until)}" if one.until is not None else ""
    why = " ".join(filter(None, (one.error, until)))
    return ids.show("source", one.source_id), one.kind, state, str(one.pages), str(one.stored), why
