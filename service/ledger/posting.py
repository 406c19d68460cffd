"""Postings: how a transaction becomes a numbered, dated page of a workspace's books.

A posting is opened first (its ``batch`` is the key its lines carry) and closed last: closing locks the workspace's
``books`` row, takes the next number and a time after the last one. Commit order is number order, so a posting that is
visible is complete. The keys of postings that follow each other, as those of a source do, ascend (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.db.engine import driver
from service.ledger.series import MICROSECOND
from service.ledger.touches import Touches

# Postings share the workspace; whoever changes which subjects count where has it alone.
_SHARE = "select kept_from from workspaces where workspace_id = $1 for key share"
_ALONE = "select kept_from from workspaces where workspace_id = $1 for update"
# A statement of its own: one that waited for the lock would see the books of before.
_RECORDED = "select recorded_at from books where workspace_id = $1"

_NUMBER = """
update books set posting = posting + 1, recorded_at = greatest($2, recorded_at + interval '1 microsecond')
where workspace_id = $1 returning posting, recorded_at
"""
# Under the lock of the number, so that the rows of campaigns are written in the order of numbers too.
_WRITE = """
with written as (
  insert into postings (workspace_id, posting, posting_id, batch, recorded_at, cause, source_id, deliveries, entries,
    touches)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, true)
), touched as (
  insert into running_touches (workspace_id, campaign_id, posting, first_day, openings, moved)
  select $1, t.campaign_id, $2, t.first_day, t.openings, t.moved
  from unnest($11::uuid[], $12::date[], $13::boolean[], $14::bytea[]) as t (campaign_id, first_day, openings, moved)
  join running_sums r on r.workspace_id = $1 and r.campaign_id = t.campaign_id
)
insert into campaign_postings (workspace_id, campaign_id, posting, recorded_at)
select $1, campaign_id, $2, $5 from unnest($10::uuid[]) as campaign_id
on conflict (workspace_id, campaign_id) do update set posting = excluded.posting, recorded_at = excluded.recorded_at
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = UUID(int=0)
"""In place of a campaign: all of the workspace."""


class RetryExclusive(Exception):  # noqa: N818 - an instruction to the caller, not a fault
    """The posting must have the workspace alone (it moves a known subject between campaigns): roll back, run again."""


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """An open posting: the key that its lines carry until it has a number.

    Nothing is written before ``kept_from``: retention takes it, or has taken it. ``touches`` is what it changes of
    running sums, noted by whoever writes tallies. It is recorded at ``opened_at`` or later.
    """

    workspace_id: UUID
    posting_id: UUID
    batch: int
    cause: str
    opened_at: datetime
    source_id: UUID | None = None
    kept_from: datetime | None = None
    touches: Touches = msgspec.field(default_factory=Touches)


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A closed posting: its number and its time of record."""

    number: int
    recorded_at: datetime


async def open_posting(
    connection: AsyncConnection,
    workspace_id: UUID,
    context: Context,
    *,
    cause: str,
    source_id: UUID | None = None,
    exclusive: bool = False,
) -> Posting:
    """Open a posting in a workspace transaction; ``exclusive`` waits until no other one is open and keeps them out."""
    raw = await driver(connection)
    kept_from = await raw.fetchval(_ALONE if exclusive else _SHARE, workspace_id)
    recorded_at: datetime = await raw.fetchval(_RECORDED, workspace_id)
    # After every posting that is there, whosever clock runs behind.
    opened_at = max(context.now(), recorded_at + MICROSECOND)
    return Posting(
        workspace_id=workspace_id,
        posting_id=context.new_id(),
        batch=_key(opened_at, context.token(3)),
        cause=cause,
        opened_at=opened_at,
        source_id=source_id,
        kept_from=kept_from,
    )


def _key(at: datetime, token: bytes) -> int:
    """Return a batch key: milliseconds, then microseconds in ten bits and twelve random ones."""
    milliseconds, microseconds = divmod((at - _EPOCH) // MICROSECOND, 1000)
    return milliseconds << 22 | microseconds << 12 | int.from_bytes(token, "big") >> 12


async def close_posting(
    connection: AsyncConnection,
    posting: Posting,
    context: Context,
    *,
    deliveries: int = 0,
    entries: int = 0,
    shaped: Iterable[UUID] = (EVERY,),
) -> Posted:
    """Number and date a posting; the last statement of its transaction.

    ``shaped`` are the campaigns whose answers it may change: who does not know says nothing, which is all of them.
    """
    raw = await driver(connection)
    number, recorded_at = await raw.fetchrow(_NUMBER, posting.workspace_id, max(context.now(), posting.opened_at))
    await raw.execute(
        _WRITE,
        posting.workspace_id,
        number,
        posting.posting_id,
        posting.batch,
        recorded_at,
        posting.cause,
        posting.source_id,
        deliveries,
        entries,
        sorted(shaped),
        *posting.touches.columns(),
    )
    return Posted(number=number, recorded_at=recorded_at)
