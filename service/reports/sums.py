"""Sums of ranges by bucket and member: of whole days from tallies, of the rest cut from the entries.

Both give the same numbers: a test holds them to it. One look serves all ranges of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import asyncpg
import msgspec

from service.kpi.buckets import Grain
from service.kpi.measure import Quality, Reason
from service.kpi.members import IntArray, MemberSums, column
from service.ledger.history.falls import open_falls
from service.ledger.history.high_water import shifts
from service.ledger.history.marks import Marks, cut_at, marks
from service.ledger.history.spans import Span, cut_sums
from service.reports.answer import WarningOut
from service.reports.blocks import Blocks
from service.reports.doubts import Doubts, doubts_of, warnings
from service.reports.people import people_of
from service.reports.question import COSTS, HIGH_WATER, Asked
from service.reports.running import add_running
from service.reports.stretches import Segments, Stretch, segments, total_span
from service.reports.tables import Tables
from service.reports.tallies import Runs, carried, day_sums, windows


class Sums(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sums of every bucket by member, the currency they are in, and what must be said of them."""

    by_bucket: Mapping[int, MemberSums]
    currency: str | None
    currencies: frozenset[str]
    marks: Marks
    suspected: frozenset[str]
    warnings: Sequence[WarningOut] = ()


async def sums_of(raw: asyncpg.Connection[Any], asked: Asked, stretches: Sequence[Stretch]) -> list[Sums]:
    """Return the sums of ranges by member, with reach, levels and the followers at publication."""
    ids = asked.members.subject_ids
    tables = [Tables.of(one, asked.columns, len(ids), asked.exchange) for one in stretches]
    await _read_days(raw, asked, [one for one in tables if _is_kept(asked, one.stretch)])
    for one in tables:
        if not _is_kept(asked, one.stretch):
            await _read_entries(raw, asked, one)
        if asked.question.falls == HIGH_WATER:
            await _fill_holes(raw, asked, one)
    ranges = [(min(span.start for span in one.spans), max(span.end for span in one.spans)) for one in stretches]
    suspected = await open_falls(raw, asked.workspace_id, ids, asked.columns, ranges, asked.knowledge.number)
    heard = await doubts_of(raw, asked, stretches)
    return [
        await _finished(raw, asked, one, fallen, words)
        for one, fallen, words in zip(tables, suspected, heard, strict=True)
    ]


async def total_of(raw: asyncpg.Connection[Any], asked: Asked) -> Sums:
    """Return the sums of the whole range as one bucket."""
    total = Stretch(period=asked.period, buckets=(), total=total_span(asked.period))
    (sums,) = await sums_of(raw, asked, [total])
    return sums


def _is_kept(asked: Asked, one: Stretch) -> bool:
    """Tell whether tallies hold the days of a range; what retention carried over the edge stands in the entries."""
    if asked.kept is not None and one.period.start is None:
        return False
    whole = one.period.whole_days or one.period.start is None
    return asked.home and whole and asked.question.granularity is not Grain.HOUR


async def _finished(
    raw: asyncpg.Connection[Any], asked: Asked, tables: Tables, suspected: frozenset[str], heard: Doubts
) -> Sums:
    withheld = dict.fromkeys(suspected, Reason.SUSPECTED_RESET)
    if not asked.question.costs:
        withheld |= dict.fromkeys(COSTS, Reason.NOT_PERMITTED)
    quality = dict.fromkeys(tables.marks.interpolated, Quality.INTERPOLATED)
    people = await people_of(raw, asked, tables.stretch.spans)
    names = asked.members.hexes
    spans = {span.number: span for span in tables.stretch.spans}
    currencies = tables.currencies
    return Sums(
        by_bucket={
            number: MemberSums(
                members=names,
                columns=table.columns() | {key: column(values) for key, values in people[number].items()},
                withheld=withheld,
                quality=quality,
                said=heard.by_member(len(names), spans[number]),
            )
            for number, table in tables.by_span.items()
        },
        currency=next(iter(currencies), asked.currency) if len(currencies) < 2 else None,  # noqa: PLR2004 - one or none
        currencies=frozenset(currencies),
        marks=tables.marks,
        suspected=suspected,
        warnings=warnings(asked, heard, tables.stretch.total),
    )


