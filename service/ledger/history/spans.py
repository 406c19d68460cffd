"""Buckets of a grid, and which entries count in one, whole or in part: sums cut from the entries themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger.history.knowledge import of_paid, seen
from service.ledger.series import Flag

EARLIEST = datetime.fromisoformat("1900-01-01T00:00:00+00:00")
_FIRST_YEAR = 2025


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of a grid: instants ``[start, end)`` and the local days it holds whole (None: it holds no whole day).

    ``openings``: first values without known history count too, as they do in the range ``lifetime``.
    """

    number: int
    start: datetime
    end: datetime
    first_day: date | None
    last_day: date | None
    openings: bool = False

    def holds(self, first: date, last: date) -> bool:
        """Tell whether it holds these days whole."""
        if self.first_day is None or self.last_day is None:
            return False
        return self.first_day <= first and last <= self.last_day


def edges_of(spans: Sequence[Span]) -> tuple[list[Any], ...]:
    """Return spans as the columns number, low, high, first_day and last_day of a statement."""
    rows = ((span.number, span.start, span.end, span.first_day, span.last_day) for span in spans)
    return tuple(list(column) for column in zip(*rows, strict=True))


def bounds(spans: Sequence[Span]) -> tuple[datetime, datetime]:
    """Return between which instants the entries of spans begin.

    Source days may begin before their label's day does in UTC; a lifetime entry begins in the month it is cut to.
    """
    low = min(span.start for span in spans).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    high = max(span.end for span in spans) + timedelta(days=2)
    return (EARLIEST if low.year < _FIRST_YEAR else low - timedelta(days=2)), high


IN_SPAN = f"""(
      case when e.flags & {Flag.OPENING} <> 0 then b.openings
        when e.day is not null then e.day >= b.first_day and e.day + greatest(e.days, 1) - 1 <= b.last_day
        when e.flags & {Flag.SHORT} <> 0 or e.valid_from = e.valid_to
          then e.valid_from >= b.low and e.valid_from < b.high
        else e.valid_from < b.high and e.valid_to > b.low end)"""
"""SQL: an entry ``e`` counts in a bucket ``b`` (low, high, first_day, last_day, openings), in whole or in part."""

_MICROS = "(extract(epoch from {0}) * 1000000)"


def share_of(metric: str) -> str:
    """Return SQL for R(end) - R(start) of a metric in a bucket, in whole numbers as ``series.share`` has it."""
    span = _MICROS.format("(e.valid_to - e.valid_from)")

    def before(edge: str) -> str:
        elapsed = _MICROS.format(f"({edge} - e.valid_from)")
        part = f"div(abs(e.{metric})::numeric * {elapsed} + {span} - 1, {span})"
        return (
            f"(case when {edge} <= e.valid_from then 0 when {edge} >= e.valid_to then e.{metric} "
            f"else (sign(e.{metric}) * {part})::bigint end)"
        )

    whole = "e.day is not null or (e.valid_from >= b.low and e.valid_to <= b.high) or e.flags & 32 <> 0"
    return f"case when {whole} then e.{metric} else {before('b.high')} - {before('b.low')} end"


@lru_cache(maxsize=512)
def _cut_sums(metrics: tuple[str, ...], *, seen_all: bool, paid: int | None) -> str:
    sums = ", ".join(
        f"case when sum(e.sign) filter (where e.{metric} is not null) > 0 "
        f"then sum({share_of(metric)})::bigint end as {metric}"
        for metric in metrics
    )
    any_metric = " or ".join(f"e.{metric} is not null" for metric in metrics)
    return f"""
    select b.number, e.subject_id, s.currency, {sums}
    from unnest($3::integer[], $4::timestamptz[], $5::timestamptz[], $6::date[], $7::date[], $9::boolean[])
      as b (number, low, high, first_day, last_day, openings)
    join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and {IN_SPAN}
    join series s on s.workspace_id = $1 and s.series_id = e.series_id
    where s.counted and s.kind in ('lifetime', 'period', 'event') and ({any_metric}) and {of_paid(paid)}
      and {seen(None if seen_all else 0, 8)} and e.valid_from < $10 and e.valid_from >= $11
    group by b.number, e.subject_id, s.currency
    """


async def cut_sums(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    metrics: Sequence[str],
    number: int | None,
    paid: int | None = None,
) -> list[Any]:
    """Return rows (number of the span, subject_id, currency, one column per metric) cut from the entries themselves.

    ``paid`` narrows them to what was paid (1), organic (0) or not said (-1).
    """
    if not subject_ids or not spans or not metrics:
        return []
    low, high = bounds(spans)
    rows: list[Any] = await connection.fetch(
        _cut_sums(tuple(metrics), seen_all=number is None, paid=paid),
        workspace_id,
        subject_ids,
        *edges_of(spans),
        number,
        [span.openings for span in spans],
        high,
        low,
    )
    return rows
