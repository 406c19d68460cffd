"""Who bought, when, and how late conversions come to be known: as they stood at a posting. Persons are keyed hashes.

No hash leaves this module but as a number that is good for one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger.history.knowledge import seen

MOST = 100_000
"""Orders of one question at most."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order of a customer. ``credited`` to the subjects that were asked for; ``first`` is what its sender says."""

    customer: int
    at: datetime
    first: bool | None
    credited: bool


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion that a click led to: when the click was, and when the conversion was first known."""

    clicked: datetime
    converted: datetime
    known: datetime
    subject_id: UUID


def _stood(number: int | None, place: int) -> str:
    return (
        f"c.sign = 1 and not c.cancelled and {seen(number, place, 'c')} and not exists (select from conversions n "
        f"where n.workspace_id = $1 and n.event_key = c.event_key and n.sign = 1 and n.version > c.version "
        f"and {seen(number, place, 'n')})"
    )


async def orders(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    start: datetime,
    end: datetime,
    number: int | None,
) -> list[Order] | None:
    """Return every order of the customers who have one in ``[start, end)`` that is credited to one of the subjects.

    None where there are too many.
    """
    rows = await connection.fetch(
        f"""
        with mine as materialized (
          select c.customer, c.event_key from conversions c
          join credits r on r.workspace_id = $1 and r.event_key = c.event_key and r.version = c.version
          where c.workspace_id = $1 and c.kind = 'order' and c.customer is not null and c.at >= $3 and c.at < $4
            and r.subject_id = any($2::uuid[]) and {_stood(number, 5)}
        )
        select dense_rank() over (order by c.customer) as customer, c.at, c.first_order,
          c.event_key in (select event_key from mine) as credited
        from conversions c
        where c.workspace_id = $1 and c.kind = 'order' and c.customer in (select customer from mine)
          and {_stood(number, 5)}
        order by c.customer, c.at, c.event_key limit {MOST + 1}
        """,
        workspace_id,
        subject_ids,
        start,
        end,
        number,
    )
    if len(rows) > MOST:
        return None
    return [
        Order(customer=row["customer"], at=row["at"], first=row["first_order"], credited=row["credited"])
        for row in rows
    ]


async def unnamed(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    start: datetime,
    end: datetime,
    number: int | None,
) -> int:
    """Return how many credited orders name no customer."""
    found: int = await connection.fetchval(
        f"""
        select count(distinct c.event_key) from conversions c
        join credits r on r.workspace_id = $1 and r.event_key = c.event_key and r.version = c.version
        where c.workspace_id = $1 and c.kind = 'order' and c.customer is null and c.at >= $3 and c.at < $4
          and r.subject_id = any($2::uuid[]) and {_stood(number, 5)}
        """,
        workspace_id,
        subject_ids,
        start,
        end,
        number,
    )
    return found


async def lags(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID] | None,
    start: datetime,
    end: datetime,
    number: int | None,
) -> list[Lag] | None:
    """Return the conversions that clicks of ``[start, end)`` led to, on some subjects or (None) anywhere.

    When it was known is the posting of its first version. None where there are too many.
    """
    rows = await connection.fetch(
        f"""
        select t.at as clicked, c.at as converted, r.subject_id, (
          select min(p.recorded_at) from conversions o
          join postings p on p.workspace_id = $1 and p.batch = o.batch
          where o.workspace_id = $1 and o.event_key = c.event_key
        ) as known
        from conversions c
        join credits r on r.workspace_id = $1 and r.event_key = c.event_key and r.version = c.version
        join lateral (
          select t.at, t.kind from touchpoints t where t.workspace_id = $1 and t.event_key = r.touch and t.sign = 1
            and {seen(number, 5, "t")} order by t.version desc limit 1
        ) t on t.kind = 'click'
        where c.workspace_id = $1 and c.kind in ('order', 'conversion') and t.at >= $3 and t.at < $4
          and ($2::uuid[] is null or r.subject_id = any($2::uuid[])) and c.at >= $3 and {_stood(number, 5)}
        limit {MOST + 1}
        """,
        workspace_id,
        subject_ids,
        start,
        end,
        number,
    )
    return None if len(rows) > MOST else [Lag(**dict(row)) for row in rows]
