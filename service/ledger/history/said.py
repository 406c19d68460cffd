"""What platforms say against their own numbers, of the windows that lie in spans.

Their words travel with the lines of a window and stand in no tally, so the lines are read, once for all spans: the
caller asks only for subjects and metrics of platforms that say such things at all, which few do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
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
_MICROS = 1_000_000


class Said(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Words about windows, as columns of one length.

    ``subjects`` are places among those that were asked for, ``flags`` the bits of the words, ``about`` tells for each
    metric whether the window has it. ``first`` and ``last`` are days as ordinals, 0 for a window shorter than a day;
    ``begins`` is its first instant, in microseconds since 1970.
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
        low, high = (int(edge.timestamp()) * _MICROS for edge in (span.start, span.end))
        short: Bools = (self.first == 0) & (self.begins >= low) & (self.begins < high)
        if span.first_day is None or span.last_day is None:
            return short
        days: Bools = (self.first >= span.first_day.toordinal()) & (self.last <= span.last_day.toordinal())
        held: Bools = short | (days & (self.first > 0))
        return held


@lru_cache(maxsize=64)
def _said(metrics: tuple[str, ...], *, seen_all: bool) -> str:
    """Return SQL for one row of columns over the lines that stand; null where none does."""
    standing = ", ".join(
        f"coalesce(sum(e.sign) filter (where e.{metric} is not null), 0) > 0 as {metric}" for metric in metrics
    )
    columns = ", ".join(f"array_agg({name}) as {name}" for name in ("place", "flags", "day", "days", *metrics))
    return f"""
    select {columns}, array_agg((extract(epoch from valid_from) * {_MICROS})::bigint) as begins from (
      select a.place, e.valid_from, e.flags, e.day, e.days, {standing}
      from unnest($2::uuid[]) with ordinality as a (subject_id, place)
      join entries e on e.workspace_id = $1 and e.subject_id = a.subject_id
      join series s on s.workspace_id = $1 and s.series_id = e.series_id
      where e.flags & {SAID} <> 0 and s.counted and s.kind in ('lifetime', 'period', 'event')
        and e.valid_from >= $3 and e.valid_from < $4 and {seen(None if seen_all else 0, 5)}
      group by a.place, e.series_id, e.valid_from, e.valid_to, e.flags, e.day, e.days
    ) standing where {" or ".join(metrics)}
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
    query = _said(tuple(metrics), seen_all=number is None)
    row = await connection.fetchrow(query, workspace_id, subject_ids, low, high, number)
    if row is None or row["place"] is None:
        return None
    first = np.array([_ordinal(day) for day in row["day"]], dtype=np.int64)
    return Said(
        subjects=np.array(row["place"], dtype=np.int64) - 1,
        flags=np.array(row["flags"], dtype=np.int64),
        first=first,
        last=first + np.maximum(np.array(row["days"], dtype=np.int64), 1) - 1,
        begins=np.array(row["begins"], dtype=np.int64),
        about={metric: np.array(row[metric], dtype=np.bool_) for metric in metrics},
    )


def _ordinal(day: date | None) -> int:
    return 0 if day is None else day.toordinal()


def qualities(flags: int) -> Iterator[Quality]:
    """Yield what the flags of a line say against its numbers."""
    return (quality for quality, bit in QUALITY.items() if flags & bit)
