"""The posting: what deliveries say becomes entries, balances, tallies and memberships, in the caller's transaction.

Counted series move tallies, check series do not. What would take a cell of a tally back to *not reported* (a
withdrawal, an event that moved, a first value that became growth) or moves a known subject between campaigns rebuilds
the tallies it touches from the ledger, alone in the workspace.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Kind
from service.context import Context
from service.db.engine import driver
from service.ledger import crossings, days, extents, memberships, statements
from service.ledger import facts as subject_facts
from service.ledger.facts import Subject
from service.ledger.posting import Posting, RetryExclusive
from service.ledger.readings import EventReading, Fact, SeriesKey, SeriesReading, event_key, series_id
from service.ledger.rows import (
    Placed,
    SeriesOf,
    balance_columns,
    balance_of,
    entry_columns,
    line_of,
)
from service.ledger.series import (
    Balance,
    Cause,
    Flag,
    Line,
    Reading,
    Ref,
    WindowReading,
    advance,
    book,
    correct,
    in_order,
    pack,
)
from service.ledger.tallies import Cell, spread
from service.records import SourceRow


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivery says, with the reference that its lines carry."""

    ref: Ref
    facts: Sequence[Fact] = ()
    readings: Sequence[SeriesReading] = ()
    events: Sequence[EventReading] = ()


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a posting wrote: entries per delivery, and whether anything that shapes an answer changed."""

    entries: Mapping[UUID, int]
    changed: bool


class _Home(msgspec.Struct, frozen=True):
    """A series that a posting writes to. ``own``: of the posting's source, which may have to make it."""

    key: SeriesKey
    counted: bool
    tracks_from: datetime
    own: bool


class _Work:
    """The state of one posting while it is made."""

    def __init__(
        self, connection: asyncpg.Connection[Any], posting: Posting, source: SourceRow, *, exclusive: bool
    ) -> None:
        self.connection = connection
        self.posting = posting
        self.source = source
        self.exclusive = exclusive
        self.subjects: dict[str, Subject] = {}
        self.series: dict[int, _Home] = {}
        self._numbers: dict[SeriesKey, int] = {}
        self.placed: list[Placed] = []
        self.balances: dict[SeriesOf, Balance] = {}
        self.rebuild: set[UUID] = set()

    @property
    def workspace_id(self) -> UUID:
        return self.posting.workspace_id

    def series_of(self, key: SeriesKey) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = series_id(self.source.source_id.bytes, key)
            counted = self.source.counts and not key.check
            self.series[number] = _Home(key, counted, self.source.tracks_from, own=True)
        return number

    def adopt(self, row: Mapping[str, Any]) -> None:
        """Take in a series from a row of the ledger, possibly another source's."""
        own = row["source_id"] == self.source.source_id
        home = _Home(days.key_of(row), row["counted"], row["tracks_from"], own)
        self.series.setdefault(row["series_id"], home)

    def tallied(self, number: int) -> bool:
        home = self.series[number]
        return home.counted and home.key.kind in days.TALLIED

    def tracked(self, subject: Subject, number: int) -> datetime | None:
        """Return the publication that a first value may be growth since: only one that the source tracked."""
        published = subject.published_at()
        return published if published is not None and published >= self.series[number].tracks_from else None

    def level(self, number: int) -> bool:
        return self.series[number].key.kind is not Kind.LIFETIME

    def needs_rebuild(self, subject_id: UUID) -> None:
        if not self.exclusive:
            raise RetryExclusive
        self.rebuild.add(subject_id)


async def post(
    connection: AsyncConnection,
    posting: Posting,
    source: SourceRow,
    said: Sequence[Said],
    context: Context,
    *,
    exclusive: bool = False,
) -> Written:
    """Write what deliveries of one source say. The caller opened the posting and closes it.

    Raises :class:`RetryExclusive` when the posting must be run again with the workspace to itself.
    """
    work = _Work(await driver(connection), posting, source, exclusive=exclusive)
    refs = [fact.subject for part in said for fact in part.facts]
    refs += [reading.subject for part in said for reading in part.readings]
    refs += [event.subject for part in said for event in part.events]
    work.subjects = await subject_facts.resolve(work.connection, posting, source.platform, refs, context)
    await subject_facts.keep(
        work.connection,
        posting,
        work.subjects,
        [fact for part in said for fact in part.facts],
        source_id=source.source_id,
    )
    joined = await memberships.reassign(work.connection, posting, source.platform, work.subjects, exclusive=exclusive)
    work.rebuild |= joined.moved
    await _counters(work, said)
    await _windows(work, said)
    await _events(work, said)
    tallied = {number for number in work.series if work.tallied(number)}
    for subject_id in crossings.bared(work.placed, tallied, joined.zones_of):
        work.needs_rebuild(subject_id)
    await extents.extend(work.connection, work.workspace_id, extents.extents(work.placed, tallied))
    await _insert_series(work)
    await _write_lines(work)
    await _write_tallies(work, joined.campaigns, joined.zones)
    if work.rebuild:
        await days.rebuild(work.connection, posting.workspace_id, sorted(work.rebuild), joined.left)
    entries: dict[UUID, int] = defaultdict(int)
    for row in work.placed:
        entries[row.line.ref.delivery_id] += 1
    changed = bool(work.placed) or joined.changed or any(subject.changed for subject in work.subjects.values())
    return Written(entries=entries, changed=changed)


