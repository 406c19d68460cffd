"""``import``: a file of numbers, by a preset or by naming its columns. The file is kept as it is, then read.

Without a source the file goes to the workspace's own source of files for its platform and account, made the first time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer
from pydantic import TypeAdapter

from connectors.files import PRESETS
from service import ids
from service.api.models import Instant
from service.api.sources import SourceInput, create_source
from service.api.state import Services
from service.commands import output, running, settling, words
from service.commands.endings import Code, Ended
from service.commands.running import JsonOption, WorkspaceOption
from service.errors import Invalid
from service.inbox.deliveries import DeliveryRow, State
from service.inbox.store import Kept, Landed
from service.records import SourceRow, SourceState
from service.registry import options, sources
from service.registry.options import connector_named

app = typer.Typer(rich_markup_mode=None)
CONNECTOR = "files"
_LISTED = 20


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, before anything of it was looked up. ``options`` are texts by the connector's names."""

    workspace: str | None
    source: str | None
    platform: str | None
    account: str
    tracks_from: str | None
    options: dict[str, str]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file. ``items`` are facts and numbers that were read, ``entries`` lines in the ledger."""

    source: str
    delivery: str
    outcome: str
    fate: str
    items: int
    entries: int
    dropped: dict[str, int]
    drops: list[dict[str, Any]]
    error: str
    posting: int | None


@app.command(name="import")
def import_file(  # noqa: PLR0913 - an option is a parameter
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, TSV or JSON lines; - is standard input")],
    *,
    workspace: WorkspaceOption = None,
    source: Annotated[str | None, typer.Option(help="src_... or its name; default: made for the platform")] = None,
    preset: Annotated[str | None, typer.Option(help=f"a known file: {', '.join(PRESETS)}")] = None,
    column: Annotated[
        list[str] | None, typer.Option("--map", metavar="METRIC=COLUMN", help="may be repeated, as impressions=Views")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="METRIC=KIND", help="lifetime, level, period or unique; may be repeated")
    ] = None,
    id_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="the id of each row's subject")] = None,
    instant: Annotated[str | None, typer.Option(metavar="WHEN", help="when all rows were read")] = None,
    instant_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="when each row was read")] = None,
    year: Annotated[int | None, typer.Option(help="of dates without one")] = None,
    zone: Annotated[str | None, typer.Option(help="of dates and times without one; default UTC")] = None,
    tracks_from: Annotated[
        str | None, typer.Option(metavar="WHEN", help="what was published from then on counts from zero; default: now")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="whose numbers they are; a preset knows it")] = None,
    account: Annotated[str, typer.Option(help="the platform's id of the account")] = "",
    delimiter: Annotated[str | None, typer.Option(help="between cells; default: found out")] = None,
    encoding: Annotated[str | None, typer.Option(help="of the text; default: found out")] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="any other option of `tallybook connectors --json`"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a file of numbers. The same file again is a duplicate and changes nothing."""

    async def work(parts: Services) -> Code:
        found = words.pairs(more, "--set") | _given(
            preset=preset,
            columns=_mapping(column, "--map"),
            kinds=_mapping(kind, "--kind"),
            id_column=id_column,
            instant=instant,
            instant_column=instant_column,
            year=None if year is None else str(year),
            zone=zone,
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
            encoding=encoding,
        )
        wanted = Wanted(
            workspace=workspace,
            source=source,
            platform=platform,
            account=account,
            tracks_from=words.instant(tracks_from),
            options=found,
        )
        return await _import(parts, file, wanted, as_json=as_json)

    running.run(work)


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _mapping(given: list[str] | None, option: str) -> str | None:
    return msgspec.json.encode(words.pairs(given, option)).decode() if given else None


# ------------------------------------------------------------------------------------------------ the work


async def _import(parts: Services, file: str, wanted: Wanted, *, as_json: bool) -> Code:
    row, chosen = await _where(parts, wanted)
    connector = connector_named(parts.connectors, row.connector)
    limit = min(parts.settings.max_upload, connector.capabilities.max_body)
    body = words.file_bytes(file, limit)
    with output.spinner(f"reading {Path(file).name}"):
        landed = await parts.lander.land_upload(row, body, filename=Path(file).name, options=chosen)
        (delivery,) = await settling.settle(parts, row.workspace_id, [landed.delivery_id])
    if as_json:
        output.show_json(_imported(row, landed, delivery))
    elif delivery.state is not State.DEAD:
        output.show_lines(_told(_imported(row, landed, delivery)))
    if delivery.state is State.DEAD:
        raise Ended(Code.FAILED, f"{Path(file).name} cannot be read: {settling.why_dead(delivery)}")
    return settling.code_of([delivery])


