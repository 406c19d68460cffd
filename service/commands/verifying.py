"""``verify``: the proof that balances and tallies are the sums of their entries, and entries what deliveries say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from connectors.contract import Connector
from service import ids
from service.api.state import Services
from service.commands import output, running
from service.commands.endings import Code
from service.commands.output import Tell
from service.commands.running import JsonOption
from service.ledger.series import Ref
from service.ledger.verify import Report, verify
from service.ledger.write import Said
from service.pipeline import run
from service.records import ClaimedDelivery, Workspace
from service.registry import workspaces

app = typer.Typer(rich_markup_mode=None)
_LISTED = 20


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one workspace."""

    workspace: str
    name: str
    report: Report


@app.command(name="verify")
def verify_books(
    *,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="wsp_...; default: all of them")] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the books; exit code 1 where something is not as the ledger says."""

    async def work(parts: Services) -> Code:
        proved = []
        for home in await running.chosen_workspaces(parts, workspace):
            with output.spinner(home.name) as tell:
                report = await prove(parts, home, tell)
            proved.append(Proved(workspace=ids.show("workspace", home.workspace_id), name=home.name, report=report))
        if as_json:
            output.show_json({"workspaces": proved})
        else:
            output.show_lines(line for one in proved for line in told(one))
        return Code.FAILED if any(one.report.total_differences for one in proved) else Code.DONE

    running.run(work)


async def prove(parts: Services, home: Workspace, tell: Tell | None = None) -> Report:
    """Return the proof of one workspace's books, made inside one snapshot."""
    counted: dict[str, int] = {}

    def progress(check: str, number: int) -> None:
        counted[check] = counted.get(check, 0) + number
        if tell is not None:
            tell(f"{home.name}: " + ", ".join(f"{count} {name}" for name, count in counted.items()))

    async with parts.db.snapshot(home.workspace_id) as connection:
        veil = (await workspaces.open_vault(connection, home.workspace_id, parts.vault)).hash
        return await verify(connection, home.workspace_id, rereading(parts, veil), progress)


def rereading(parts: Services, veil: run.Veil) -> Callable[[ClaimedDelivery, str], Said | None]:
    """Return what reads a delivery again; None where today's connector is another version, or missing."""

    def reread(delivery: ClaimedDelivery, version: str) -> Said | None:
        connector: Connector | None = parts.connectors.get(delivery.connector)
        if connector is None or connector.version != version:
            return None
        found = run.read(delivery, connector)
        if not isinstance(found, run.Read):
            return None
        ref, normal = Ref(delivery.delivery_id, delivery.received_at), found.normal
        events = run.veiled(normal.events, veil)
        return Said(ref=ref, facts=normal.facts, readings=normal.readings, events=events)

    return reread


def told(one: Proved) -> list[str]:
    """Return a report as lines for people."""
    report = one.report
    checked = ", ".join(f"{count} {name}" for name, count in sorted(report.checked.items())) or "nothing"
    lines = [f"{one.name} ({one.workspace}): {report.total_differences} differences; checked {checked}"]
    if report.evidence is not None:
        lines.append(f"  evidence: the raw delivery of {report.evidence:.1%} of the entries is kept")
    if report.replay_would_change:
        lines.append(f"  {report.replay_would_change} deliveries were read by another version of their connector")
    listed = report.differences[:_LISTED]
    lines += [f"  {one.check} {one.about}: expected {one.expected}, found {one.found}" for one in listed]
    if report.total_differences > len(listed):
        lines.append(f"  and {report.total_differences - len(listed)} more")
    return lines
