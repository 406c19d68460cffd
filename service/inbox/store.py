"""The statements that keep deliveries, once each. They run in the caller's transaction, or each commits by itself.

One statement keeps a delivery whole: key, body, place in the queue, hint.

A delivery is known by its key within its source; the ledger of keys decides, never a look before an insert. The same
key with another body is kept as a delivery of its own that points at the first. A distributed database routes by
workspace: the rows of a batch are sorted by it, and by key, so that batches side by side lock in one order.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

# One statement keeps a batch: who gets a key gets the rest. What deliveries have in common comes once ($1 to $7) and is
# looked up by number; nothing is joined before the keys are claimed, so they are locked in the order they are given in.
#
# A hint that stands is locked against deletion only (key share): a worker that is about to delete it waits, and then
# looks again, while others lease the source or finish a posting meanwhile.
_KEEP = """
with given as materialized (
  select ($1::uuid[])[origin] as workspace_id, ($2::uuid[])[origin] as source_id, ($3::text[])[origin] as channel,
         ($4::text[])[origin] as connector, ($5::text[])[origin] as options, ($6::text[])[origin] as request,
         ($7::uuid[])[origin] as conflict_of, key_hash, delivery_id, received_at, headers, body, body_hash
  from unnest($8::integer[], $9::bytea[], $10::uuid[], $11::timestamptz[], $12::text[], $13::bytea[], $14::bytea[])
    as row (origin, key_hash, delivery_id, received_at, headers, body, body_hash)
), claimed as (
  insert into delivery_keys (workspace_id, source_id, key_hash, delivery_id, body_hash, received_at)
  select workspace_id, source_id, key_hash, delivery_id, body_hash, received_at from given
  on conflict do nothing
  returning workspace_id, source_id, delivery_id, received_at
), kept as (
  insert into deliveries (workspace_id, received_at, delivery_id, source_id, channel, connector, options, headers,
                          request, body, body_hash, conflict_of)
  select workspace_id, received_at, delivery_id, source_id, channel, connector, options::jsonb, headers::jsonb,
         request::jsonb, body, body_hash, conflict_of
  from given where delivery_id in (select delivery_id from claimed)
), queued as (
  insert into delivery_queue (workspace_id, source_id, delivery_id, received_at, ready_at)
  select workspace_id, source_id, delivery_id, received_at, $15::timestamptz from claimed
), named as materialized (
  select distinct workspace_id, source_id from claimed
), standing as materialized (
  select p.workspace_id, p.source_id from named join pending_work p using (workspace_id, source_id)
  where p.ready_at <= $15 order by 1, 2 for key share of p
), hinted as (
  insert into pending_work (workspace_id, source_id, ready_at)
  select workspace_id, source_id, $15::timestamptz from named
  where (workspace_id, source_id) not in (select workspace_id, source_id from standing) order by 1, 2
  on conflict (workspace_id, source_id) do update set ready_at = least(pending_work.ready_at, excluded.ready_at)
)
select case when count(*) < cardinality($8::integer[]) then coalesce(array_agg(delivery_id), '{}') end from claimed
"""

# One look-up per key, whatever the planner knows (offset 0): it may have met the table empty.
_OWNERS = """
select k.* from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as given (workspace_id, source_id, key_hash)
cross join lateral (
  select k.workspace_id, k.source_id, k.key_hash, k.delivery_id, k.body_hash from delivery_keys k
  where k.workspace_id = given.workspace_id and k.source_id = given.source_id and k.key_hash = given.key_hash
  offset 0
) as k
"""

# The row is locked even where it does not change, for the sake of the worker that is about to delete it.
_HINT = """
insert into pending_work (workspace_id, source_id, ready_at)
select *, $3::timestamptz from unnest($1::uuid[], $2::uuid[])
on conflict (workspace_id, source_id) do update set ready_at = least(pending_work.ready_at, excluded.ready_at)
"""

_KEY_BYTES = 16
_TRIES = 3


class Kept(enum.StrEnum):
    """What became of a delivery that was handed in."""

    STORED = "stored"
    DUPLICATE = "duplicate"


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery that holds the bytes, this one or the earlier one; ``conflict_of`` is set for a changed body."""

    delivery_id: UUID
    outcome: Kept
    conflict_of: UUID | None = None


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What the deliveries of one source have in common; one object serves many. ``options`` is a JSON text.

    ``prefix`` is how the slots of its deliveries begin; ``headers`` are those that are kept with them.
    """

    workspace_id: UUID
    source_id: UUID
    channel: str
    connector: str
    options: str
    prefix: bytes
    headers: frozenset[str]

    def __repr__(self) -> str:
        """Leave the options out of every log and traceback."""
        return f"Origin({self.source_id})"


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery about to be kept. ``headers`` and ``request`` are JSON texts.

    ``slot`` is what is unique about it: workspace, source and hash of the key, one after the other.
    """

    origin: Origin
    slot: bytes
    delivery_id: UUID
    received_at: datetime
    headers: str
    request: str
    body: bytes
    body_hash: bytes

    def __repr__(self) -> str:
        """Leave the body and the headers out of every log and traceback."""
        return f"Landing({self.delivery_id})"


class _Owner(msgspec.Struct, frozen=True):
    delivery_id: UUID
    body_hash: bytes


class _Claim(msgspec.Struct, frozen=True):
    """A landing that asks for a slot: its own, or another one because its body has changed."""

    landing: Landing
    slot: bytes
    conflict_of: UUID | None = None


def _short_hash(value: bytes) -> bytes:
    # Half a SHA-256: the ledger of keys is large, and a collision would be kept as a changed body, not lost.
    return hashlib.sha256(value).digest()[:_KEY_BYTES]


