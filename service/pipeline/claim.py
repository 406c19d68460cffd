"""Who may post what: the lease on a source, the deliveries of one batch, and what is left of them afterwards.

One poster per source at a time: the lease is a row of ``pending_work`` whose ``term`` is new with every lease. A worker
that lost its lease finds another term in the transaction that it is about to commit, and commits nothing. Leases have
their own short transactions; taking, finishing and holding run inside the caller's transaction of the workspace.
Clock and sizes come from the caller.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database, driver
from service.records import ClaimedDelivery, Outcome, delivery_of

# A row that was deleted and made anew would count its terms from the start: the clock keeps them apart.
_LEASE = """
with chosen as (
  select workspace_id, source_id from pending_work
  where ready_at <= $1 and (lease_until is null or lease_until <= $1)
  order by ready_at limit 1 for no key update skip locked
)
update pending_work p set lease_until = $2, term = greatest(p.term + 1, $3::bigint)
from chosen where p.workspace_id = chosen.workspace_id and p.source_id = chosen.source_id
returning p.workspace_id, p.source_id, p.term
"""
_EXTEND = """
update pending_work set lease_until = $4 where workspace_id = $1 and source_id = $2 and term = $3 returning true
"""
_HOLD = "select term from pending_work where workspace_id = $1 and source_id = $2 for share"
_HOLD_ALONE = "select term from pending_work where workspace_id = $1 and source_id = $2 for update"
# Whose term it was is looked at afterwards: a transaction that took another's is never committed.
_RETURN = """
update pending_work set lease_until = null, ready_at = $13 where workspace_id = $1 and source_id = $2 returning term
"""
_GIVE_BACK = """
update pending_work set lease_until = null, ready_at = $4
where workspace_id = $1 and source_id = $2 and term = $3 returning term
"""
# A row that is neither forgotten nor put off has deliveries that are ready: whether they are to be had is asked then.
_LEAVE = """
with queue as materialized (
  select min(ready_at) as earliest from delivery_queue where workspace_id = $1 and source_id = $2
), forgotten as (
  delete from pending_work p using queue
  where queue.earliest is null and p.workspace_id = $1 and p.source_id = $2 and p.term = $3
), put_off as (
  update pending_work p set lease_until = null, ready_at = queue.earliest from queue
  where queue.earliest > $4 and p.workspace_id = $1 and p.source_id = $2 and p.term = $3
)
select earliest from queue
"""
_READY = """
select true from delivery_queue
where workspace_id = $1 and source_id = $2 and ready_at <= $3 limit 1 for update skip locked
"""

# In the order of the key, which is about that of receipt: an index gives it, and the books do not depend on it.
_LOCK = """
select delivery_id, received_at, attempt, again from delivery_queue
where workspace_id = $1 and source_id = $2 and ready_at <= $3
order by delivery_id limit $4 for update skip locked
"""
_LOCK_ONLY = """
select delivery_id, received_at, attempt, again from delivery_queue
where workspace_id = $1 and source_id = $2 and ready_at <= $3 and not again and delivery_id = any($5::uuid[])
order by delivery_id limit $4 for update skip locked
"""
# One look-up per row by its whole key, whatever the planner knows (offset 0): what is replayed lies far apart. The
# bounds of the batch spare the planner the other days.
_BODIES = """
select * from (
  select d.*,
         sum(octet_length(d.body)) over (order by d.delivery_id) as so_far,
         row_number() over (order by d.delivery_id) as place
  from unnest($2::timestamptz[], $3::uuid[]) as locked (received_at, delivery_id)
  cross join lateral (
    select d.delivery_id, d.received_at, d.channel, d.connector, d.body,
           d.options::text, d.headers::text, d.request::text
    from deliveries d
    where d.workspace_id = $1 and d.received_at = locked.received_at and d.delivery_id = locked.delivery_id
      and d.received_at between $5 and $6
    offset 0
  ) as d
) as sized
where so_far <= $4 or place = 1
order by delivery_id
"""
_UNKEPT = """
delete from delivery_queue q using unnest($3::uuid[], $4::timestamptz[]) as locked (delivery_id, received_at)
where q.workspace_id = $1 and q.source_id = $2 and q.delivery_id = locked.delivery_id
  and not exists (select from deliveries d where d.workspace_id = $1 and d.received_at = locked.received_at
                  and d.delivery_id = locked.delivery_id)
