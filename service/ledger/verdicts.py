"""The verdicts on falls of counters, as they stand or stood at a posting. What writes them is ``service.ledger.resets``."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.rows import SeriesOf

Said = Mapping[tuple[str, datetime], "Verdict"]
"""Verdicts on one series, by metric and instant."""


class Verdict(enum.StrEnum):
    """What a fall is. ``suspected`` is no verdict: retention notes it of a fall that was open when its month went."""

    RESET = "reset"
    CORRECTION = "correction"
    SUSPECTED = "suspected"


_NEWEST = """
select distinct on (r.subject_id, r.series_id, r.metric, r.at) r.subject_id, r.series_id, r.metric, r.at, r.verdict
from resets r join postings p on p.workspace_id = $1 and p.batch = r.batch
where r.workspace_id = $1 and r.subject_id = any($2::uuid[]) and r.verdict <> 'suspected'
  and p.posting <= coalesce($3, p.posting)
order by r.subject_id, r.series_id, r.metric, r.at, p.posting desc
"""


async def verdicts(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID], number: int | None = None
) -> dict[SeriesOf, dict[tuple[str, datetime], Verdict]]:
    """Return the verdicts on falls of subjects, by (metric, instant); up to a posting, or all."""
    found: dict[SeriesOf, dict[tuple[str, datetime], Verdict]] = defaultdict(dict)
    for row in await connection.fetch(_NEWEST, workspace_id, subject_ids, number):
        found[row["subject_id"], row["series_id"]][row["metric"], row["at"]] = Verdict(row["verdict"])
    return found


def resets_in(said: Mapping[tuple[str, datetime], Verdict]) -> dict[str, set[datetime]]:
    """Return metric to the instants at which its counter began anew."""
    found: dict[str, set[datetime]] = defaultdict(set)
    for (metric, at), verdict in said.items():
        if verdict is Verdict.RESET:
            found[metric].add(at)
    return found


def is_settled(metric: str, line: str = "e") -> str:
    """Return SQL: what the fall behind a ``line`` is for a metric has been said; $1 is the workspace.

    The step that is cut into pieces ends where it was observed. For knowledge of a posting see ``settled_by``.
    """
    return (
        f"exists (select from resets r where r.workspace_id = $1 and r.subject_id = {line}.subject_id "
        f"and r.series_id = {line}.series_id and r.metric = '{metric}' and r.at = {line}.observed_at "
        f"and r.verdict <> 'suspected'"
    )
