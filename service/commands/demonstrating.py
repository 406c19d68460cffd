"""``demo``: everything at once, on this machine alone; or one platform, by its real connector."""

from __future__ import annotations

from typing import Annotated

import typer

from service import demo as demonstration
from service import demo_platforms
from service.commands import output, running
from service.commands.endings import Code

app = typer.Typer(rich_markup_mode=None)


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="end after the tables")] = False,
    platform: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="show one connector against a stand-in of its platform; needs a checkout"),
    ] = None,
) -> None:
    """Show it all: real and simulated campaigns, their KPIs, over HTTP. A second run changes no number."""
    with running.explained():
        settings, console = running.load(), output.console()
        shown = (
            demonstration.run(settings, console, once=once)
            if platform is None
            else demo_platforms.run(settings, console, platform, once=once)
        )
        running.drive(shown)
    raise typer.Exit(Code.DONE)