"""
_FINISH = """
with lease as ({lease}), gone as (
  delete from delivery_queue where workspace_id = $1 and source_id = $2 and delivery_id = any($3::uuid[])
  returning delivery_id, attempt
), told as (
  insert into delivery_outcomes (workspace_id, received_at, delivery_id, turn, source_id, outcome, connector_version,
                                 posting, items, entries, drops, attempts, error, finished_at)
  select $1, given.received_at, given.delivery_id, coalesce((
           select max(turn) from delivery_outcomes o
           where o.workspace_id = $1 and o.received_at = given.received_at and o.delivery_id = given.delivery_id
             and o.received_at between $14 and $15), 0) + 1,
         $2, ($6::text[])[alike], ($7::text[])[alike], ($8::bigint[])[alike], ($9::integer[])[alike],
         ($10::integer[])[alike], ($11::text[])[alike]::jsonb, gone.attempt + 1, ($12::text[])[alike], $13
  from unnest($3::uuid[], $4::timestamptz[], $5::integer[]) as given (delivery_id, received_at, alike)
  join gone using (delivery_id)
)
select term from lease
"""
_POSTPONE = """
update delivery_queue set attempt = attempt + 1, ready_at = $4, error = $5
where workspace_id = $1 and source_id = $2 and delivery_id = $3
"""
_SWEEP = sa.text("""
insert into pending_work (workspace_id, source_id, ready_at)
select workspace_id, source_id, min(ready_at) from delivery_queue where workspace_id = :workspace
group by workspace_id, source_id order by source_id
on conflict do nothing
""")


class Ending(enum.Enum):
    """What a transaction that finishes deliveries does with its lease at the end."""

    HOLD = _HOLD
    """Nobody else has the source until it ends, and the lease goes on."""
    ALONE = _HOLD_ALONE
    """As before, and nobody lands for the source meanwhile: :func:`left` is asked next."""
    GIVE_BACK = _RETURN
    """The lease ends, and there is more to post."""


_FINISHES = {ending: _FINISH.format(lease=ending.value) for ending in Ending}


class ReplaceFirst(Exception):  # noqa: N818 - reads as a state
    """Deliveries wait to be read again: that comes before what is new."""


class LeaseLost(Exception):  # noqa: N818 - reads as a state
    """Another worker has the source: what this transaction did must not be committed."""


class Lease(msgspec.Struct, frozen=True):
    """The right to post one source's deliveries; ``term`` tells it from every other lease of that source."""

    workspace_id: UUID
    source_id: UUID
    term: int

    @property
    def key(self) -> tuple[UUID, UUID]:
        return self.workspace_id, self.source_id

    def require(self, term: int | None) -> None:
        """Raise :class:`LeaseLost` unless the source has this term."""
        if term != self.term:
            raise LeaseLost


# ------------------------------------------------------------------------------------------------ leases


async def lease_next(db: Database, now: datetime, lease_seconds: float) -> Lease | None:
    """Lease the source that has waited longest and that nobody else has, or return None."""
    until = now + timedelta(seconds=lease_seconds)
    async with db.single() as raw:
        row = await raw.fetchrow(_LEASE, now, until, int(now.timestamp() * 1_000_000))
    return None if row is None else Lease(*row)


async def extend(db: Database, lease: Lease, until: datetime) -> bool:
    """Keep a lease for longer; False when it is lost."""
    async with db.single() as raw:
        return await raw.fetchval(_EXTEND, *lease.key, lease.term, until) is not None


async def hold(connection: AsyncConnection, lease: Lease) -> None:
    """Make sure, until the transaction ends, that nobody else has the source. Raises :class:`LeaseLost`."""
    lease.require(await (await driver(connection)).fetchval(_HOLD, *lease.key))


async def give_back(db: Database, lease: Lease, ready_at: datetime) -> None:
    """End a lease on a source that has more to post, at ``ready_at`` or later."""
    async with db.single() as raw:
        await raw.execute(_GIVE_BACK, *lease.key, lease.term, ready_at)


async def leave(connection: AsyncConnection, lease: Lease, now: datetime, soonest: datetime) -> None:
    """End a lease on a source with nothing ready, in a transaction of the workspace.

    Who lands a delivery locks the same row first, so the look at the queue sees it or comes before it. What came in the
    meantime is ready at once; what is ready and yet is not to be had is tried again at ``soonest``. Raises
    :class:`LeaseLost`.
    """
    lease.require(await (await driver(connection)).fetchval(_HOLD_ALONE, *lease.key))
    await left(connection, lease, now, soonest)


