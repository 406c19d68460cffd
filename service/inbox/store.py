"""The statements that keep deliveries, once each. They run inside the caller's transaction and never commit.

A delivery is known by its key within its source; the ledger of keys decides, never a look before an insert. The same
key with another body is kept as a delivery of its own that points at the first. A distributed database routes by
workspace: the columns of a batch are sorted by it, and by key, so that batches side by side lock in one order.
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

_CLAIM_KEYS = """
insert into delivery_keys (workspace_id, source_id, key_hash, delivery_id, body_hash, received_at)
select * from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::uuid[], $5::bytea[], $6::timestamptz[])
on conflict do nothing
returning workspace_id, source_id, key_hash
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

_INSERT_DELIVERIES = """
insert into deliveries (workspace_id, received_at, delivery_id, source_id, channel, connector, options, headers,
                        request, body, body_hash, conflict_of)
select workspace_id, received_at, delivery_id, source_id, channel, connector, options::jsonb, headers::jsonb,
       request::jsonb, body, body_hash, conflict_of
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bytea[], $11::bytea[], $12::uuid[])
  as given (workspace_id, received_at, delivery_id, source_id, channel, connector, options, headers,
            request, body, body_hash, conflict_of)
"""

_INSERT_QUEUE = """
insert into delivery_queue (workspace_id, source_id, delivery_id, received_at, ready_at)
select *, $5::timestamptz from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
"""

# The row is locked even where it does not change: a worker that is about to delete it waits, and then looks again.
_HINT = """
insert into pending_work (workspace_id, source_id, ready_at)
select *, $3::timestamptz from unnest($1::uuid[], $2::uuid[])
on conflict (workspace_id, source_id) do update set ready_at = least(pending_work.ready_at, excluded.ready_at)
"""

_KEY_BYTES = 16
_TRIES = 3

Slot = tuple[UUID, UUID, bytes]
"""Workspace, source and hash of the key: what is unique about a delivery."""


class Kept(enum.StrEnum):
    """What became of a delivery that was handed in."""

    STORED = "stored"
    DUPLICATE = "duplicate"


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery that holds the bytes, this one or the earlier one; ``conflict_of`` is set for a changed body."""

    delivery_id: UUID
    outcome: Kept
    conflict_of: UUID | None = None


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery about to be kept. ``options``, ``headers`` and ``request`` are JSON texts."""

    workspace_id: UUID
    source_id: UUID
    delivery_id: UUID
    received_at: datetime
    channel: str
    connector: str
    options: str
    headers: str
    request: str
    body: bytes
    body_hash: bytes
    key_hash: bytes

    @property
    def slot(self) -> Slot:
        return self.workspace_id, self.source_id, self.key_hash

    @property
    def rival_slot(self) -> Slot:
        """The slot of this body beside another body with the same key."""
        return self.workspace_id, self.source_id, _short_hash(self.key_hash + self.body_hash)

    def __repr__(self) -> str:
        """Leave the body and the headers out of every log and traceback."""
        return f"Landing({self.delivery_id})"


class _Owner(msgspec.Struct, frozen=True):
    delivery_id: UUID
    body_hash: bytes


def _short_hash(value: bytes) -> bytes:
    # Half a SHA-256: the ledger of keys is large, and a collision would be kept as a changed body, not lost.
    return hashlib.sha256(value).digest()[:_KEY_BYTES]


def key_hash(key: str) -> bytes:
    """Return what the ledger of keys holds for an idempotency key of any text."""
    return _short_hash(key.encode("utf-8", "surrogatepass"))


