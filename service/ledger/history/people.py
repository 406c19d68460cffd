"""What is never summed: levels at instants, and distinct people in a window or since publication.

Lines that hold them have an index of their own. Arrays of subjects are hidden from the planner, which would weigh them
subject by subject in every partition, and then read the lines of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger.history.knowledge import of_paid, seen
from service.ledger.history.spans import Span, edges_of
from service.ledger.series import Flag

FIRSTS = Flag.OPENING | Flag.FIRST


class Level(msgspec.Struct, frozen=True):
    """A level at the end of a range and at its start (or its first value inside, where it was first seen there)."""

    end: int | None
    start: int | None


async def levels(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    metric: str,
    spans: Sequence[Span],
    number: int | None,
    paid: int | None = None,
) -> dict[tuple[int, UUID], Level]:
    """Return a level metric of subjects at the edges of spans, by number of the span and subject.

    A span with openings has no start.
    """
    if not subject_ids or not spans:
        return {}
    rows = await connection.fetch(
        f"""
        select b.number, e.subject_id,
          sum(e.{metric}) filter (where e.valid_to <= b.high)::bigint as at_end,
          sum(e.{metric}) filter (where e.valid_to <= b.low)::bigint as at_start,
          sum(e.{metric}) filter (where e.valid_to <= b.high and e.flags & {FIRSTS} <> 0)::bigint as first,
          coalesce(sum(e.sign) filter (where e.valid_to <= b.high), 0) as known_end,
          coalesce(sum(e.sign) filter (where e.valid_to <= b.low), 0) as known_start
        from unnest($3::integer[], $4::timestamptz[], $5::timestamptz[]) as b (number, low, high)
        join entries e on e.workspace_id = $1 and e.subject_id = any((select $2::uuid[])::uuid[])
          and e.{metric} is not null
        join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where s.counted and s.kind = 'level' and s.scope = '' and {of_paid(paid)} and {seen(number, 6)}
        group by b.number, e.subject_id
        """,
        workspace_id,
        subject_ids,
        [span.number for span in spans],
        [None if span.openings else span.start for span in spans],
        [span.end for span in spans],
        number,
    )
    return {
        (row["number"], row["subject_id"]): Level(
            row["at_end"] if row["known_end"] > 0 else None,
            row["at_start"] if row["known_start"] > 0 else row["first"] if row["known_end"] > 0 else None,
        )
        for row in rows
    }


async def levels_at(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    asked: Sequence[tuple[str, str, datetime]],
    number: int | None,
) -> dict[tuple[str, str, datetime], int]:
    """Return the followers of profiles (platform, external id) at instants; before the first reading, that reading."""
    if not asked:
        return {}
    rows = await connection.fetch(
        f"""
        select a.platform, a.external_id, a.at,
          sum(e.followers) filter (where e.valid_to <= a.at)::bigint as then,
          coalesce(sum(e.sign) filter (where e.valid_to <= a.at), 0) as known,
          sum(e.followers) filter (where e.flags & {FIRSTS} <> 0)::bigint as first
        from unnest($2::text[], $3::text[], $4::timestamptz[]) as a (platform, external_id, at)
        join subjects p on p.workspace_id = $1 and p.platform = a.platform and p.external_id = a.external_id
        join entries e on e.workspace_id = $1 and e.subject_id = p.subject_id and e.followers is not null
        join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where s.counted and s.kind = 'level' and s.scope = '' and {seen(number, 5)}
        group by a.platform, a.external_id, a.at
        """,
        workspace_id,
        [platform for platform, _, _ in asked],
        [external_id for _, external_id, _ in asked],
        [at for _, _, at in asked],
        number,
    )
    return {
        (row["platform"], row["external_id"], row["at"]): value
        for row in rows
        if (value := row["then"] if row["known"] > 0 else row["first"]) is not None
    }


async def uniques(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    number: int | None,
    paid: int | None = None,
) -> dict[tuple[int, UUID], int]:
    """Return the reach of subjects per span: since publication at the span's end, or of a window equal to the span.

    The value since publication is returned for every span; whether it speaks for the span is the caller's to judge.
    Windows win over it.
    """
    if not subject_ids or not spans:
        return {}
    rows = await connection.fetch(
        f"""
        select b.number, e.subject_id, e.day is not null as windowed,
          sum(e.reach)::bigint as reach, sum(e.sign) as known
        from unnest($3::integer[], $4::timestamptz[], $5::timestamptz[], $6::date[], $7::date[])
          as b (number, low, high, first_day, last_day)
        join entries e on e.workspace_id = $1 and e.subject_id = any((select $2::uuid[])::uuid[])
          and e.reach is not null and (
          case when e.day is not null then e.day = b.first_day and e.day + e.days - 1 = b.last_day
            when e.flags & {Flag.SHORT} <> 0 then e.valid_from = b.low and e.valid_to = b.high
            else e.valid_to <= b.high end)
        join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where s.counted and s.kind = 'unique' and s.scope = '' and {of_paid(paid)} and {seen(number, 8)}
        group by b.number, e.subject_id, e.day is not null
        having sum(e.sign) > 0
        order by windowed
        """,
        workspace_id,
        subject_ids,
        *edges_of(spans),
        number,
    )
    return {(row["number"], row["subject_id"]): row["reach"] for row in rows}