async def _read_days(raw: asyncpg.Connection[Any], asked: Asked, some: Sequence[Tables]) -> None:
    """Read whole days from tallies, and what a running day adds to a total from the entries."""
    runs = segments([one.stretch for one in some])
    if not runs.starts:
        return
    ids = asked.members.subject_ids
    blocks = Blocks(asked.columns, len(runs.starts), len(ids))
    left = await add_running(raw, asked, runs, [one.stretch for one in some], blocks)
    await _add_days(raw, asked, runs, left.strangers, date.min, blocks)
    if left.cut is None:
        await _add_days(raw, asked, runs, left.known, left.since, blocks)
    else:
        await _add_carried(raw, asked, runs, left.known, left.cut, blocks)
    days = (runs.starts[0], runs.starts[-1])
    long = await windows(raw, asked.workspace_id, ids, days, asked.columns, asked.longest, asked.paid)
    for one in some:
        one.add_blocks(runs, blocks)
        for window in long:
            one.add_window(window)
        rest = one.stretch.rest
        if rest is not None:
            await _cut(raw, asked, [rest], one)
            one.mark(
                Marks(interpolated=await cut_at(raw, asked.workspace_id, ids, rest.end, asked.columns, asked.paid))
            )


async def _add_days(
    raw: asyncpg.Connection[Any], asked: Asked, runs: Segments, members: IntArray, since: date, blocks: Blocks
) -> None:
    """Add the days of some members, by their places, from ``since`` on."""
    ids = [asked.members[at].subject_id for at in members.tolist()]
    days = Runs(starts=runs.starts, since=since)
    cells = await day_sums(raw, asked.workspace_id, ids, days, asked.columns, asked.zone, asked.longest, asked.paid)
    if cells is not None:
        blocks.add_cells(cells, members)


async def _add_carried(
    raw: asyncpg.Connection[Any], asked: Asked, runs: Segments, members: IntArray, days: Sequence[date], blocks: Blocks
) -> None:
    """Add what lines carry into days, to some members by their places."""
    ids = [asked.members[at].subject_id for at in members.tolist()] if days else []
    for day, bits in (await carried(raw, asked.workspace_id, ids, days, asked.zone, asked.paid)).items():
        blocks.carried[runs.starts.index(day)] |= bits


async def _read_entries(raw: asyncpg.Connection[Any], asked: Asked, tables: Tables) -> None:
    ids = asked.members.subject_ids
    spans, number = tables.stretch.spans, asked.knowledge.number
    await _cut(raw, asked, spans, tables)
    tables.mark(await marks(raw, asked.workspace_id, ids, spans, asked.columns, number, asked.longest, asked.paid))


async def _fill_holes(raw: asyncpg.Connection[Any], asked: Asked, tables: Tables) -> None:
    """Turn signed sums into sums by the highest value so far."""
    place = {subject_id: at for at, subject_id in enumerate(asked.members.subject_ids)}
    number, spans = asked.knowledge.number, tables.stretch.spans
    for shift in await shifts(raw, asked.workspace_id, list(place), spans, asked.columns, number):
        tables.add(shift.span, place[shift.subject_id], shift.currency, {shift.metric: shift.amount})


async def _cut(raw: asyncpg.Connection[Any], asked: Asked, spans: Sequence[Span], tables: Tables) -> None:
    """Add what spans cut out of the entries."""
    place = {subject_id: at for at, subject_id in enumerate(asked.members.subject_ids)}
    for row in await cut_sums(
        raw, asked.workspace_id, list(place), spans, asked.columns, asked.knowledge.number, asked.paid
    ):
        amounts = {key: row[key] for key in asked.columns if row[key] is not None}
        tables.add(row["number"], place[row["subject_id"]], row["currency"], amounts)
