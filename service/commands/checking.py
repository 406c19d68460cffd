"""``check``: what stands between this machine and a working service, in plain words. It changes nothing but a laptop's
own database, which is made and migrated where there is none, and a token that a fetch would renew as well.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import sqlalchemy as sa
import typer

from connectors import contract
from connectors.contract import ConnectorError, Finding, TryLater
from service import context as contexts
from service import plugins
from service.access.secrets import Vault
from service.api.state import Services
from service.app import newest_revision, open_services, place_of
from service.commands import output, running
from service.commands.endings import Code
from service.commands.running import JsonOption
from service.db.engine import Database, make_engine
from service.db.faults import DATABASE_ERRORS, is_away
from service.db.partitions import days_left
from service.db.roles import assert_role
from service.errors import Misconfigured, TallybookError
from service.fetch import standing
from service.records import SourceRow
from service.registry import sources, workspaces
from service.registry.options import connector_named
from service.settings import Settings

app = typer.Typer(rich_markup_mode=None)
_FEWEST_DAYS = 2
_REVISION = sa.text("select version_num from alembic_version")


@app.command()
def check(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="src_... or its name: ask its platform")
    ] = None,
    *,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="wsp_...; where the source is")] = None,
    health: Annotated[
        bool, typer.Option("--health", help="ask /healthz of the local service and nothing else")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at settings, database, role, migrations, partitions and connectors; or at one source."""
    _ = health  # answered before this module is loaded
    with running.explained():
        settings = running.load()
        if source is not None:
            findings = running.drive(_look_at_source(settings, workspace, source))
            code = Code.DONE if all(finding.ok for finding in findings) else Code.FAILED
        else:
            findings, code = running.drive(_look(settings))
    if as_json:
        output.show_json({"ok": code is Code.DONE, "findings": findings})
    else:
        output.show_lines(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.text}" for finding in findings)
    raise typer.Exit(code)


# ------------------------------------------------------------------------------------------------ one source


async def _look_at_source(settings: Settings, workspace: str | None, named: str) -> list[Finding]:
    async with open_services(settings, contexts.real()) as parts:
        row = await running.source_of(parts, workspace, named)
        connector = connector_named(parts.connectors, row.connector)
        state = f": {row.state_detail}" if row.state_detail else ""
        findings = [Finding(ok=row.state.value == "active", text=f"the source is {row.state.value}{state}")]
        try:
            # As a fetch would: a token that has ended proves nothing about the account.
            row = await parts.tokens.fresh(row, connector)
            findings += standing.findings(await parts.standings.of(row), parts.context.now())
            known = await _unsealed(parts, row)
            return findings + await connector.check(parts.http_for(known, connector), known)
        except TryLater:
            raise
        except ConnectorError as error:
            return [*findings, Finding(ok=False, text=str(error))]


async def _unsealed(parts: Services, row: SourceRow) -> contract.Source:
    async with parts.db.workspace(row.workspace_id) as connection:
        vault = await workspaces.open_vault(connection, row.workspace_id, parts.vault)
    connector = connector_named(parts.connectors, row.connector)
    return sources.contract_source(row, vault, connector, parts.settings.public_url)


# ------------------------------------------------------------------------------------------------ everything


async def _look(settings: Settings) -> tuple[list[Finding], Code]:
    findings: list[Finding] = []
    code = Code.DONE
    try:
        await _facts(settings, findings)
    except TallybookError as error:
        findings.append(Finding(ok=False, text=str(error)))
    except DATABASE_ERRORS as error:
        findings.append(Finding(ok=False, text=str(running.database_ending(error))))
        code = Code.LATER if is_away(error) else Code.FAILED
    findings += _plugins()
    if code is Code.DONE and not all(finding.ok for finding in findings):
        code = Code.FAILED
    return findings, code


async def _facts(settings: Settings, findings: list[Finding]) -> None:
    """Add what is found until something stands in the way, which is raised."""

    def fine(text: str) -> None:
        findings.append(Finding(ok=True, text=text))

    context = contexts.real()
    fine(f"settings: {settings.env}, listens on {settings.host} port {settings.port}")
    place = await asyncio.to_thread(place_of, settings, context)
    where = "embedded PostgreSQL in the data directory" if settings.database_url is None else "TALLYBOOK_DATABASE_URL"
    engine = make_engine(place.url, 2)
    database, vault = Database(engine), Vault(place.master, context)
    try:
        async with database.control() as connection:
            version = await connection.scalar(sa.text("show server_version"))
            fine(f"database: {where}, PostgreSQL {version}")
            await assert_role(connection)
            fine("role: sees one workspace at a time")
            findings.append(_migration(await connection.scalar(_REVISION)))
            findings.append(_partitions(await days_left(connection, context.now().date())))
            known = await workspaces.known(connection, 1)
        for workspace_id in known:
            async with database.workspace(workspace_id) as connection:
                await workspaces.open_vault(connection, workspace_id, vault)
        fine("master key: opens the workspaces" if known else "master key: there, nothing sealed")
    finally:
        await engine.dispose()


def _migration(revision: str | None) -> Finding:
    newest = newest_revision()
    if revision == newest:
        return Finding(ok=True, text=f"migrations: {newest}, the newest")
    return Finding(ok=False, text=f"migrations: at {revision}, not at {newest}: run `tallybook migrate`")


def _partitions(days: int) -> Finding:
    return Finding(ok=days >= _FEWEST_DAYS, text=f"partitions: made for {days} days ahead")


def _plugins() -> list[Finding]:
    try:
        found = plugins.discover()
    except Misconfigured as error:
        return [Finding(ok=False, text=f"connectors: {error}")]
    named = ", ".join(found.connectors) or "none"
    wrong = [Finding(ok=False, text=f"connector {name}: {reason}") for name, reason in found.broken.items()]
    return [Finding(ok=bool(found.connectors), text=f"connectors: {named}"), *wrong]
