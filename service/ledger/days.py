"""Tallies in the database: added to by postings, and made again from the ledger where adding is not enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from connectors.contract import Kind
from service.ledger import statements
from service.ledger.crossings import carry
from service.ledger.readings import SeriesKey
from service.ledger.rows import line_of
from service.ledger.series import Line
from service.ledger.sheet import Roster
from service.ledger.tallies import spread
from service.ledger.tally_rows import Table, TallyRows

TALLIED = frozenset({Kind.LIFETIME, Kind.PERIOD, Kind.EVENT})
"""Kinds that tallies sum; levels and uniques are never added."""


def key_of(row: Mapping[str, Any]) -> SeriesKey:
    """Return the series key in a row that holds the columns of ``series``."""
    return SeriesKey(
        kind=Kind(row["kind"]),
        scope=row["scope"],
        zone=row["zone"],
        currency=row["currency"],
        paid=row["paid"],
        goal=row["goal"],
        check=not row["counted"],
    )


async def add_subjects(connection: asyncpg.Connection[Any], workspace_id: UUID, rows: TallyRows) -> Table:
    """Add rows to the days of subjects; return them as columns."""
    table = rows.table()
    if table.metrics:
        statement = statements.put_days("subject_days", table.metrics, carries=table.carries)
        await connection.execute(statement, workspace_id, *table.parameters())
    return table


async def add_campaigns(
    connection: asyncpg.Connection[Any], workspace_id: UUID, platform: str, rows: TallyRows
) -> None:
    """Add rows of one platform to the days of campaigns."""
    table = rows.table()
    if table.metrics:
        statement = statements.put_days("campaign_days", table.metrics)
        await connection.execute(statement, workspace_id, *table.parameters(), platform)


def net(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that stand: what was taken back is gone, per metric; the rest keeps interval and delivery."""
    sums: dict[tuple[Any, ...], dict[str, list[int]]] = defaultdict(dict)
    for line in lines:
        key = (
            line.valid_from,
            line.valid_to,
            line.flags,
            line.observed_at,
            line.ref,
            line.day,
            line.days,
            line.event_key,
        )
        for metric, amount in line.metrics.items():
            kept = sums[key].setdefault(metric, [0, 0])
            kept[0] += line.sign
            kept[1] += amount
    found = []
    for (start, end, flags, observed_at, ref, day, count, event), metrics in sums.items():
        standing = {metric: amount for metric, (sign, amount) in metrics.items() if sign}
        if standing:
            found.append(Line(start, end, 1, 0, flags, observed_at, ref, standing, day, count, event))
    return found


async def lines_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]
) -> dict[tuple[UUID, int], tuple[SeriesKey, list[Line]]]:
    """Return every line of subjects by (subject, series), with the series' key."""
    found: dict[tuple[UUID, int], tuple[SeriesKey, list[Line]]] = {}
    for row in await connection.fetch(statements.ENTRIES_OF_SUBJECTS, workspace_id, subject_ids):
        key = (row["subject_id"], row["series_id"])
        if key not in found:
            found[key] = (key_of(row), [])
        found[key][1].append(line_of(row))
    return found


async def zones_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]
) -> tuple[dict[UUID, set[str]], set[UUID]]:
    """Return the zones that subjects are asked in, and the campaigns they count in."""
    zones: dict[UUID, set[str]] = defaultdict(set)
    campaigns = set()
    for row in await connection.fetch(statements.ZONES_OF_SUBJECTS, workspace_id, subject_ids):
        zones[row["subject_id"]].add(row["zone"])
        campaigns.add(row["campaign_id"])
    return zones, campaigns


def subject_days(
    lines: Mapping[tuple[UUID, int], tuple[SeriesKey, Sequence[Line]]], zones: Mapping[UUID, set[str]]
) -> TallyRows:
    """Return what the days of subjects must be, from every line of theirs."""
    found = TallyRows(Roster())
    for (subject_id, _), (key, series_lines) in lines.items():
        if key.check or key.kind not in TALLIED:
            continue
        owner, asked = found.owners.place(subject_id), sorted(zones.get(subject_id, ()))
        for line in net(series_lines):
            carry(found, owner, line, key, asked)
            for cell, sums in spread(line, asked, key.zone, key.currency, key.paid):
                found.add(owner, found.cell(cell), sums)
    return found
