"""Deliveries read anew by a newer version of their connector: what they say now takes the place of what they said.

A point that is taken away may have hidden others: equal ones, older ones, confirmations, none of which left a line. So
everything that the source still has is read once (``service.pipeline.pile``) and compared with the books a few subjects
at a time. Each difference is one posting; where there is none, nothing is written and nobody waits. The deliveries that
were asked for are finished last, so that a crash repeats the work and changes nothing twice.

What today's version cannot read, and what another version read and nobody asked for, keeps its older reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Connector
from service.db.engine import Database, driver
from service.ledger.posting import Posting, close_posting, open_posting
from service.ledger.replace import REPLAY, Known, Placed, Plan, Told, plan_subjects
from service.ledger.replace_events import EventPlan, ToldEvent, plan_events, write_events
from service.ledger.replace_sales import SalesPlan, plan_sales, write_sales
from service.ledger.replace_write import write
from service.pipeline import claim
from service.pipeline.claim import Lease
from service.pipeline.pile import Finished, Pile, Task, catch_up, pile_up
from service.records import Fate, Outcome
from service.registry import profiles

SUBJECTS = 100
"""Subjects of one posting; events ten times as many."""
FINISHED = 500

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Subjects(msgspec.Struct, frozen=True):
    """Some subjects with all that is said of them."""

    told: Mapping[str, Sequence[Told]]

    def joined(self, late: Mapping[bytes, Sequence[Told]]) -> _Subjects:
        """Return the same subjects with what was said of them meanwhile."""
        return _Subjects({name: [*told, *late.get(name.encode(), ())] for name, told in self.told.items()})

    async def plan(self, raw: asyncpg.Connection[Any], task: Task, known: Known) -> Plan:
        source = task.source
        return await plan_subjects(raw, source.workspace_id, source, self.told, known, task.context)

    async def write(self, raw: asyncpg.Connection[Any], posting: Posting, task: Task, plan: Any) -> dict[UUID, int]:
        return await write(raw, posting, task.source, plan)


class _Events(msgspec.Struct, frozen=True):
    """Some events with every reading of them."""

    told: Mapping[bytes, Sequence[ToldEvent]]

    def joined(self, _late: Mapping[bytes, Sequence[Told]]) -> _Events:
        """Return the same events: they are of one source alone."""
        return self

    async def plan(self, raw: asyncpg.Connection[Any], task: Task, known: Known) -> EventPlan:
        source = task.source
        return await plan_events(raw, source.workspace_id, source, self.told, known, task.context)

    async def write(self, raw: asyncpg.Connection[Any], posting: Posting, task: Task, plan: Any) -> dict[UUID, int]:
        return await write_events(raw, posting, task.source, plan)


class _Sales(msgspec.Struct, frozen=True):
    """Some conversions and touches with every reading of them."""

    told: Mapping[bytes, Sequence[ToldEvent]]

    def joined(self, _late: Mapping[bytes, Sequence[Told]]) -> _Sales:
        """Return the same: they are of one source alone."""
        return self

    async def plan(self, raw: asyncpg.Connection[Any], task: Task, known: Known) -> SalesPlan:
        source = task.source
        return await plan_sales(raw, source.workspace_id, source, self.told, known, task.context)

    async def write(self, raw: asyncpg.Connection[Any], posting: Posting, task: Task, plan: Any) -> dict[UUID, int]:
        return await write_sales(raw, posting, task.source, plan)


_Part = _Subjects | _Events | _Sales


def _parts(pile: Pile) -> Iterator[_Part]:
    """Return what one posting each is about. Subjects come first: events stand on them."""
    for bucket in pile.subjects.buckets():
        for part in _sliced(bucket, SUBJECTS):
            yield _Subjects({name.decode(): told for name, told in part.items()})
    for events in pile.events.buckets():
        for one in _sliced(events, 10 * SUBJECTS):
            yield _Events(one)
    for sales in pile.sales.buckets():
        for one in _sliced(sales, 10 * SUBJECTS):
            yield _Sales(one)


def _sliced(found: Mapping[Key, Value], size: int) -> Iterator[dict[Key, Value]]:
    keys = list(found)
    for start in range(0, len(keys), size):
        yield {key: found[key] for key in keys[start : start + size]}


# ------------------------------------------------------------------------------------------------ writing


_DUE = """
select exists (
  select from delivery_queue where workspace_id = $1 and source_id = $2 and again and ready_at <= $3
)
"""
_UNKEPT = """
delete from delivery_queue q where q.workspace_id = $1 and q.source_id = $2 and q.again
  and not exists (select from deliveries d where d.workspace_id = $1 and d.received_at = q.received_at
                  and d.delivery_id = q.delivery_id)
