"""Falls below a tenth that have neither recovered nor been confirmed: what they touch is withheld.

An index holds the flagged entries alone, so that to find none costs next to nothing. Of a fall whose month retention
took, a note stands that it was open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.edges import FIRST_MONTH, stretch_start
from service.ledger.history.knowledge import seen
from service.ledger.series import Flag
from service.ledger.verdicts import doubts, unsettled

Range = tuple[datetime, datetime]

_SUSPECT = f"""
e.workspace_id = $1 and e.flags & {Flag.SUSPECT} <> 0 and e.valid_to > $3 and e.valid_from < $4 and e.valid_from >= $5
"""
# An array that the planner sees is weighed subject by subject in every partition, which took a hundred times as long as
# the look itself.
_FLAGGED = f"e.subject_id = any((select $2::uuid[])::uuid[]) and {_SUSPECT}"
# The planner takes nearly every line to be flagged. Asked whether there is one, it would look for it in the heap.
_OF_SOME = f"select array_agg(distinct e.subject_id) from entries e where {_FLAGGED}"
MANY = 500
"""So many subjects are not asked for one by one: all that lie between them are looked at, few of which are flagged."""
# Between two ids that the planner does not see: it takes them to hold few lines, and goes by the index.
_BETWEEN = f"""
select array_agg(distinct e.subject_id) from entries e
where e.subject_id between (select $2::uuid[])[1] and (select $2::uuid[])[2] and {_SUSPECT}
"""


@lru_cache(maxsize=512)
def _open(columns: tuple[str, ...], *, seen_all: bool) -> str:
    """Return SQL for one row: whether what a fall took is still missing, for each metric.

    It is, where all that came after in its series does not make up for it.
    """
    number = None if seen_all else 0
    visible, said = seen(number, 6), seen(number, 6, "r")
    fell = ", ".join(f"sum(e.{key}) filter (where {unsettled(key, said)}) as {key}" for key in columns)
    grew = ", ".join(f"sum(e.{key}) as {key}" for key in columns)
    missing = ", ".join(f"coalesce(bool_or(fall.{key} + coalesce(later.{key}, 0) < 0), false)" for key in columns)
    return f"""
    select {missing}
    from (
      select e.subject_id, e.series_id, e.valid_to, {fell}
      from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
      where {_FLAGGED} and s.counted and {visible}
      group by e.subject_id, e.series_id, e.valid_to having sum(e.sign) > 0
    ) fall
    cross join lateral (
      select {grew} from entries e
      where e.workspace_id = $1 and e.subject_id = fall.subject_id and e.series_id = fall.series_id
        and e.valid_to > fall.valid_to and e.valid_from >= $5 and e.flags & {Flag.RESET} = 0 and {visible}
    ) later
    """


async def open_falls(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    columns: Sequence[str],
    ranges: Sequence[Range],
    number: int | None,
) -> list[frozenset[str]]:
    """Return for each range the metrics with a fall inside it that is still open."""
    none: frozenset[str] = frozenset()
    if not subject_ids or not columns or not ranges:
        return [none] * len(ranges)
    widest = (min(start for start, _ in ranges), max(end for _, end in ranges))
    before = await _doubted(connection, workspace_id, subject_ids, number) if widest[0] < FIRST_MONTH else none
    flagged = await _flagged(connection, workspace_id, subject_ids, widest)
    if not flagged:
        return [before & frozenset(columns) if start < FIRST_MONTH else none for start, _ in ranges]
    found = []
    for stretch in ranges:
        row = await connection.fetchrow(
            _open(tuple(columns), seen_all=number is None), *_given(workspace_id, flagged, stretch), number
        )
        taken = before if stretch[0] < FIRST_MONTH else none
        found.append(frozenset(key for key, missing in zip(columns, row, strict=True) if missing or key in taken))
    return found


async def _flagged(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID], widest: Range
) -> Sequence[UUID]:
    """Return the subjects with a flagged line in a range."""
    if len(subject_ids) <= MANY:
        return await connection.fetchval(_OF_SOME, *_given(workspace_id, subject_ids, widest)) or ()
    ends = [min(subject_ids), max(subject_ids)]
    found = await connection.fetchval(_BETWEEN, *_given(workspace_id, ends, widest)) or ()
    return sorted(set(found).intersection(subject_ids))


async def _doubted(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID], number: int | None
) -> frozenset[str]:
    """Return the metrics of which retention took a fall that was open and has not been made up for since."""
    found = set()
    for doubt in await doubts(connection, workspace_id, subject_ids, number):
        given = (workspace_id, doubt.subject_id, doubt.series_id, doubt.edge, number)
        if await connection.fetchval(_grown(doubt.metric, seen_all=number is None), *given) < doubt.missing:
            found.add(doubt.metric)
    return frozenset(found)


@lru_cache(maxsize=64)
def _grown(metric: str, *, seen_all: bool) -> str:
    return f"""
    select coalesce(sum(e.{metric}), 0)::bigint from entries e
    where e.workspace_id = $1 and e.subject_id = $2 and e.series_id = $3 and e.valid_from >= $4 and e.valid_to > $4
      and e.flags & {Flag.RESET} = 0 and {seen(None if seen_all else 0, 5)}
    """


def _given(workspace_id: UUID, subject_ids: Sequence[UUID], stretch: Range) -> tuple[Any, ...]:
    """Return the parameters of a range; a line lies in one partition, and so begins no earlier than that does."""
    start, end = stretch
    return workspace_id, subject_ids, start, end, stretch_start(start)
