"""The verdicts on falls of counters, as they stand or stood at a posting. ``service.ledger.resets`` writes them.

``suspected`` in the table is no verdict: retention notes it of a fall that was open when its month went.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from service.ledger.rows import SeriesOf
from service.records import Verdict

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


def unsettled(metric: str, seen: str) -> str:
    """Return SQL: nobody has said what the fall of a line ``e`` is for a metric; ``seen`` tells which verdicts ``r``.

    A step that is cut into pieces ends where it was observed.
    """
    return (
        "not exists (select from resets r where r.workspace_id = e.workspace_id and r.subject_id = e.subject_id "
        f"and r.series_id = e.series_id and r.metric = '{metric}' and r.at = e.observed_at "
        f"and r.verdict <> 'suspected' and {seen})"
    )


class Doubt(NamedTuple):
    """A fall that was open when retention took its month: what the counter lacked at the edge."""

    subject_id: UUID
    series_id: int
    metric: str
    at: datetime
    missing: int
    edge: datetime


_DOUBTS = """
select r.subject_id, r.series_id, r.metric, r.at, r.missing, x.kept_from
from (
  select t.kept_from, t.batch from retentions t join postings p on p.workspace_id = $1 and p.batch = t.batch
  where t.workspace_id = $1 and p.posting <= coalesce($3, p.posting) order by t.kept_from desc limit 1
) x
join resets r on r.workspace_id = $1 and r.batch = x.batch and r.verdict = 'suspected'
where ($2::uuid[] is null or r.subject_id = any($2::uuid[])) and not exists (
  select from resets v join postings p on p.workspace_id = $1 and p.batch = v.batch
  where v.workspace_id = $1 and v.subject_id = r.subject_id and v.series_id = r.series_id and v.metric = r.metric
    and v.at = r.at and v.verdict <> 'suspected' and p.posting <= coalesce($3, p.posting))
"""


async def doubts(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID] | None, number: int | None
) -> list[Doubt]:
    """Return the falls of before the edge of the books that were open then and that nobody has said anything of.

    ``subject_ids`` None are all.
    """
    rows = await connection.fetch(_DOUBTS, workspace_id, subject_ids, number)
    return [Doubt(*row) for row in rows]