"""
_CONNECTORS = """
select distinct d.connector from delivery_queue q
join deliveries d on d.workspace_id = $1 and d.received_at = q.received_at and d.delivery_id = q.delivery_id
where q.workspace_id = $1 and q.source_id = $2 and q.again
"""
_SAME = """
update delivery_queue q set again = false from deliveries d
where q.workspace_id = $1 and q.source_id = $2 and q.again and d.workspace_id = $1
  and d.received_at = q.received_at and d.delivery_id = q.delivery_id and d.connector = $3 and (
    select o.connector_version from delivery_outcomes o
    where o.workspace_id = $1 and o.received_at = q.received_at and o.delivery_id = q.delivery_id
      and o.outcome = 'posted' order by o.turn desc limit 1) = $4
"""


async def is_due(
    connection: AsyncConnection, lease: Lease, connector_of: Callable[[str], Connector], now: datetime
) -> bool:
    """Tell whether deliveries of a leased source wait to be read by another version than the one that posted them.

    Those that today's version posted are left to the worker, to whom a second reading is like a first.
    """
    raw = await driver(connection)
    own = (lease.workspace_id, lease.source_id)
    if not await raw.fetchval(_DUE, *own, now):
        return False
    await raw.execute(_UNKEPT, *own)
    for row in await raw.fetch(_CONNECTORS, *own):
        await raw.execute(_SAME, *own, row["connector"], connector_of(row["connector"]).version)
    return bool(await raw.fetchval(_DUE, *own, now))


_READY = """
select delivery_id, received_at, attempt from delivery_queue
where workspace_id = $1 and source_id = $2 and again and ready_at <= $3 order by delivery_id for update
"""
_PUT_OFF = """
update delivery_queue set attempt = attempt + 1, ready_at = $4, error = $5
where workspace_id = $1 and source_id = $2 and delivery_id = any($3::uuid[])
"""


async def put_off(
    connection: AsyncConnection, lease: Lease, error: str, now: datetime, ready_at: datetime, max_attempts: int
) -> list[Outcome]:
    """Let deliveries wait whose readings could not be replaced; return those that have waited often enough.

    Their older readings stand.
    """
    raw = await driver(connection)
    rows = await raw.fetch(_READY, lease.workspace_id, lease.source_id, now)
    dead = [
        Outcome(
            delivery_id=row["delivery_id"],
            received_at=row["received_at"],
            fate=Fate.DEAD,
            connector_version="",
            error=f"not replaced, failed {row['attempt'] + 1} times: {error}",
        )
        for row in rows
        if row["attempt"] + 1 >= max_attempts
    ]
    await claim.finish(connection, lease, dead, now)
    ids = [row["delivery_id"] for row in rows if row["attempt"] + 1 < max_attempts]
    await raw.execute(_PUT_OFF, lease.workspace_id, lease.source_id, ids, ready_at, error)
    await claim.hold(connection, lease)
    return dead


async def replace_readings(db: Database, lease: Lease, task: Task) -> AsyncIterator[list[Outcome]]:
    """Replace the older readings of what is queued again; yield what became of it, a committed batch at a time.

    Raises :class:`service.pipeline.claim.LeaseLost`. What was written before is right all the same.
    """
    with Pile(task) as pile:
        known = await pile_up(db, task, pile)
        written: Counter[UUID] = Counter()
        posted: int | None = None
        for part in _parts(pile):
            number, lines = await _replace(db, lease, pile, part, known)
            posted = number or posted
            written.update(lines)
        for batch in _batches(pile):
            yield await _finish(db, lease, task, batch, written, posted)


async def _replace(
    db: Database, lease: Lease, pile: Pile, part: _Part, known: Known
) -> tuple[int | None, dict[UUID, int]]:
    """Write the difference of one part, if there is one: one transaction, planned again under its lock."""
    workspace_id, task = lease.workspace_id, pile.task
    async with db.workspace(workspace_id) as connection:
        if (await part.plan(await driver(connection), task, known)).is_empty:
            return None, {}
    async with db.workspace(workspace_id) as connection:
        posting = await open_posting(
            connection, workspace_id, task.context, cause=REPLAY, source_id=lease.source_id, exclusive=True
        )
        raw = await driver(connection)
        await catch_up(raw, pile)
        plan = await part.joined(pile.late).plan(raw, task, known)
        lines = await part.write(raw, posting, task, plan)
        closed = await close_posting(connection, posting, task.context, entries=sum(lines.values()))
        await claim.hold(connection, lease)
    return closed.number, lines


def _batches(pile: Pile) -> Iterator[list[Finished]]:
    batch: list[Finished] = []
    for bucket in pile.finished.buckets():
        for (one,) in bucket.values():
            batch.append(one)
            if len(batch) == FINISHED:
                yield batch
                batch = []
    if batch:
        yield batch


async def _finish(
    db: Database, lease: Lease, task: Task, batch: Sequence[Finished], written: Mapping[UUID, int], posted: int | None
) -> list[Outcome]:
    """Record what became of deliveries; those that changed the books name the last posting of the replay."""
    outcomes = []
    names: dict[str, str] = {}
    for one in batch:
        entries = written.get(one.outcome.delivery_id, 0)
        changed = {"entries": entries, "posting": posted} if entries else {}
        outcomes.append(msgspec.structs.replace(one.outcome, **changed))
        names |= one.profiles
    async with db.workspace(lease.workspace_id) as connection:
        await profiles.ensure(connection, lease.workspace_id, task.source.platform, names, task.context)
        await claim.finish(connection, lease, outcomes, task.context.now())
    return outcomes


# ------------------------------------------------------------------------------------------------ looking first


class Shift(msgspec.Struct, kw_only=True):
    """What would be taken back and written of one metric, in lines and in stored units."""

    lines_taken: int = 0
    lines_written: int = 0
    taken: int = 0
    written: int = 0


class Preview(msgspec.Struct, kw_only=True):
    """What reading anew would change."""

    deliveries: int = 0
    unreadable: int = 0
    subjects: int = 0
    facts: dict[str, int] = {}
    metrics: dict[str, Shift] = {}
    sales: int = 0

    def add(self, plan: Plan | EventPlan | SalesPlan) -> None:
        """Count one more plan. What becomes of credits is known when they are written."""
        if isinstance(plan, SalesPlan):
            self.sales += len(plan.events) + len(plan.touches)
            return
        self.subjects += len({row.subject_id for row in plan.placed})
        if isinstance(plan, Plan):
            for subject in plan.subjects.values():
                for name in subject.changed:
                    self.facts[name] = self.facts.get(name, 0) + 1
        self._shift(plan.placed)

    def _shift(self, placed: Iterable[Placed]) -> None:
        for row in placed:
            for metric, amount in row.line.metrics.items():
                shift = self.metrics.setdefault(metric, Shift())
                if row.line.sign > 0:
                    shift.lines_written += 1
                    shift.written += amount
                else:
                    shift.lines_taken += 1
                    shift.taken -= amount


async def preview(db: Database, task: Task) -> Preview:
    """Return what reading anew would change, without a lock and without writing anything."""
    seen = Preview()
    with Pile(task) as pile:
        known = await pile_up(db, task, pile)
        for part in _parts(pile):
            async with db.snapshot(task.source.workspace_id) as connection:
                seen.add(await part.plan(await driver(connection), task, known))
        seen.deliveries, seen.unreadable = pile.asked, pile.unreadable
    return seen
