"""Sums that count the highest value so far instead of signed movements: what they differ by from those of the books.

Only counters that ever fell differ, so only they are looked at: whole, for a hole may be older than the range.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from service.errors import Gone
from service.ledger.falls import high_water
from service.ledger.history.knowledge import seen
from service.ledger.history.spans import Span
from service.ledger.rows import SeriesOf, line_of
from service.ledger.series import Cause, Flag, Line, Step, pieces, share, standing, standing_resets

_FELL = """
select distinct e.subject_id, e.series_id, s.currency, {carried} as carried
from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and s.counted and s.kind = 'lifetime'
  and e.sign > 0 and ({fell} or ({carried} and ({known}))) and {seen}
"""
_LINES = """
select e.* from entries e
join unnest($2::uuid[], $3::bigint[]) as given (subject_id, series_id) using (subject_id, series_id)
where e.workspace_id = $1 and {seen}
"""


class Shift(NamedTuple):
    """What a span of a subject's metric differs by."""

    span: int
    subject_id: UUID
    currency: str
    metric: str
    amount: int


async def shifts(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    metrics: Sequence[str],
    number: int | None,
) -> list[Shift]:
    """Return what sums by the highest value differ by from signed ones.

    Raises :class:`Gone` where retention took values: one of them may have been the highest.
    """
    if not subject_ids or not spans or not metrics:
        return []
    query = _FELL.format(
        carried=f"e.cause = {Cause.CARRIED}",
        fell="(" + " or ".join(f"e.{metric} < 0" for metric in metrics) + ")",
        known=" or ".join(f"e.{metric} is not null" for metric in metrics),
        seen=seen(number, 3),
    )
    rows = await connection.fetch(query, workspace_id, subject_ids, number)
    if any(row["carried"] for row in rows):
        raise Gone("the highest values of counters may be among what retention took")
    if not rows:
        return []
    currencies = {(row["subject_id"], row["series_id"]): row["currency"] for row in rows}
    lines: dict[SeriesOf, list[Line]] = defaultdict(list)
    keys = ([key[0] for key in currencies], [key[1] for key in currencies])
    for row in await connection.fetch(_LINES.format(seen=seen(number, 4)), workspace_id, *keys, number):
        lines[row["subject_id"], row["series_id"]].append(line_of(row))
    return [
        Shift(span.number, key[0], currencies[key], metric, amount)
        for key, own in lines.items()
        for metric in metrics
        for span, amount in _shifted(own, metric, spans)
    ]


def _shifted(lines: Sequence[Line], metric: str, spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    steps = high_water(standing(lines, metric), standing_resets(lines, metric))
    parts = [piece for step in steps for piece in pieces(step)]
    for span in spans if parts else ():
        amount = sum(_part(piece, span) for piece in parts)
        if amount:
            yield span, amount


def _part(piece: Step, span: Span) -> int:
    """Return the share of a piece in a span, as ``spans.share_of`` has it of a line."""
    if piece.flags & Flag.OPENING:
        return piece.delta if span.openings else 0
    if piece.start == piece.end:
        return piece.delta if span.start <= piece.start < span.end else 0
    before, upto = (share(piece.delta, piece.start, piece.end, edge) for edge in (span.start, span.end))
    return upto - before
