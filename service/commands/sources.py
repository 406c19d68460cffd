"""``source``: connected accounts. Addresses and keys that are made are shown once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service import ids
from service.api.connect import LoginQuery, authorize_source
from service.api.sources import (
    SecretChange,
    SourceInput,
    SourceOutput,
    create_source,
    list_sources,
    rotate_source_address,
    rotate_source_secret,
    subscribe_source,
)
from service.api.state import Services
from service.commands import output, running, words
from service.commands.endings import Code
from service.commands.running import JsonOption, WorkspaceOption
from service.errors import Invalid
from service.registry.options import connector_named

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Connect accounts of platforms.")
_DAY_SECONDS = 86_400


@app.command()
def add(  # noqa: PLR0913 - an option is a parameter
    connector: Annotated[str, typer.Argument(help="one of `tallybook connectors`")],
    *,
    workspace: WorkspaceOption = None,
    name: Annotated[str | None, typer.Option(help="what people call it; default: the connector's name")] = None,
    account: Annotated[str, typer.Option(help="the platform's id of the account")] = "",
    platform: Annotated[str | None, typer.Option(help="where the connector speaks for no platform of its own")] = None,
    option: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="may be repeated")] = None,
    credential: Annotated[
        list[str] | None, typer.Option(metavar="NAME=@FILE", help="may be repeated; @- reads standard input")
    ] = None,
    tracks_from: Annotated[
        str | None, typer.Option(metavar="WHEN", help="what was published from then on counts from zero; default: now")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Connect an account."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        known = connector_named(parts.connectors, connector)
        wanted: dict[str, Any] = {
            "connector": connector,
            "name": name or connector,
            "account": account,
            "platform": platform,
            "options": words.options(known, words.pairs(option, "--option")),
            "credentials": words.secrets(credential, "--credential"),
            "tracks_from": words.instant(tracks_from),
        }
        made = await create_source(SourceInput.model_validate(wanted), running.caller(home.workspace_id), parts)
        if as_json:
            output.show_json(made)
            return Code.DONE
        output.show_lines((f"source {made.id}",))
        output.show_lines(f"webhook {made.webhook_path}" for _ in [0] if made.webhook_path)
        output.show_lines(f"secret {made.secret}" for _ in [0] if made.secret)
        output.show_lines(f"still needs the credential {name}" for name in made.missing_credentials)
        token = known.auth.token in made.missing_credentials
        output.show_lines(
            f"or connect it by a login: tallybook source authorize {connector} --source {made.id}"
            for _ in [0]
            if token and known.auth.oauth2 is not None
        )
        return Code.DONE

    running.run(work)


@app.command(name="list")
def show(*, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the sources of a workspace: their state and how far they are."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        caller = running.caller(home.workspace_id)
        found = await running.every(lambda paging: list_sources(caller, parts, paging))
        if as_json:
            output.show_json({"data": found})
        else:
            columns = ("source", "name", "connector", "platform", "account", "state", "counts", "waiting")
            output.show_table(columns, map(_row, found), empty="there is no source")
        return Code.DONE

    running.run(work)


def _row(source: SourceOutput) -> tuple[str, ...]:
    state = f"{source.state.value}: {source.state_detail}" if source.state_detail else source.state.value
    counts = "yes" if source.counts else "no, it is a check"
    place = (source.connector, source.platform, source.account or "-")
    return source.id, source.name, *place, state, counts, str(source.freshness.waiting)


@app.command()
def authorize(
    connector: Annotated[str, typer.Argument(help="one of `tallybook connectors` that has a login")],
    *,
    workspace: WorkspaceOption = None,
    name: Annotated[str | None, typer.Option(help="what people call the new source")] = None,
    account: Annotated[str, typer.Option(help="the platform's id of the account")] = "",
    source: Annotated[str | None, typer.Option(metavar="SOURCE", help="connect the account of this one again")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the address at which a person lets Tallybook read an account; it works once, for ten minutes."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        row = None if source is None else await running.source_of(parts, workspace, source)
        known = None if row is None else ids.show("source", row.source_id)
        asked = LoginQuery(source=known, name=name, account=account, options="{}")
        login = await authorize_source(connector, running.caller(home.workspace_id), parts, asked)
        _show(login, login.authorize_url, as_json=as_json)
        return Code.DONE

    running.run(work)


@app.command()
def subscribe(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="src_... or its name")],
    *,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the platform of a source to push to its webhook address."""

    async def work(parts: Services) -> Code:
        row = await running.source_of(parts, workspace, source)
        done = await subscribe_source(ids.show("source", row.source_id), running.caller(row.workspace_id), parts)
        _show(done, "subscribed", as_json=as_json)
        return Code.DONE

    running.run(work)


@app.command()
def rotate(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="src_... or its name")],
    *,
    workspace: WorkspaceOption = None,
    address: Annotated[bool, typer.Option("--address", help="a new webhook address; the old one ends at once")] = False,
    secret: Annotated[bool, typer.Option("--secret", help="a new signing key; the old one ends later")] = False,
    overlap: Annotated[
        int, typer.Option(min=0, help="seconds in which the old signing key is still good")
    ] = _DAY_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Make a new webhook address, or a new signing key, and show it this once."""

    async def work(parts: Services) -> Code:
        if address == secret:
            raise Invalid("say --address or --secret")
        row = await running.source_of(parts, workspace, source)
        caller, text = running.caller(row.workspace_id), ids.show("source", row.source_id)
        if address:
            place = await rotate_source_address(text, caller, parts)
            _show(place, f"webhook {place.webhook_path}", as_json=as_json)
            return Code.DONE
        key = await rotate_source_secret(text, SecretChange(overlap_seconds=overlap), caller, parts)
        _show(key, f"secret {key.secret}", as_json=as_json)
        return Code.DONE

    running.run(work)


def _show(made: object, line: str, *, as_json: bool) -> None:
    if as_json:
        output.show_json(made)
    else:
        output.show_lines((line,))