def key_hash(key: str) -> bytes:
    """Return what the ledger of keys holds for an idempotency key of any text."""
    return _short_hash(key.encode("utf-8", "surrogatepass"))


async def store(connection: asyncpg.Connection[Any], landings: Sequence[Landing], now: datetime) -> list[Landed]:
    """Keep what is new of ``landings`` and return what became of each, in their order.

    One key may come several times. Where each statement commits by itself, an error leaves some kept and some not:
    asked again for the same landings, it tells of all. Raises the driver's errors; a transaction is then of no use.
    """
    owners = await _owners(connection, [_Claim(landing, landing.slot) for landing in landings], now)
    rivals = [
        _Claim(landing, _rival_slot(landing), owners[landing.slot].delivery_id)
        for landing in landings
        if owners[landing.slot].body_hash != landing.body_hash
    ]
    rival_owners = await _owners(connection, rivals, now) if rivals else {}
    return [_landed(landing, owners[landing.slot], rival_owners) for landing in landings]


def _rival_slot(landing: Landing) -> bytes:
    """Return the slot of this body beside another body with the same key."""
    origin, own = landing.slot[:-_KEY_BYTES], landing.slot[-_KEY_BYTES:]
    return origin + _short_hash(own + landing.body_hash)


def _landed(landing: Landing, owner: _Owner | Landing, rival_owners: Mapping[bytes, _Owner | Landing]) -> Landed:
    if owner.delivery_id == landing.delivery_id:
        return Landed(delivery_id=landing.delivery_id, outcome=Kept.STORED)
    if owner.body_hash == landing.body_hash:
        return Landed(delivery_id=owner.delivery_id, outcome=Kept.DUPLICATE)
    holder = rival_owners[_rival_slot(landing)].delivery_id
    outcome = Kept.STORED if holder == landing.delivery_id else Kept.DUPLICATE
    return Landed(delivery_id=holder, outcome=outcome, conflict_of=owner.delivery_id)


async def _owners(
    connection: asyncpg.Connection[Any], claims: Iterable[_Claim], now: datetime
) -> dict[bytes, _Owner | Landing]:
    """Claim slots, keep those who get theirs; return who holds each: a landing, or what was there before.

    Of several claims to one slot the first counts.
    """
    wanted: dict[bytes, _Claim] = {}
    for claim in claims:
        wanted.setdefault(claim.slot, claim)
    found: dict[bytes, _Owner | Landing] = {}
    for _ in range(_TRIES):
        open_claims = [wanted[slot] for slot in sorted(wanted) if slot not in found]
        refused = await _keep(connection, open_claims, now)
        found |= {claim.slot: claim.landing for claim in open_claims if claim.landing.delivery_id not in refused}
        if not refused:
            return found
        found |= await _look_up(connection, [claim for claim in open_claims if claim.slot not in found])
        if len(found) == len(wanted):
            return found
    # A key that is neither free nor visible is being pruned this moment: as any conflict, it is worth another try.
    raise asyncpg.SerializationError("a delivery key is changing hands")


async def _keep(connection: asyncpg.Connection[Any], claims: Sequence[_Claim], now: datetime) -> frozenset[UUID]:
    """Keep the landings whose slots are free, in the order of their slots; return the ids of the others."""
    landings = [claim.landing for claim in claims]
    shared: dict[tuple[int, str, UUID | None], int] = {}
    numbers = [
        shared.setdefault((id(claim.landing.origin), claim.landing.request, claim.conflict_of), len(shared) + 1)
        for claim in claims
    ]
    ids = [landing.delivery_id for landing in landings]
    kept = await connection.fetchval(
        _KEEP,
        *_shared([claims[numbers.index(number)] for number in shared.values()]),
        numbers,
        [claim.slot[-_KEY_BYTES:] for claim in claims],
        ids,
        [landing.received_at for landing in landings],
        [landing.headers for landing in landings],
        [landing.body for landing in landings],
        [landing.body_hash for landing in landings],
        now,
    )
    return frozenset() if kept is None else frozenset(ids) - frozenset(kept)


def _shared(claims: Sequence[_Claim]) -> tuple[list[Any], ...]:
    """Return the columns of what claims may have in common, of one claim for each kind."""
    origins = [claim.landing.origin for claim in claims]
    return (
        [origin.workspace_id for origin in origins],
        [origin.source_id for origin in origins],
        [origin.channel for origin in origins],
        [origin.connector for origin in origins],
        [origin.options for origin in origins],
        [claim.landing.request for claim in claims],
        [claim.conflict_of for claim in claims],
    )


async def _look_up(connection: asyncpg.Connection[Any], claims: Sequence[_Claim]) -> dict[bytes, _Owner | Landing]:
    rows = await connection.fetch(
        _OWNERS,
        [claim.landing.origin.workspace_id for claim in claims],
        [claim.landing.origin.source_id for claim in claims],
        [claim.slot[-_KEY_BYTES:] for claim in claims],
    )
    slots = (row["workspace_id"].bytes + row["source_id"].bytes + row["key_hash"] for row in rows)
    return {slot: _Owner(row["delivery_id"], row["body_hash"]) for slot, row in zip(slots, rows, strict=True)}


async def hint(connection: asyncpg.Connection[Any], sources: Iterable[tuple[UUID, UUID]], now: datetime) -> None:
    """Say that sources (workspace, source) have deliveries to post."""
    distinct = sorted(set(sources))
    if distinct:
        await connection.execute(_HINT, [pair[0] for pair in distinct], [pair[1] for pair in distinct], now)
