"""The entries behind the contribution of a subject, their deliveries, and what a sum leaves out.

Every function sees the books up to posting ``number``. What postings did to a sum is in ``restatements``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.history.people import FIRSTS
from service.ledger.history.spans import IN_SPAN, Span, bounds, share_of
from service.ledger.restatements import cause_name
from service.ledger.series import Cause, Flag

MAX_ENTRIES = 100
"""Entries listed per subject and metric; the rest is summed."""

_BUCKET = """
(select $3::timestamptz as low, $4::timestamptz as high, $5::date as first_day, $6::date as last_day,
   $7::boolean as openings) b
"""
_JOINS = """
join series s on s.workspace_id = $1 and s.series_id = e.series_id
join postings p on p.workspace_id = $1 and p.batch = e.batch
"""
_COLUMNS = """
e.subject_id, e.valid_from, e.valid_to, e.line, e.sign, e.cause, e.flags, e.observed_at, e.delivery_id, e.received_at,
e.day, e.days, s.source_id, s.currency, p.posting, p.posting_id
"""


def _listed(lines: str) -> str:
    """Return SQL for the first entries of each owner, with the count and the sum of all of its shares."""
    return f"""
    select * from (
      select *, count(*) over (partition by owner) as total, (sum(share) over (partition by owner))::bigint as whole,
        row_number() over (partition by owner order by valid_from, valid_to, posting, line) as place
      from ({lines}) lines
    ) placed where place <= {MAX_ENTRIES} order by owner, place
    """


def _span(span: Span) -> list[Any]:
    return [span.start, span.end, span.first_day, span.last_day, span.openings]


async def summed(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    span: Span,
    metric: str,
    number: int,
) -> list[Any]:
    """Return the entries that a sum is made of, reversals included, each with its share inside the span."""
    lines = f"""
    select {_COLUMNS}, e.subject_id as owner, e.{metric} as delta, ({share_of(metric)})::bigint as share
    from {_BUCKET}
    join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and {IN_SPAN} {_JOINS}
    where s.counted and s.kind in ('lifetime', 'period', 'event') and e.{metric} is not null and p.posting <= $8
      and e.valid_from >= $9 and e.valid_from < $10
    """
    given = [workspace_id, subject_ids, *_span(span), number, *bounds([span])]
    return list(await connection.fetch(_listed(lines), *given))


async def unique(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    span: Span,
    metric: str,
    number: int,
) -> list[Any]:
    """Return the entries behind ``history.people.uniques``: of the window that is the span, else since publication."""
    lines = f"""
    select * from (
      select {_COLUMNS}, e.subject_id as owner, e.{metric} as delta, e.{metric} as share, e.day is not null as windowed,
        coalesce(sum(e.sign) filter (where e.day is not null) over (partition by e.subject_id), 0) > 0 as by_window
      from {_BUCKET}
      join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and (
        case when e.day is not null then e.day = b.first_day and e.day + e.days - 1 = b.last_day
          when e.flags & {Flag.SHORT} <> 0 then e.valid_from = b.low and e.valid_to = b.high
          else e.valid_to <= b.high end) {_JOINS}
      where s.counted and s.kind = 'unique' and s.scope = '' and e.{metric} is not null and p.posting <= $8
        and $7::boolean is not null
    ) said where windowed = by_window
    """
    return list(await connection.fetch(_listed(lines), workspace_id, subject_ids, *_span(span), number))


async def level(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    asked: Sequence[tuple[UUID, UUID, datetime, datetime]],
    metric: str,
    number: int,
) -> list[Any]:
    """Return the entries behind levels of (owner, subject, instant, end): up to the instant, else the first value.

    The first value counts where it stands before ``end``; ``owner`` is whom the level is said of, named once.
    """
    lines = f"""
    select * from (
      select {_COLUMNS}, a.owner, e.{metric} as delta, e.{metric} as share, e.valid_to <= a.at as early,
        coalesce(sum(e.sign) filter (where e.valid_to <= a.at) over (partition by a.owner), 0) > 0 as known
      from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[]) as a (owner, subject_id, at, high)
      join entries e on e.workspace_id = $1 and e.subject_id = a.subject_id
        and (e.valid_to <= a.at or (e.flags & {FIRSTS} <> 0 and e.valid_to <= a.high)) {_JOINS}
      where s.counted and s.kind = 'level' and s.scope = '' and e.{metric} is not null and p.posting <= $6
    ) said where (known and early) or (not known and flags & {FIRSTS} <> 0)
    """
    columns = [list(column) for column in zip(*asked, strict=True)] if asked else [[], [], [], []]
    return list(await connection.fetch(_listed(lines), workspace_id, *columns, number))


_DELIVERIES = """
select g.delivery_id, g.received_at, g.source_id, coalesce(d.connector, c.connector) as connector, d.body_hash,
  o.connector_version