async def left(connection: AsyncConnection, lease: Lease, now: datetime, soonest: datetime) -> None:
    """Do the rest of :func:`leave`, where the row is locked already: the look at the queue must come after it."""
    raw = await driver(connection)
    earliest = await raw.fetchval(_LEAVE, *lease.key, lease.term, now)
    if earliest is not None and earliest <= now:
        is_ready = await raw.fetchval(_READY, *lease.key, now)
        await raw.execute(_GIVE_BACK, *lease.key, lease.term, earliest if is_ready else soonest)


async def sweep(db: Database, workspace_id: UUID) -> int:
    """Make up for lost hints: every source with a queue has its row again. Return how many were missing."""
    async with db.workspace(workspace_id) as connection:
        return (await connection.execute(_SWEEP, {"workspace": workspace_id})).rowcount


# ------------------------------------------------------------------------------------------------ deliveries


async def take(
    connection: AsyncConnection,
    lease: Lease,
    limit: int,
    max_bytes: int,
    now: datetime,
    only: Sequence[UUID] | None = None,
) -> list[ClaimedDelivery]:
    """Lock and return deliveries of the leased source that are ready: at most ``limit``, and at most ``max_bytes`` of
    bodies unless the first alone has more. ``only`` narrows them to ids. What retention took leaves the queue.
    Raises :class:`ReplaceFirst`.
    """
    raw = await driver(connection)
    asked = (lease.workspace_id, lease.source_id, now, limit)
    locked = await raw.fetch(_LOCK, *asked) if only is None else await raw.fetch(_LOCK_ONLY, *asked, list(only))
    if not locked:
        return []
    if any(row["again"] for row in locked):
        raise ReplaceFirst
    attempts = {row["delivery_id"]: row["attempt"] + 1 for row in locked}
    received = [row["received_at"] for row in locked]
    rows = await raw.fetch(
        _BODIES, lease.workspace_id, received, list(attempts), max_bytes, min(received), max(received)
    )
    if not rows:
        await raw.execute(_UNKEPT, lease.workspace_id, lease.source_id, list(attempts), received)
    return [delivery_of(row, attempts[row["delivery_id"]]) for row in rows]


async def finish(
    connection: AsyncConnection,
    lease: Lease,
    outcomes: Sequence[Outcome],
    now: datetime,
    ending: Ending = Ending.HOLD,
) -> None:
    """Record what became of taken deliveries and take them off the queue. Raises :class:`LeaseLost`."""
    if not outcomes:
        return
    raw = await driver(connection)
    received = [outcome.received_at for outcome in outcomes]
    # Most of a batch fare alike: what became of them goes over the wire once.
    fates: dict[tuple[Any, ...], int] = {}
    alike = [fates.setdefault(_fate(outcome), len(fates) + 1) for outcome in outcomes]
    term = await raw.fetchval(
        _FINISHES[ending],
        *lease.key,
        [outcome.delivery_id for outcome in outcomes],
        received,
        alike,
        *(list(column) for column in zip(*fates, strict=True)),
        now,
        min(received),
        max(received),
    )
    lease.require(term)


def _fate(outcome: Outcome) -> tuple[Any, ...]:
    """Return what is said of a delivery, as its row holds it."""
    drops = _storable(msgspec.json.encode(outcome.drops).decode()) if outcome.drops else "[]"
    error = outcome.error.replace("\x00", "").encode("utf-8", "replace").decode() if outcome.error else ""
    counted = (outcome.posting, outcome.items, outcome.entries)
    return (outcome.fate.value, outcome.connector_version, *counted, drops, error)


def _storable(json: str) -> str:
    """Return JSON text that PostgreSQL takes: NUL has no place in its texts, whoever quoted it."""
    return json.replace("\\u0000", "\\ufffd")


async def postpone(
    connection: AsyncConnection, lease: Lease, delivery_id: UUID, ready_at: datetime, error: str
) -> None:
    """Count a failed try of a delivery and let it wait; ``error`` names the class of what went wrong."""
    raw = await driver(connection)
    await raw.execute(_POSTPONE, lease.workspace_id, lease.source_id, delivery_id, ready_at, error)