# ------------------------------------------------------------------------------------------------ counters


async def _counters(work: _Work, said: Sequence[Said]) -> None:
    """Book lifetime and level readings, and uniques without a window."""
    readings: dict[SeriesOf, list[Reading]] = defaultdict(list)
    owners: dict[UUID, Subject] = {}
    for part in said:
        for reading in part.readings:
            if reading.window is None:
                subject = work.subjects[reading.subject.external_id]
                owners[subject.subject_id] = subject
                metrics = {metric: value for metric, value in reading.metrics.items() if value is not None}
                readings[subject.subject_id, work.series_of(reading.key)].append(Reading(reading.at, metrics, part.ref))
    await _republish(work, readings, owners)
    balances = await _load_balances(work, [key for key in readings if not owners[key[0]].fresh])
    late = []
    for key, series_readings in readings.items():
        balance = balances.setdefault(key, Balance({}, {}))
        series_readings.sort(key=lambda reading: reading.at)
        stale_origin = "published_at" in owners[key[0]].changed and bool(balance.values)
        if stale_origin or not in_order(balance, series_readings):
            late.append(key)
            continue
        published = work.tracked(owners[key[0]], key[1])
        steps = advance(balance, series_readings, published, level=work.level(key[1]))
        work.placed += [Placed(*key, line) for line in pack(steps)]
        work.balances[key] = balance
    await _correct(work, late, balances, readings, owners)


async def _republish(work: _Work, readings: dict[SeriesOf, list[Reading]], owners: dict[UUID, Subject]) -> None:
    """Take in every counter series of known subjects whose publication changed: first values may be growth now."""
    changed = {
        subject.subject_id: subject
        for subject in work.subjects.values()
        if "published_at" in subject.changed and not subject.fresh
    }
    if not changed:
        return
    rows = await work.connection.fetch(statements.SERIES_OF_SUBJECTS, work.workspace_id, list(changed))
    for row in rows:
        owners[row["subject_id"]] = changed[row["subject_id"]]
        work.adopt(row)
        readings.setdefault((row["subject_id"], row["series_id"]), [])
        work.needs_rebuild(row["subject_id"])


async def _load_balances(work: _Work, keys: Sequence[SeriesOf]) -> dict[SeriesOf, Balance]:
    if not keys:
        return {}
    rows = await work.connection.fetch(
        statements.BALANCES, work.workspace_id, [key[0] for key in keys], [key[1] for key in keys]
    )
    return {(row["subject_id"], row["series_id"]): balance_of(row) for row in rows}


async def _correct(
    work: _Work,
    late: Sequence[SeriesOf],
    balances: Mapping[SeriesOf, Balance],
    readings: Mapping[SeriesOf, Sequence[Reading]],
    owners: Mapping[UUID, Subject],
) -> None:
    """Book series whose readings do not simply follow what is known, with their lines at hand."""
    known = [key for key in late if balances[key].values]
    lines: dict[SeriesOf, list[Line]] = defaultdict(list)
    if known:
        rows = await work.connection.fetch(
            statements.ENTRIES_OF_SERIES, work.workspace_id, [key[0] for key in known], [key[1] for key in known]
        )
        for row in rows:
            lines[row["subject_id"], row["series_id"]].append(line_of(row))
    for key in late:
        published = work.tracked(owners[key[0]], key[1])
        steps = correct(balances[key], lines[key], readings[key], published, level=work.level(key[1]))
        work.placed += [Placed(*key, line) for line in pack(steps)]
        work.balances[key] = balances[key]


# ------------------------------------------------------------------------------------------------ windows

WindowOf = tuple[UUID, int, datetime, datetime]


