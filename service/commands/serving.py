"""``serve`` and ``migrate``: the process that answers, and the step before it."""

from __future__ import annotations

from typing import Annotated

import typer

from service import memory
from service import serve as server
from service.app import build, newest_revision, place_of
from service.commands import running
from service.commands.endings import Code
from service.context import real
from service.db import migrate
from service.errors import Misconfigured
from service.serve_protocol import Limits
from service.settings import Settings

serve_app = typer.Typer(rich_markup_mode=None)
migrate_app = typer.Typer(rich_markup_mode=None)
_ANNOUNCE = 1.0
"""Seconds in which a balancer may notice, in prod, that this process will take no more connections."""


@serve_app.command()
def serve(
    *,
    role: Annotated[
        str, typer.Option(help="what this process does, comma-separated: all, api, worker, scheduler")
    ] = "all",
    host: Annotated[str | None, typer.Option(help="address to listen on; default TALLYBOOK_HOST")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="port to listen on; default TALLYBOOK_PORT")
    ] = None,
) -> None:
    """Run the service until it is told to stop; open requests and postings are finished first."""
    with running.explained():
        settings = running.load(quiet=False)
        app = build(settings, roles=[name.strip() for name in role.split(",")])
        limits = Limits(announce=_ANNOUNCE if settings.env == "prod" else 0.0)
        place = (host or settings.host, settings.port if port is None else port)
        memory.settle()
        running.drive(server.serve(app, *place, limits))


@migrate_app.command(name="migrate")
def migrate_database() -> None:
    """Bring the database to the newest migration, as its owner; run again it changes nothing."""
    with running.explained():
        _upgrade(running.load())
        typer.echo(f"the database is at migration {newest_revision()}")
    raise typer.Exit(Code.DONE)


def _upgrade(settings: Settings) -> None:
    if settings.database_url is None and settings.migrate_url is None and settings.env == "dev":
        place_of(settings, real())
        return
    if settings.migrate_url is None:
        raise Misconfigured("TALLYBOOK_MIGRATE_URL is needed: the owner's address of the database")
    if settings.database_url is None:
        raise Misconfigured("TALLYBOOK_DATABASE_URL is needed: it names the role that is granted access")
    role = migrate.role_of(settings.database_url.get_secret_value())
    migrate.upgrade(settings.migrate_url.get_secret_value(), role)
