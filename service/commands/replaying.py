"""``replay``: kept deliveries, read again by today's connectors."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
import typer

from connectors.contract import METRICS, MICRO, Unit
from service import ids
from service.api.state import Services
from service.commands import output, running, settling, words
from service.commands.endings import Code
from service.commands.running import JsonOption, WorkspaceOption
from service.errors import Invalid
from service.inbox import deliveries
from service.inbox.deliveries import Chosen, State
from service.pipeline import reread, run
from service.pipeline.pile import Task
from service.pipeline.reread import Preview
from service.records import Workspace
from service.registry import sources, workspaces

app = typer.Typer(rich_markup_mode=None)
_ACTOR = "command line"
_WHEN = "YYYY-MM-DD or an instant"


@app.command()
def replay(  # noqa: PLR0913 - an option is a parameter
    *,
    workspace: WorkspaceOption = None,
    source: Annotated[str | None, typer.Option(help="src_... or its name: what it brought")] = None,
    delivery: Annotated[list[str] | None, typer.Option(metavar="ID", help="dlv_...; may be repeated")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="dead letters only")] = False,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help=f"received then or later: {_WHEN}")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help=f"received before: {_WHEN}")] = None,
    version: Annotated[str | None, typer.Option("--connector-version", help="what this version read last")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="show what would change, and change nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read kept deliveries again; what a newer version of a connector reads takes the place of the older reading.

    What the same version reads again changes nothing in the books.
    """

    async def work(parts: Services) -> Code:
        if not (source or delivery or dead or since or until or version):
            raise Invalid("name at least one of --source, --delivery, --dead, --since, --until, --connector-version")
        home = await running.workspace_of(parts, workspace)
        text = ids.show("workspace", home.workspace_id)
        chosen = Chosen(
            source_id=(await running.source_of(parts, text, source)).source_id if source else None,
            delivery_ids=tuple(ids.read("delivery", one) for one in delivery) if delivery else None,
            state=State.DEAD if dead else None,
            connector_version=version,
            since=words.moment(since, "--since"),
            until=words.moment(until, "--until"),
        )
        async with parts.db.workspace(home.workspace_id) as connection:
            for one in chosen.delivery_ids or ():
                await deliveries.get(connection, home.workspace_id, one)
        return await (
            _look(parts, home, chosen, as_json=as_json) if preview else _do(parts, home, chosen, as_json=as_json)
        )

    running.run(work)


async def _do(parts: Services, home: Workspace, chosen: Chosen, *, as_json: bool) -> Code:
    """Queue deliveries and read them here, beside whoever else reads."""
    async with parts.db.workspace(home.workspace_id) as connection:
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


# ------------------------------------------------------------------------------------------------ looking first


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What reading the deliveries of one source anew would change."""

    source: str
    name: str
    preview: Preview


async def _look(parts: Services, home: Workspace, chosen: Chosen, *, as_json: bool) -> Code:
    async with parts.db.workspace(home.workspace_id) as connection:
        found = await deliveries.read_before(connection, home.workspace_id, chosen)
        rows = [await sources.load(connection, home.workspace_id, one) for one in sorted(found)]
        veil = (await workspaces.open_vault(connection, home.workspace_id, parts.vault)).hash
    looked = []
    for row in rows:
        task = Task(
            source=row,
            connector_of=parts.connectors.__getitem__,
            context=parts.context,
            read=run.read,
            chosen=found[row.source_id],
            veil=veil,
        )
        with output.spinner(f"reading {row.name}"):
            seen = await reread.preview(parts.db, task)
        looked.append(Looked(source=ids.show("source", row.source_id), name=row.name, preview=seen))
    if as_json:
        output.show_json({"sources": looked})
    else:
        for one in looked:
            _show(one)
        if not looked:
            output.show_lines(("none of these deliveries has been read before",))
    return Code.DONE


def _show(one: Looked) -> None:
    seen = one.preview
    unreadable = f", of which {seen.unreadable} cannot be read and keep their reading" if seen.unreadable else ""
    output.show_lines((f"{one.name} ({one.source}): {seen.deliveries} deliveries{unreadable}",))
    rows = [
        (metric, shift.lines_taken, shift.lines_written, _amount(metric, shift.taken), _amount(metric, shift.written))
        for metric, shift in sorted(seen.metrics.items())
    ]
    columns = ("metric", "lines taken back", "lines written", "amount taken back", "amount written")
    if rows or not seen.sales:
        output.show_table(columns, rows, empty="no number would change")
    if seen.sales:
        output.show_lines((f"{seen.sales} conversions or touches would be read otherwise, and credited anew",))
    if seen.facts:
        told = ", ".join(f"{name} of {count}" for name, count in sorted(seen.facts.items()))
        output.show_lines((f"facts that would change, by subjects: {told}",))


def _amount(metric: str, amount: int) -> str:
    in_millionths = METRICS[metric].unit in {Unit.MONEY, Unit.MILLIONTHS}
    return f"{Decimal(amount) / MICRO:f}" if in_millionths else str(amount)
