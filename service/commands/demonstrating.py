"""``demo``: everything at once, on this machine alone."""

from __future__ import annotations

from typing import Annotated

import typer

from service import demo as demonstration
from service.commands import output, running
from service.commands.endings import Code

app = typer.Typer(rich_markup_mode=None)


@app.command()
def demo(*, once: Annotated[bool, typer.Option("--once", help="end after the tables")] = False) -> None:
    """Show it all: real and simulated campaigns, their KPIs, over HTTP. A second run changes no number."""
    with running.explained():
        settings = running.load()
        running.drive(demonstration.run(settings, output.console(), once=once))
    raise typer.Exit(Code.DONE)
