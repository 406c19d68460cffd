"""``connectors``: what is installed, what it reads and needs; what is installed and does not work."""

from __future__ import annotations

import typer

from connectors.contract import Connector
from service import capabilities, plugins
from service.commands import output, running
from service.commands.endings import Code
from service.commands.running import JsonOption

app = typer.Typer(rich_markup_mode=None)


@app.command()
def connectors(*, as_json: JsonOption = False) -> None:
    """List what can be connected."""
    with running.explained():
        running.load()
        found = plugins.discover()
        if as_json:
            described = capabilities.plain(found.connectors.values())
            output.show_json({"connectors": described, "broken": found.broken})
        else:
            columns = ("connector", "version", "platform", "ways in", "needs", "metrics")
            output.show_table(columns, map(_row, found.connectors.values()), empty="no connector is installed")
            output.show_lines(f"does not work: {name}: {reason}" for name, reason in found.broken.items())
    raise typer.Exit(Code.PARTLY if found.broken else Code.DONE)


def _row(connector: Connector) -> tuple[str, ...]:
    can = connector.capabilities
    ways = [("webhook", can.webhook), ("upload", can.upload), *((f"fetch {kind.name}", True) for kind in can.fetch)]
    metrics = {mapping.metric for mapping in connector.metrics if mapping.metric}
    platform = connector.platform or "any"
    return (
        connector.name,
        connector.version,
        f"{platform}, simulated" if can.simulated else platform,
        ", ".join(way for way, there in ways if there),
        ", ".join(connector.auth.credentials) or "-",
        str(len(metrics)),
    )
