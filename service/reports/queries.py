"""The named SELECTs over tallies. What needs the entries themselves is in ``service.ledger.history``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.history import Span

CAMPAIGN = "select campaign_id, zone, currency from campaigns where workspace_id = $1 and campaign_id = $2"


@lru_cache(maxsize=512)
def _day_sums(metrics: tuple[str, ...]) -> str:
    sums = ", ".join(f"sum(d.{metric})::bigint as {metric}" for metric in metrics)
    any_metric = " or ".join(f"d.{metric} is not null" for metric in metrics)
    return f"""
    select b.number, d.subject_id, d.currency, {sums}
    from unnest($3::integer[], $4::date[], $5::date[]) as b (number, first_day, last_day)
    join subject_days d on d.day >= b.first_day and d.day <= b.last_day
      and (d.days = 1 or d.day + d.days - 1 <= b.last_day)
    where d.workspace_id = $1 and d.subject_id = any($2::uuid[]) and (d.basis = 1 or d.zone = $6)
      and d.day >= $7 and d.day <= $8 and ({any_metric})
    group by b.number, d.subject_id, d.currency
    """


async def day_sums(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    metrics: Sequence[str],
    zone: str,
) -> list[Any]:
    """Return what ``history.cut_sums`` returns, from the days of subjects: for whole days of a zone that is kept."""
    held = [span for span in spans if span.first_day is not None and span.last_day is not None]
    if not subject_ids or not held or not metrics:
        return []
    first = [span.first_day for span in held]
    last = [span.last_day for span in held]
    rows: list[Any] = await connection.fetch(
        _day_sums(tuple(metrics)),
        workspace_id,
        subject_ids,
        [span.number for span in held],
        first,
        last,
        zone,
        min(day for day in first if day is not None),
        max(day for day in last if day is not None),
    )
    return rows