async def _windows(work: _Work, said: Sequence[Said]) -> None:
    """Book readings of stated windows: only the newest point of each metric counts."""
    readings: dict[WindowOf, list[WindowReading]] = defaultdict(list)
    validity: dict[WindowOf, tuple[Any, int, int]] = {}
    fresh = set()
    for part in said:
        for reading in part.readings:
            window = reading.window
            if window is not None:
                subject = work.subjects[reading.subject.external_id]
                if subject.fresh:
                    fresh.add(subject.subject_id)
                key = (subject.subject_id, work.series_of(reading.key), window.start, window.end)
                readings[key].append(WindowReading(reading.at, reading.metrics, part.ref))
                whole = window.day is not None
                validity[key] = (window.day, window.days if whole else 0, Flag.NONE if whole else Flag.SHORT)
    if not readings:
        return
    lines, confirmations = await _load_windows(work, [key for key in readings if key[0] not in fresh])
    confirmed: list[tuple[WindowOf, int, datetime]] = []
    for key, window_readings in readings.items():
        booked = book(lines.get(key, ()), confirmations.get(key, ()), window_readings)
        if booked.bare and work.tallied(key[1]):
            work.needs_rebuild(key[0])
        subject_id, number, start, end = key
        day, count, flags = validity[key]
        work.placed += [
            Placed(subject_id, number, Line(start, end, sign, cause, flags, at, ref, metrics, day, count))
            for sign, cause, at, ref, metrics in booked.written
        ]
        confirmed += [(key, mask, at) for mask, at in booked.confirmed]
    await _confirm(work, confirmed)


