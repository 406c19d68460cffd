"""What must be said of sums that are cut from the entries: where they are interpolated, and what whole days hold.

What tallies say of theirs is in ``service.reports.tallies``; both say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger.edges import stretch_start
from service.ledger.history.knowledge import of_paid, seen
from service.ledger.history.spans import EARLIEST, Span
from service.ledger.series import Flag, metrics_of

_UNCUT = Flag.OPENING | Flag.SHORT
_NONE: frozenset[str] = frozenset()


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What must be said of sums over spans: metrics cut inside a line, metrics that windows of whole days hold, those
    among them whose windows fit no bucket, and the zones of these days.
    """

    interpolated: frozenset[str] = _NONE
    windowed: frozenset[str] = _NONE
    coarse: frozenset[str] = _NONE
    source_zones: frozenset[str] = _NONE


@lru_cache(maxsize=512)
def _marks(columns: tuple[str, ...], *, seen_all: bool, labelled: bool, paid: int | None) -> str:
    """Return SQL for rows (zone, cut_m, windowed_m, coarse_m for each metric) over the lines that stand.

    A window is inside by the labels of its days, where any span holds a whole day; else by its instants. A piece that
    goes on from a month before (``Flag.LEFT``) is cut by the edge at which it begins.
    """
    sums = ", ".join(f"coalesce(sum(e.sign) filter (where e.{key} is not null), 0) > 0 as {key}" for key in columns)
    asked = ", ".join(
        f"bool_or({key} and cut) as cut_{key}, bool_or({key} and day is not null) as windowed_{key}, "
        f"bool_or({key} and day is not null and not held) as coarse_{key}"
        for key in columns
    )
    instants = "" if labelled else "and e.valid_from < $4 and e.valid_to > $3"
    return f"""
    select zone, {asked} from (
      select *,
        day is null and flags & {_UNCUT} = 0 and exists (
          select from unnest($5::timestamptz[]) x (at) where x.at < valid_to
            and (x.at > valid_from or (x.at = valid_from and flags & {Flag.LEFT} <> 0))) as cut,
        exists (select from unnest($6::date[], $7::date[]) b (first, last)
          where day >= b.first and day + greatest(days, 1) - 1 <= b.last) as held
      from (
        select s.zone, e.valid_from, e.valid_to, e.flags, e.day, e.days, {sums}
        from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and s.counted
          and s.kind in ('lifetime', 'period', 'event') and {of_paid(paid)}
          and e.valid_from >= $10 and {seen(None if seen_all else 0, 11)}
          and case when e.day is null then e.valid_from <= $4 and e.valid_to > $3
            else e.day <= $9 and e.day + greatest(e.days, 1) - 1 >= $8 {instants} end
        group by s.zone, e.subject_id, e.series_id, e.valid_from, e.valid_to, e.flags, e.day, e.days,
          e.observed_at, e.delivery_id
      ) standing
    ) marked
    group by zone
    """


async def marks(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    columns: Sequence[str],
    number: int | None,
    longest: int,
    paid: int | None = None,
) -> Marks:
    """Return the marks of sums over spans; ``longest`` is how many days a window of the subjects may have."""
    if not subject_ids or not spans or not columns:
        return Marks()
    grid = [span for span in spans if span.number >= 0] or spans
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    first = min((span.first_day for span in spans if span.first_day), default=None)
    last = max((span.last_day for span in spans if span.last_day), default=None)
    low = EARLIEST if start <= EARLIEST else min(stretch_start(start), start - timedelta(days=longest + 2))
    rows = await connection.fetch(
        _marks(tuple(columns), seen_all=number is None, labelled=first is not None, paid=paid),
        workspace_id,
        subject_ids,
        start,
        end,
        sorted({edge for span in spans for edge in (span.start, span.end)}),
        [span.first_day for span in grid],
        [span.last_day for span in grid],
        first or date.min,
        last or date.max,
        low,
        number,
    )

    def marked(mark: str) -> frozenset[str]:
        return frozenset(key for key in columns if any(row[f"{mark}_{key}"] for row in rows))

    windowed = marked("windowed")
    return Marks(
        interpolated=marked("cut"),
        windowed=windowed,
        coarse=marked("coarse"),
        source_zones=frozenset(row["zone"] for row in rows if any(row[f"windowed_{key}"] for key in windowed)),
    )


async def cut_at(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    at: datetime,
    columns: Sequence[str],
    paid: int | None = None,
) -> frozenset[str]:
    """Return the metrics of which a line goes on over an instant."""
    point = Span(number=0, start=at, end=at, first_day=None, last_day=None)
    return (await marks(connection, workspace_id, subject_ids, [point], columns, None, 1, paid)).interpolated


def carried_metrics(bits: int) -> frozenset[str]:
    """Return the metrics of the bits of a tally."""
    return frozenset(metrics_of(bits))
