"""What platforms say against their own numbers, of the windows that lie in spans.

Their words travel with the lines of a window and stand in no tally, so the lines are read, once for all spans: the
caller asks only for subjects and metrics of platforms that say such things at all, which few do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np
import numpy.typing as npt

from connectors.contract import Quality
from service.ledger.history.knowledge import seen
from service.ledger.history.spans import Span, bounds
from service.ledger.series import QUALITY, SAID

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE, _LONG_AGO = 1, -(2**62)
"""A day and an instant before all others."""


class Said(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Words about windows, as columns of one length; windows of a subject between the same edges of spans are one.

    ``subjects`` are places among those that were asked for, ``flags`` the bits of the words, ``about`` tells for each
    metric whether the windows have it. ``first`` and ``last`` are days as ordinals, each as the edge at or before it, 0
    for windows shorter than a day; ``begins`` is so their first instant, in microseconds since 1970.
    """

    subjects: Ints
    flags: Ints
    first: Ints
    last: Ints
    begins: Ints
    about: Mapping[str, Bools]

    def within(self, span: Span) -> Bools:
        """Return which windows count in a span."""
        if span.openings:
            return np.ones(len(self.subjects), dtype=np.bool_)
        low, high = _microseconds(span.start), _microseconds(span.end)
        short: Bools = (self.first == 0) & (self.begins >= low) & (self.begins < high)
        if span.first_day is None or span.last_day is None:
            return short
        days: Bools = (self.first >= span.first_day.toordinal()) & (self.last <= span.last_day.toordinal())
        held: Bools = short | (days & (self.first > 0))
        return held


@lru_cache(maxsize=64)
def _said(metrics: tuple[str, ...], *, seen_all: bool) -> str:
    """Return SQL for one row of columns over the lines that stand; null where none does.

    Windows of a subject that lie between the same edges are one: $6 are the days at which spans begin and end, $7 the
    instants. An array of subjects that the planner sees is weighed one by one in every partition.
    """
    standing = ", ".join(
        f"coalesce(sum(e.sign) filter (where e.{metric} is not null), 0) > 0 as {metric}" for metric in metrics
    )
    either = ", ".join(f"bool_or({metric}) as {metric}" for metric in metrics)
    columns = ", ".join(
        f"array_agg({name}) as {name}" for name in ("subject_id", "flags", "first", "last", "begins", *metrics)
    )
    return f"""
    select {columns} from (
      select subject_id, flags, coalesce(width_bucket(day, $6::date[]), -1) as first,
        coalesce(width_bucket(day + greatest(days, 1) - 1, $6::date[]), -1) as last,
        case when day is null then width_bucket(valid_from, $7::timestamptz[]) else 0 end as begins, {either}
      from (
        select e.subject_id, e.valid_from, e.flags & {SAID} as flags, e.day, e.days, {standing}
        from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where e.workspace_id = $1 and e.subject_id = any((select $2::uuid[])::uuid[]) and e.flags & {SAID} <> 0
          and e.valid_from >= $3 and e.valid_from < $4 and s.counted and s.kind in ('lifetime', 'period', 'event')
          and {seen(None if seen_all else 0, 5)}
        group by e.subject_id, e.series_id, e.valid_from, e.valid_to, e.flags, e.day, e.days
      ) line where {" or ".join(metrics)}
      group by 1, 2, 3, 4, 5
    ) standing
    """


async def said(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    metrics: Sequence[str],
    number: int | None,
) -> Said | None:
    """Return what is said of windows around spans, as known at posting ``number`` (None: now); None for nothing."""
    if not subject_ids or not spans or not metrics:
        return None
    low, high = bounds(spans)
    days, instants = _edges(spans)
    query = _said(tuple(metrics), seen_all=number is None)
    row = await connection.fetchrow(query, workspace_id, subject_ids, low, high, number, days, instants)
    if row is None or row["subject_id"] is None:
        return None
    places = {subject_id: place for place, subject_id in enumerate(subject_ids)}
    ordinals = np.array([_BEFORE, *(day.toordinal() for day in days), 0], dtype=np.int64)
    begins = np.array([_LONG_AGO, *(_microseconds(at) for at in instants)], dtype=np.int64)
    return Said(
        subjects=np.array([places[subject_id] for subject_id in row["subject_id"]], dtype=np.int64),
        flags=np.array(row["flags"], dtype=np.int64),
        first=ordinals[np.array(row["first"], dtype=np.int64)],
        last=ordinals[np.array(row["last"], dtype=np.int64)],
        begins=begins[np.array(row["begins"], dtype=np.int64)],
        about={metric: np.array(row[metric], dtype=np.bool_) for metric in metrics},
    )


def _edges(spans: Sequence[Span]) -> tuple[list[date], list[datetime]]:
    """Return the days and the instants at which spans begin, and those at which they are over."""
    bounded = [span for span in spans if not span.openings]
    days = {span.first_day for span in bounded if span.first_day}
    days |= {span.last_day + timedelta(days=1) for span in bounded if span.last_day}
    return sorted(days), sorted({edge for span in bounded for edge in (span.start, span.end)})


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def qualities(flags: int) -> Iterator[Quality]:
    """Yield what the flags of a line say against its numbers."""
    return (quality for quality, bit in QUALITY.items() if flags & bit)
