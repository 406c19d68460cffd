"""``retain``: drop raw deliveries and months of numbers that are older than the settings say, in whole partitions."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import sqlalchemy as sa
import typer

from service import ids
from service.api.state import Services
from service.commands import output, running
from service.commands.endings import Code
from service.commands.running import JsonOption
from service.db.faults import DATABASE_ERRORS, sqlstate
from service.db.partitions import Old, drop_partitions, old_partitions
from service.db.tables import delivery_queue
from service.errors import Busy
from service.ledger.carry import carry, edge_of
from service.ledger.edges import FIRST_MONTH

app = typer.Typer(rich_markup_mode=None)

_LOCKED = {"40P01", "55P03"}
_NOT_CARRIED = "55000"
_TRIES = 3


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on things are kept: deliveries by receipt, numbers by validity. None: for ever."""

    deliveries: date | None
    validity: datetime | None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What was carried over the edge in one workspace; answers that begin at ``since`` or later lost nothing."""

    workspace: str
    lines: int
    since: datetime


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """What was dropped, or would be."""

    limits: Limits
    carried: list[Held]
    partitions: list[Old]
    preview: bool


@app.command()
def retain(
    *,
    preview: Annotated[bool, typer.Option("--preview", help="show what would go, and drop nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop what is older than TALLYBOOK_KEEP_DELIVERIES_DAYS and TALLYBOOK_KEEP_MONTHS say, of every workspace.

    Balances and everything that is kept stay exact: what was before is carried over as one line per series. A question
    that needs what was dropped is answered with 410 from then on.
    """

    async def work(parts: Services) -> Code:
        limits = await _limits(parts)
        async with parts.db.control() as connection:
            old = await old_partitions(connection, limits.deliveries, _day(limits.validity))
        carried: list[Held] = []
        if old and not preview:
            with output.spinner("carrying values over the edge"):
                carried = await _carry_and_drop(parts, limits)
        done = Retained(limits=limits, carried=carried, partitions=old, preview=preview)
        if as_json:
            output.show_json(done)
        else:
            _show(done)
        return Code.DONE

    running.run(work)


async def _limits(parts: Services) -> Limits:
    now, chosen = parts.context.now(), parts.settings
    day = now.date() - timedelta(days=chosen.keep_deliveries_days) if chosen.keep_deliveries_days else None
    edge = edge_of(chosen.keep_months, now) if chosen.keep_months else None
    if day is not None:
        day = min([day, *await _waiting(parts)])
    return Limits(deliveries=day, validity=edge if edge is not None and edge >= FIRST_MONTH else None)


async def _waiting(parts: Services) -> list[date]:
    """Return the days of the oldest deliveries that wait to be read, one of each workspace: these are kept."""
    found = []
    oldest = sa.select(sa.func.min(delivery_queue.c.received_at))
    for home in await running.all_workspaces(parts):
        async with parts.db.workspace(home.workspace_id) as connection:
            at = await connection.scalar(oldest.where(delivery_queue.c.workspace_id == home.workspace_id))
        found += [at.date()] if at is not None else []
    return found


async def _carry_and_drop(parts: Services, limits: Limits) -> list[Held]:
    """Carry the values of every workspace, one transaction each, and drop the partitions in one more."""
    carried: list[Held] = []
    for left in reversed(range(_TRIES)):
        if left < _TRIES - 1:
            limits = await _limits(parts)
        if limits.validity is not None:
            for home in await running.all_workspaces(parts):
                carried += await _carry(parts, home.workspace_id, limits.validity)
        try:
            async with parts.db.control() as connection:
                await drop_partitions(connection, limits.deliveries, _day(limits.validity))
        except DATABASE_ERRORS as error:
            state = sqlstate(error)
            if state in _LOCKED:
                raise Busy("somebody reads what is to go; try again later") from None
            # A workspace may have been made, or a delivery queued, since one looked.
            if state != _NOT_CARRIED or not left:
                raise
            continue
        return carried
    return carried


async def _carry(parts: Services, workspace_id: UUID, edge: datetime) -> list[Held]:
    async with parts.db.workspace(workspace_id) as connection:
        done = await carry(connection, workspace_id, edge, parts.context)
    if done is None:
        return []
    return [Held(workspace=ids.show("workspace", workspace_id), lines=done.lines, since=done.since)]


def _day(edge: datetime | None) -> date | None:
    return edge.date() if edge is not None else None


def _show(done: Retained) -> None:
    limits = done.limits
    kept = [f"deliveries received from {limits.deliveries} on"] if limits.deliveries else ["every delivery"]
    kept += [f"numbers of {limits.validity:%B %Y} and later"] if limits.validity else ["every number"]
    output.show_lines((f"kept: {', '.join(kept)}",))
    rows = [(old.parent, old.child, f"{old.bytes / 2**20:.1f}") for old in done.partitions]
    output.show_table(("table", "partition", "MiB"), rows, empty="nothing is older")
    if rows:
        output.show_lines(("nothing was dropped: a preview",) if done.preview else (f"dropped {len(rows)} partitions",))
    for one in done.carried:
        output.show_lines((f"  {one.workspace}: {one.lines} lines carried; answers are whole from {one.since} on",))