async def _where(parts: Services, wanted: Wanted) -> tuple[SourceRow, dict[str, Any]]:
    """Return the source that a file goes to and all options that it is read with."""
    if wanted.source is None:
        return await _own_source(parts, wanted)
    row = await running.source_of(parts, wanted.workspace, wanted.source)
    connector = connector_named(parts.connectors, row.connector)
    if not connector.capabilities.upload:
        raise Invalid(f"{row.connector} reads no files", pointer="--source")
    if wanted.platform not in {None, row.platform} or wanted.tracks_from or wanted.account not in {"", row.account}:
        raise Invalid("platform, account and tracks-from are the source's own", pointer="--source")
    given = {**row.options, **words.options(connector, wanted.options)}
    return row, options.plain(options.decode(connector, given, ""))


async def _own_source(parts: Services, wanted: Wanted) -> tuple[SourceRow, dict[str, Any]]:
    home = await running.workspace_of(parts, wanted.workspace)
    connector = connector_named(parts.connectors, CONNECTOR)
    chosen = options.plain(options.decode(connector, words.options(connector, wanted.options), ""))
    platform = options.platform_of(connector, wanted.platform or _platform_of(wanted))
    for row in await running.sources_in(parts, home.workspace_id):
        if (row.connector, row.platform, row.account) == (CONNECTOR, platform, wanted.account):
            _agree(row, wanted)
            return row, chosen
    return await _make_source(parts, home.workspace_id, platform, wanted, chosen), chosen


def _platform_of(wanted: Wanted) -> str | None:
    preset = PRESETS.get(str(wanted.options.get("preset")))
    return None if preset is None else preset.platform


def _agree(row: SourceRow, wanted: Wanted) -> None:
    """Raise :class:`Invalid` where a source that is there already cannot be what was asked for."""
    name = ids.show("source", row.source_id)
    if row.state is not SourceState.ACTIVE:
        raise Invalid(f"{name} is {row.state.value}", pointer="--platform")
    if wanted.tracks_from is not None and TypeAdapter(Instant).validate_python(wanted.tracks_from) != row.tracks_from:
        raise Invalid(f"{name} tracks from {row.tracks_from.isoformat()} already", pointer="--tracks-from")


async def _make_source(
    parts: Services, workspace_id: UUID, platform: str, wanted: Wanted, chosen: dict[str, Any]
) -> SourceRow:
    name = f"{platform} files" + (f" of {wanted.account}" if wanted.account else "")
    given = {
        "connector": CONNECTOR,
        "name": name,
        "platform": platform,
        "account": wanted.account,
        "options": chosen,
        "tracks_from": wanted.tracks_from,
    }
    made = await create_source(SourceInput.model_validate(given), running.caller(workspace_id), parts)
    async with parts.db.workspace(workspace_id) as connection:
        return await sources.load(connection, workspace_id, ids.read("source", made.id))


# ------------------------------------------------------------------------------------------------ what is said


def _imported(row: SourceRow, landed: Landed, delivery: DeliveryRow) -> Imported:
    last = delivery.last
    return Imported(
        source=ids.show("source", row.source_id),
        delivery=ids.show("delivery", delivery.delivery_id),
        outcome=landed.outcome.value,
        fate=delivery.state.value,
        items=last.items if last else 0,
        entries=last.entries if last else 0,
        dropped=settling.drops_by_reason([delivery]),
        drops=[dict(drop) for drop in last.drops] if last else [],
        error=settling.why_dead(delivery),
        posting=last.posting if last else None,
    )


def _told(done: Imported) -> list[str]:
    lines = [f"source {done.source}", f"delivery {done.delivery}"]
    if done.outcome == Kept.DUPLICATE.value:
        lines.append("a duplicate: nothing changed; when it was read first it gave")
    lines.append(f"items {done.items}, entries {done.entries}, dropped {sum(done.dropped.values())}")
    lines += [f"dropped {count} {reason}" for reason, count in done.dropped.items()]
    places = [drop for drop in done.drops if drop.get("row") is not None][:_LISTED]
    return lines + [f"  row {drop['row']}: {drop['reason']} {drop['detail']}".rstrip() for drop in places]
