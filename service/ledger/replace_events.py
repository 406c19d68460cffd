"""The events of a source, read anew: which reading of each stands, on which subject, or none.

Events are planned by their keys, not by subjects: another reading may say that one happened on another subject.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.context import Context
from service.ledger import statements
from service.ledger.horizon import is_kept
from service.ledger.posting import Posting
from service.ledger.readings import EventReading, SeriesKey, series_id
from service.ledger.recount import NOTHING as NO_STRETCH
from service.ledger.recount import Moved, Stretch, campaigns_of, recount
from service.ledger.replace import EDGE, Known, Placed
from service.ledger.replace_write import lines_per_delivery, write_lines, write_series
from service.ledger.rows import line_of
from service.ledger.series import Line, Ref
from service.ledger.wanted import Amount, Fixed, Heard, Place, Wanted, Wish, difference, stood
from service.records import SourceRow

_PAGE = 1000


class ToldEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one event today."""

    key: bytes
    ref: Ref
    reading: EventReading


class Happening(msgspec.Struct, frozen=True):
    """An event as one reading has it, in the order in which readings beat each other."""

    observed_at: datetime
    at: datetime
    metrics: tuple[tuple[str, int], ...]
    external_id: str
    series_id: int
    subject_id: UUID
    ref: Ref

    @property
    def home(self) -> tuple[UUID, int]:
        """Return the subject and the series that its line stands on."""
        return self.subject_id, self.series_id

    def order(self) -> tuple[Any, ...]:
        """Return what decides: when it was said, then what it says."""
        return (self.observed_at, self.at, list(self.metrics), self.external_id, self.series_id)


class EventPlan(msgspec.Struct, kw_only=True):
    """What is to be written of events: lines, and the row of each event (None: there is no such event any more)."""

    platform: str
    series: dict[int, SeriesKey] = {}
    placed: list[Placed] = []
    rows: dict[bytes, Happening | None] = {}

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        return not (self.placed or self.rows)


_ROWS = """
select e.event_key, e.subject_id, u.external_id, e.series_id, e.at, e.observed_at, e.metrics
from events e join subjects u on u.workspace_id = $1 and u.subject_id = e.subject_id
where e.workspace_id = $1 and e.event_key = any($2::bytea[])
"""
_LINES = """
select e.* from unnest($2::uuid[], $3::timestamptz[], $4::bytea[]) as given (subject_id, at, event_key)
join entries e on e.workspace_id = $1 and e.subject_id = given.subject_id and e.valid_from = given.at
  and e.event_key = given.event_key
"""
NAMED = (
    "select external_id, subject_id from subjects where workspace_id = $1 and platform = $2 and external_id = any($3)"
)
CLICK_KEYS = """
select e.event_key from events e join series s on s.workspace_id = $1 and s.series_id = e.series_id
where e.workspace_id = $1 and s.source_id = $2 and e.event_key > $3 order by e.event_key limit $4
"""


async def known_keys(
    connection: asyncpg.Connection[Any], statement: str, workspace_id: UUID, source_id: UUID
) -> AsyncIterator[bytes]:
    """Yield what the books know of a source's events: of its clicks, or of what was sold and touched."""
    key = b""
    while rows := await connection.fetch(statement, workspace_id, source_id, key, _PAGE):
        for row in rows:
            key = row["event_key"]
            yield key


async def plan_events(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    source: SourceRow,
    told: Mapping[bytes, Sequence[ToldEvent]],
    known: Known,
    context: Context,
) -> EventPlan:
    """Return what must stand of events; ``told`` names each of them, with no reading or many."""
    plan = EventPlan(platform=source.platform)
    edge = await connection.fetchval(EDGE, workspace_id)
    rows = {row["event_key"]: row for row in await connection.fetch(_ROWS, workspace_id, sorted(told))}
    lines = await _lines(connection, workspace_id, list(rows.values()))
    names = sorted({part.reading.subject.external_id for parts in told.values() for part in parts})
    ids = {
        row["external_id"]: row["subject_id"]
        for row in await connection.fetch(NAMED, workspace_id, source.platform, names)
    }
    ids |= {name: context.new_id() for name in names if name not in ids}
    for key in sorted(told):
        if edge is not None and key in rows and rows[key]["at"] < edge:
            continue
        happenings = [_happening(source, plan, part, ids) for part in told[key] if is_kept(part.reading, edge)]
        complete = source.source_id not in known.incomplete
        _plan(plan, key, rows.get(key), lines.get(key, []), happenings, known.fixed, complete=complete)
    return plan


async def _lines(
    connection: asyncpg.Connection[Any], workspace_id: UUID, rows: Sequence[Any]
) -> dict[bytes, list[Line]]:
    found: dict[bytes, list[Line]] = defaultdict(list)
    if rows:
        columns = ([row[name] for row in rows] for name in ("subject_id", "at", "event_key"))
        for row in await connection.fetch(_LINES, workspace_id, *columns):
            found[row["event_key"]].append(line_of(row))
    return found


