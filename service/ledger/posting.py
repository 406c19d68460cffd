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
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.ledger.series import MICROSECOND
from service.ledger.touches import Touches

# Postings share the workspace; whoever changes which subjects count where has it alone.
_SHARE = sa.text("select kept_from from workspaces where workspace_id = :workspace for key share")
_ALONE = sa.text("select kept_from from workspaces where workspace_id = :workspace for update")
# A statement of its own: one that waited for the lock would see the books of before.
_RECORDED = sa.text("select recorded_at from books where workspace_id = :workspace")

_NUMBER = sa.text("""
update books set posting = posting + 1, recorded_at = greatest(:now, recorded_at + interval '1 microsecond')
where workspace_id = :workspace returning posting, recorded_at
""")
# Under the lock of the number, so that the rows of campaigns are written in the order of numbers too.
_WRITE = sa.text("""
with written as (
  insert into postings (workspace_id, posting, posting_id, batch, recorded_at, cause, source_id, deliveries, entries,
    touches)
  values (:workspace, :number, :posting_id, :batch, :recorded_at, :cause, :source, :deliveries, :entries, true)
), touched as (
  insert into running_touches (workspace_id, campaign_id, posting, first_day, openings, moved)
  select :workspace, t.campaign_id, :number, t.first_day, t.openings, t.moved
  from unnest(cast(:touched as uuid[]), cast(:days as date[]), cast(:openings as boolean[]), cast(:moved as bytea[]))
    as t (campaign_id, first_day, openings, moved)
  join running_sums r on r.workspace_id = :workspace and r.campaign_id = t.campaign_id
)
insert into campaign_postings (workspace_id, campaign_id, posting, recorded_at)
select :workspace, campaign_id, :number, :recorded_at from unnest(cast(:shaped as uuid[])) as campaign_id
on conflict (workspace_id, campaign_id) do update set posting = excluded.posting, recorded_at = excluded.recorded_at
""")
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
    kept_from = await connection.scalar(_ALONE if exclusive else _SHARE, {"workspace": workspace_id})
    recorded_at: datetime = (await connection.execute(_RECORDED, {"workspace": workspace_id})).scalar_one()
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
    touched, first_days, openings, moved = posting.touches.columns()
    now = max(context.now(), posting.opened_at)
    row = (await connection.execute(_NUMBER, {"workspace": posting.workspace_id, "now": now})).one()
    values = {
        "workspace": posting.workspace_id,
        "number": row.posting,
        "posting_id": posting.posting_id,
        "batch": posting.batch,
        "recorded_at": row.recorded_at,
        "cause": posting.cause,
        "source": posting.source_id,
        "deliveries": deliveries,
        "entries": entries,
        "shaped": sorted(shaped),
        "touched": touched,
        "days": first_days,
        "openings": openings,
        "moved": moved,
    }
    await connection.execute(_WRITE, values)
    return Posted(number=row.posting, recorded_at=row.recorded_at)
