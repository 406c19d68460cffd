"""``falls``: counters that fell below a tenth, and what people say of it. The words are those of the API."""

from __future__ import annotations

from typing import Annotated

import typer

from service import ids
from service.api.falls import VerdictInput, settle_fall
from service.api.models import MOST
from service.api.state import Services
from service.commands import output, running, words
from service.commands.endings import Code
from service.commands.running import JsonOption, WorkspaceOption
from service.records import Verdict, Workspace
from service.reports.falls import FallOut, FallsOut, campaign_falls, workspace_falls

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="List counters that fell, and say what a fall was.")


@app.command(name="list")
def show(
    *,
    workspace: WorkspaceOption = None,
    campaign: Annotated[str | None, typer.Option(metavar="ID", help="cmp_...: of its subjects alone")] = None,
    settled: Annotated[bool, typer.Option("--any", help="those that are settled or recovered too")] = False,
    as_json: JsonOption = False,
) -> None:
    """List falls, newest first: what numbers are withheld for until somebody settles it."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        found = await _listed(parts, home, campaign, settled=settled)
        if as_json:
            output.show_json({"data": found})
        else:
            columns = ("subject", "platform", "name", "metric", "at", "old", "new", "state")
            output.show_table(columns, map(_row, found), empty="no counter fell" if settled else "no fall is open")
        return Code.DONE

    running.run(work)


async def _listed(parts: Services, home: Workspace, campaign: str | None, *, settled: bool) -> list[FallOut]:
    async with parts.db.snapshot(home.workspace_id) as connection:
        if campaign is None:
            return list((await workspace_falls(connection, home.workspace_id, settled=settled)).data)
        campaign_id, now = ids.read("campaign", campaign), parts.context.now()

        async def page(after: str | None) -> FallsOut:
            return await campaign_falls(
                connection, home.workspace_id, campaign_id, now, settled=settled, costs=True, after=after, limit=MOST
            )

        found = [await page(None)]
        while (after := found[-1].page.next) is not None:
            found.append(await page(after))
    return [fall for one in found for fall in one.data]


def _row(fall: FallOut) -> tuple[str, ...]:
    numbers = (str(fall.old), str(fall.new))
    return fall.subject, fall.platform, fall.external_id, fall.metric, fall.at, *numbers, fall.state


@app.command()
def settle(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="sub_..., as the list names it")],
    *,
    metric: Annotated[str, typer.Option(help="the counter that fell")],
    at: Annotated[str, typer.Option(metavar="INSTANT", help="the reading that it fell to, as the list names it")],
    verdict: Annotated[
        Verdict, typer.Option(help="reset: it began anew at zero; correction: the fall stands as it is")
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a fall was. Said again it changes nothing; said otherwise, the newest holds."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        said = VerdictInput.model_validate({"metric": metric, "at": words.instant(at), "verdict": verdict.value})
        done = await settle_fall(subject, said, running.caller(home.workspace_id), parts)
        if as_json:
            output.show_json(done)
        else:
            output.show_lines((f"{done.metric} of {done.subject}: {done.old} to {done.new} is a {done.verdict.value}",))
        return Code.DONE

    running.run(work)