def _happening(source: SourceRow, plan: EventPlan, part: ToldEvent, ids: Mapping[str, UUID]) -> Happening:
    reading = part.reading
    number = series_id(source.source_id.bytes, reading.key)
    plan.series[number] = reading.key
    return Happening(
        reading.observed_at,
        reading.at,
        tuple(sorted(reading.metrics.items())),
        reading.subject.external_id,
        number,
        ids[reading.subject.external_id],
        part.ref,
    )


def _plan(
    plan: EventPlan,
    key: bytes,
    row: Any,
    lines: Sequence[Line],
    happenings: Sequence[Happening],
    fixed: Fixed,
    *,
    complete: bool,
) -> None:
    """Plan one event: the newest reading stands, at its own place, once."""
    stands = stood(lines)
    said = {
        (metric, one.observed_at, value, one.ref.delivery_id) for one in happenings for metric, value in one.metrics
    }
    heard = Heard(fixed, said)
    old = _stored(row, stands) if row is not None else None
    known = [*happenings, *([old] if old is not None and fixed(old.ref) else [])]
    newest = max(known, key=Happening.order, default=None)
    if newest is not None and old is not None and not complete and newest.order()[1:] == old.order()[1:]:
        # Who said it last left no trace but the instant.
        newest = msgspec.structs.replace(newest, observed_at=max(newest.observed_at, row["observed_at"]))
    wanted = _wanted(key, newest) if newest is not None else {}
    if old is not None and newest is not None and old.home == newest.home and not difference(stands, wanted, heard):
        wanted, stands = {}, {}
    # An event stands as one line: what changes of it changes as a whole.
    for one, now, then in ((old, stands, {}), (newest, {}, wanted)):
        if one is not None:
            plan.placed += [Placed(*one.home, line) for line in difference(now, then, heard)]
    if _differs(row, newest) and (old is not None or newest is not None):
        plan.rows[key] = newest


def _stored(row: Any, stands: Mapping[Any, Amount]) -> Happening | None:
    """Return the event as its standing line has it."""
    if not stands:
        return None
    amount = next(iter(stands.values()))
    return Happening(
        amount.observed_at,
        row["at"],
        tuple(sorted((metric, one.delta) for (_, metric), one in stands.items())),
        row["external_id"],
        row["series_id"],
        row["subject_id"],
        amount.ref,
    )


def _wanted(key: bytes, newest: Happening) -> Wanted:
    place = Place(newest.at, newest.at, 0, None, 0, key)
    return {
        (place, metric): Wish(Amount(value, newest.observed_at, newest.ref), value) for metric, value in newest.metrics
    }


def _differs(row: Any, newest: Happening | None) -> bool:
    if row is None or newest is None:
        return (row is None) != (newest is None)
    stored = (row["observed_at"], row["at"], sorted(row["metrics"].items()), row["subject_id"], row["series_id"])
    said = (newest.observed_at, newest.at, list(newest.metrics), newest.subject_id, newest.series_id)
    return stored != said


# ------------------------------------------------------------------------------------------------ writing

_FORGET = "delete from events where workspace_id = $1 and event_key = any($2::bytea[])"


async def write_events(
    connection: asyncpg.Connection[Any], posting: Posting, source: SourceRow, plan: EventPlan
) -> dict[UUID, int]:
    """Write a plan in an open posting that has the workspace to itself; return the lines per delivery."""
    workspace_id = posting.workspace_id
    await write_series(connection, workspace_id, source, plan.series)
    await write_lines(connection, posting, plan.placed)
    gone = sorted(key for key, happening in plan.rows.items() if happening is None)
    if gone:
        await connection.execute(_FORGET, workspace_id, gone)
    await _write_rows(connection, workspace_id, {key: one for key, one in plan.rows.items() if one is not None})
    stretches: dict[UUID, Stretch] = {}
    for row in plan.placed:
        stretches[row.subject_id] = stretches.get(row.subject_id, NO_STRETCH).joined(row.line)
    campaigns = await campaigns_of(connection, workspace_id, list(stretches))
    moved = Moved(platform=plan.platform, stretches=stretches, before=campaigns, after=campaigns)
    await recount(connection, posting, moved)
    return lines_per_delivery(plan.placed)


async def _write_rows(connection: asyncpg.Connection[Any], workspace_id: UUID, rows: Mapping[bytes, Happening]) -> None:
    if not rows:
        return
    keys = sorted(rows)
    happenings = [rows[key] for key in keys]
    await connection.execute(
        statements.WRITE_EVENTS,
        workspace_id,
        keys,
        [one.subject_id for one in happenings],
        [one.series_id for one in happenings],
        [one.at for one in happenings],
        [one.observed_at for one in happenings],
        [msgspec.json.encode(dict(one.metrics)).decode() for one in happenings],
    )
