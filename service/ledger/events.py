"""Booking of events that move metrics of their own subject: the newest reading of each stands, at its instant, once.

What is credited (conversions, orders, refunds) is booked by ``service.ledger.sales``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from service.ledger import statements
from service.ledger.readings import event_key
from service.ledger.rows import line_of
from service.ledger.series import Cause, Line, Ref
from service.ledger.work import Said, Work


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


async def book_events(work: Work, said: Sequence[Said]) -> None:
    """Book events: the newest reading of each stands, at its own instant, once."""
    newest: dict[bytes, tuple[_Event, Ref]] = {}
    for part in said:
        for reading in part.events:
            if not reading.metrics:
                continue
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
    work.said_again |= known.keys()
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
        cause = Cause.SOURCE_RESTATED if old else Cause.GROWTH
        line = Line(event.at, event.at, 1, cause, 0, event.observed_at, ref, event.metrics, None, 0, key)
        work.sheet.add(event.subject_id, event.series_id, line)
    await _write_events(work, written)


async def _load_events(work: Work, keys: Sequence[bytes]) -> dict[bytes, _Event]:
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


async def _take_back(work: Work, key: bytes, old: _Event, new: _Event) -> None:
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
            work.sheet.add(old.subject_id, old.series_id, reversal)
            work.adopt(rows[0])
    moved = (old.subject_id, old.at, old.series_id) != (new.subject_id, new.at, new.series_id)
    if moved or set(old.metrics) != set(new.metrics):
        work.needs_rebuild(old.subject_id)


async def _write_events(work: Work, written: Sequence[tuple[bytes, _Event]]) -> None:
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