async def _load_windows(
    work: _Work, keys: Sequence[WindowOf]
) -> tuple[dict[WindowOf, list[Line]], dict[WindowOf, list[tuple[int, datetime]]]]:
    lines: dict[WindowOf, list[Line]] = defaultdict(list)
    confirmations: dict[WindowOf, list[tuple[int, datetime]]] = defaultdict(list)
    if not keys:
        return lines, confirmations
    columns = [list(column) for column in zip(*keys, strict=True)]
    bounds = (min(columns[2]), max(columns[2]))
    for row in await work.connection.fetch(statements.ENTRIES_OF_WINDOWS, work.workspace_id, *columns, *bounds):
        lines[row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"]].append(line_of(row))
    for row in await work.connection.fetch(statements.CONFIRMATIONS, work.workspace_id, *columns, *bounds):
        key = (row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"])
        confirmations[key].append((row["mask"], row["confirmed_at"]))
    return lines, confirmations


async def _confirm(work: _Work, confirmed: Sequence[tuple[WindowOf, int, datetime]]) -> None:
    if not confirmed:
        return
    rows = [(key[0], key[2], key[3], key[1], mask, at) for key, mask, at in confirmed]
    rows.sort(key=lambda row: (row[0].int, *row[1:]))
    columns = [list(column) for column in zip(*rows, strict=True)]
    await work.connection.execute(statements.CONFIRM, work.workspace_id, *columns)


# ------------------------------------------------------------------------------------------------ events


class _Event(msgspec.Struct, frozen=True):
    """One event as it stands or as it is read: ordered by when it was said, then by what it says.

    Subjects are ordered by the platform's id: ours tells which was named first, which must not decide.
    """

    subject_id: UUID
    external_id: str
    series_id: int
    at: datetime
    observed_at: datetime
    metrics: dict[str, int]

    def order(self) -> tuple[datetime, datetime, list[tuple[str, int]], str, int]:
        return (self.observed_at, self.at, sorted(self.metrics.items()), self.external_id, self.series_id)

    def same(self, other: _Event) -> bool:
        return self.order()[1:] == other.order()[1:]


async def _events(work: _Work, said: Sequence[Said]) -> None:
    """Book events: the newest reading of each stands, at its own instant, once."""
    newest: dict[bytes, tuple[_Event, Ref]] = {}
    for part in said:
        for reading in part.events:
            subject = work.subjects[reading.subject.external_id]
            number = work.series_of(reading.key)
            event = _Event(
                subject.subject_id, subject.external_id, number, reading.at, reading.observed_at, dict(reading.metrics)
            )
            key = event_key(work.source.source_id.bytes, reading.name)
            if key not in newest or event.order() > newest[key][0].order():
                newest[key] = (event, part.ref)
    if not newest:
        return
    known = await _load_events(work, list(newest))
    written = []
    for key, (event, ref) in newest.items():
        old = known.get(key)
        if old is not None and event.order() <= old.order():
            continue
        written.append((key, event))
        if old is not None and event.same(old):
            continue
        if old is not None:
            await _take_back(work, key, old, event)
        refund = "refunds" in event.metrics
        cause = Cause.SOURCE_RESTATED if old else Cause.REFUND if refund else Cause.GROWTH
        work.placed.append(
            Placed(
                event.subject_id,
                event.series_id,
                Line(event.at, event.at, 1, cause, 0, event.observed_at, ref, event.metrics, None, 0, key),
            )
        )
    await _write_events(work, written)


async def _load_events(work: _Work, keys: Sequence[bytes]) -> dict[bytes, _Event]:
    rows = await work.connection.fetch(statements.EVENTS, work.workspace_id, keys)
    return {
        row["event_key"]: _Event(
            row["subject_id"],
            row["external_id"],
            row["series_id"],
            row["at"],
            row["observed_at"],
            row["metrics"],
        )
        for row in rows
    }


async def _take_back(work: _Work, key: bytes, old: _Event, new: _Event) -> None:
    """Reverse the standing line of an event; where it leaves its day or subject, the cell it left is rebuilt."""
    rows = await work.connection.fetch(statements.ENTRIES_OF_EVENT, work.workspace_id, old.subject_id, old.at, key)
    lines = [line_of(row) for row in rows]
    balance: dict[tuple[datetime, Ref], int] = defaultdict(int)
    for line in lines:
        balance[line.observed_at, line.ref] += line.sign
    for line in lines:
        if line.sign == 1 and balance[line.observed_at, line.ref] == 1:
            balance[line.observed_at, line.ref] = 0
            metrics = {metric: -value for metric, value in line.metrics.items()}
            reversal = line._replace(sign=-1, cause=Cause.REVERSAL, metrics=metrics)
            work.placed.append(Placed(old.subject_id, old.series_id, reversal))
            work.adopt(rows[0])
    moved = (old.subject_id, old.at, old.series_id) != (new.subject_id, new.at, new.series_id)
    if moved or set(old.metrics) != set(new.metrics):
        work.needs_rebuild(old.subject_id)


async def _write_events(work: _Work, written: Sequence[tuple[bytes, _Event]]) -> None:
    if not written:
        return
    rows = sorted(written, key=lambda row: row[0])
    await work.connection.execute(
        statements.WRITE_EVENTS,
        work.workspace_id,
        [key for key, _ in rows],
        [event.subject_id for _, event in rows],
        [event.series_id for _, event in rows],
        [event.at for _, event in rows],
        [event.observed_at for _, event in rows],
        [msgspec.json.encode(event.metrics).decode() for _, event in rows],
    )


# ------------------------------------------------------------------------------------------------ writing


async def _insert_series(work: _Work) -> None:
    if not work.series:
        return
    numbers = sorted(number for number, home in work.series.items() if home.own)
    keys = [work.series[number].key for number in numbers]
    await work.connection.execute(
        statements.INSERT_SERIES,
        work.workspace_id,
        work.source.source_id,
        numbers,
        [str(key.kind) for key in keys],
        [key.scope for key in keys],
        [key.zone for key in keys],
        [key.currency for key in keys],
        [key.paid for key in keys],
        [key.goal for key in keys],
        [work.series[number].counted for number in numbers],
    )


async def _write_lines(work: _Work) -> None:
    if work.placed:
        metrics, columns = entry_columns(work.placed)
        await work.connection.execute(
            statements.insert_entries(metrics), work.workspace_id, work.posting.batch, *columns
        )
    if work.balances:
        metrics, columns = balance_columns(work.balances.items())
        await work.connection.execute(statements.write_balances(metrics), work.workspace_id, *columns)


async def _write_tallies(work: _Work, campaigns: Mapping[UUID, Sequence[UUID]], zones: Mapping[UUID, str]) -> None:
    """Add the lines of counted series to the days of their subjects and campaigns, rows in key order."""
    by_subject: days.SubjectDays = {}
    carried: crossings.Carried = {}
    by_crowd: dict[tuple[tuple[UUID, ...], Cell], dict[str, int]] = {}
    tallied = {number: home.key for number, home in work.series.items() if work.tallied(number)}
    crowds = {subject: tuple(members) for subject, members in campaigns.items()}
    zones_of = {crowd: sorted({zones[campaign] for campaign in crowd}) for crowd in {*crowds.values(), ()}}
    for row in work.placed:
        key = tallied.get(row.series_id)
        if key is None or row.subject_id in work.rebuild:
            continue
        crowd = crowds.get(row.subject_id, ())
        if row.line.sign > 0:
            crossings.carry(carried, row.subject_id, row.line, key, zones_of[crowd])
        for cell, sums in spread(row.line, zones_of[crowd], key.zone, key.currency, key.paid):
            days.merge(by_subject, (row.subject_id, cell), sums)
            if crowd:
                days.merge(by_crowd, (crowd, cell), sums)
    by_campaign: dict[tuple[UUID, str, Cell], dict[str, int]] = {}
    for (crowd, cell), sums in by_crowd.items():
        for campaign in crowd:
            if cell.basis == 1 or cell.zone == zones[campaign]:
                days.merge(by_campaign, (campaign, work.source.platform, cell), sums)
    await days.add(work.connection, work.workspace_id, "subject_days", by_subject, carried)
    await days.add(work.connection, work.workspace_id, "campaign_days", by_campaign)