from unnest($2::uuid[], $3::timestamptz[], $4::uuid[]) as g (delivery_id, received_at, source_id)
left join sources c on c.workspace_id = $1 and c.source_id = g.source_id
left join deliveries d on d.workspace_id = $1 and d.received_at = g.received_at and d.delivery_id = g.delivery_id
left join lateral (
  select o.connector_version from delivery_outcomes o
  where o.workspace_id = $1 and o.received_at = g.received_at and o.delivery_id = g.delivery_id and o.posting <= $5
  order by o.turn desc limit 1
) o on true
order by g.delivery_id
"""


async def deliveries(
    connection: asyncpg.Connection[Any], workspace_id: UUID, named: Mapping[UUID, tuple[datetime, UUID]], number: int
) -> list[Any]:
    """Return rows (delivery_id, received_at, source_id, connector, body_hash, connector_version) of deliveries.

    ``named`` gives receipt and source. ``body_hash`` is null where retention took the body; the version is that of
    the newest reading that was posted.
    """
    ids = sorted(named)
    given = [ids, [named[one][0] for one in ids], [named[one][1] for one in ids]]
    return list(await connection.fetch(_DELIVERIES, workspace_id, *given, number)) if ids else []


async def left_out(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    span: Span,
    metrics: Sequence[str],
    number: int,
) -> list[tuple[str, str, int, int]]:
    """Return (reason, metric, subjects, amount in stored units) of what stands in the span and is in no sum.

    Reasons: ``counted_elsewhere`` (a check series), ``history_before_tracking`` (a first value whose growth was not
    tracked), ``before_what_is_kept`` (what was carried before retention took it), ``coarser_source`` (a window that
    reaches over an edge of the span).
    """
    if not subject_ids or not metrics:
        return []
    sums = ", ".join(
        f"coalesce(sum(e.sign) filter (where e.{key} is not null), 0) as sign_{key}, sum(e.{key}) as {key}"
        for key in metrics
    )
    counts = ", ".join(
        f"count(*) filter (where sign_{key} > 0) as sign_{key}, "
        f"coalesce(sum({key}) filter (where sign_{key} > 0), 0)::bigint as {key}"
        for key in metrics
    )
    rows = await connection.fetch(
        f"""
        select reason, {counts} from (
          select e.subject_id, {sums}, case when not s.counted then 'counted_elsewhere'
            when e.cause = {Cause.CARRIED} then 'before_what_is_kept'
            when e.flags & {Flag.OPENING} <> 0 then 'history_before_tracking' else 'coarser_source' end as reason
          from {_BUCKET}
          join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) {_JOINS}
          where s.kind in ('lifetime', 'period', 'event') and p.posting <= $8
            and e.valid_from < b.high and (e.valid_to > b.low or e.valid_from >= b.low)
            and (not s.counted or (e.flags & {Flag.OPENING} <> 0 and not b.openings)
              or (e.day is not null and not {IN_SPAN} and e.day <= coalesce(b.last_day, e.day)
                and e.day + greatest(e.days, 1) - 1 >= coalesce(b.first_day, e.day)))
          group by e.subject_id, reason
        ) found group by reason order by reason
        """,
        workspace_id,
        subject_ids,
        *_span(span),
        number,
    )
    return [(row["reason"], key, row[f"sign_{key}"], row[key]) for row in rows for key in metrics if row[f"sign_{key}"]]


__all__ = ["MAX_ENTRIES", "cause_name", "deliveries", "left_out", "level", "summed", "unique"]