async def store(connection: asyncpg.Connection[Any], landings: Sequence[Landing], now: datetime) -> list[Landed]:
    """Keep what is new of ``landings`` and return what became of each, in their order.

    One key may come several times. Raises the driver's errors; the caller's transaction is then of no use.
    """
    owners = await _owners(connection, _first(landings, lambda landing: landing.slot))
    rivals = [landing for landing in landings if owners[landing.slot].body_hash != landing.body_hash]
    rival_owners = await _owners(connection, _first(rivals, lambda landing: landing.rival_slot))
    landed = [_landed(landing, owners[landing.slot], rival_owners) for landing in landings]
    fresh = [pair for pair in zip(landings, landed, strict=True) if pair[1].outcome is Kept.STORED]
    if fresh:
        await _insert(connection, sorted(fresh, key=lambda pair: pair[0].slot), now)
    return landed


def _first(landings: Iterable[Landing], slot_of: Any) -> dict[Slot, Landing]:
    first: dict[Slot, Landing] = {}
    for landing in landings:
        first.setdefault(slot_of(landing), landing)
    return first


def _landed(landing: Landing, owner: _Owner, rival_owners: Mapping[Slot, _Owner]) -> Landed:
    rival = rival_owners.get(landing.rival_slot) if owner.body_hash != landing.body_hash else None
    holder = rival or owner
    stored = holder.delivery_id == landing.delivery_id
    return Landed(
        delivery_id=holder.delivery_id,
        outcome=Kept.STORED if stored else Kept.DUPLICATE,
        conflict_of=owner.delivery_id if rival else None,
    )


async def _owners(connection: asyncpg.Connection[Any], wanted: Mapping[Slot, Landing]) -> dict[Slot, _Owner]:
    """Claim slots and return who holds each: the given landing, or the delivery that was there before."""
    found: dict[Slot, _Owner] = {}
    for _ in range(_TRIES):
        slots = sorted(slot for slot in wanted if slot not in found)
        if not slots:
            return found
        columns = [list(column) for column in zip(*slots, strict=True)]
        given = [wanted[slot] for slot in slots]
        claimed = await connection.fetch(
            _CLAIM_KEYS,
            *columns,
            [landing.delivery_id for landing in given],
            [landing.body_hash for landing in given],
            [landing.received_at for landing in given],
        )
        for slot in (tuple(row) for row in claimed):
            found[slot] = _Owner(wanted[slot].delivery_id, wanted[slot].body_hash)
        if len(claimed) < len(slots):
            for row in await connection.fetch(_OWNERS, *columns):
                slot = (row["workspace_id"], row["source_id"], row["key_hash"])
                found[slot] = _Owner(row["delivery_id"], row["body_hash"])
    # A key that is neither free nor visible is being pruned this moment: as any conflict, it is worth another try.
    raise asyncpg.SerializationError("a delivery key is changing hands")


async def _insert(connection: asyncpg.Connection[Any], fresh: Sequence[tuple[Landing, Landed]], now: datetime) -> None:
    landings = [landing for landing, _ in fresh]
    workspaces = [landing.workspace_id for landing in landings]
    received = [landing.received_at for landing in landings]
    ids = [landing.delivery_id for landing in landings]
    source_ids = [landing.source_id for landing in landings]
    await connection.execute(
        _INSERT_DELIVERIES,
        workspaces,
        received,
        ids,
        source_ids,
        [landing.channel for landing in landings],
        [landing.connector for landing in landings],
        [landing.options for landing in landings],
        [landing.headers for landing in landings],
        [landing.request for landing in landings],
        [landing.body for landing in landings],
        [landing.body_hash for landing in landings],
        [outcome.conflict_of for _, outcome in fresh],
    )
    await connection.execute(_INSERT_QUEUE, workspaces, source_ids, ids, received, now)
    await hint(connection, zip(workspaces, source_ids, strict=True), now)


async def hint(connection: asyncpg.Connection[Any], sources: Iterable[tuple[UUID, UUID]], now: datetime) -> None:
    """Say that sources (workspace, source) have deliveries to post."""
    distinct = sorted(set(sources))
    if distinct:
        await connection.execute(_HINT, [pair[0] for pair in distinct], [pair[1] for pair in distinct], now)
