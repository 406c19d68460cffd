"""Falls of counters with their values, and what people said of them. As they stand now: a list of what to settle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from service.ledger import statements
from service.ledger.falls import Fall, falls
from service.ledger.rows import SeriesOf, line_of
from service.ledger.series import Flag, Line, standing
from service.records import Verdict

# Found by the index of flagged entries, and by what was said; the rest of the ledger is not looked at.
_SERIES = f"""
select distinct x.subject_id, x.series_id
from (
  select e.subject_id, e.series_id from entries e
  where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.flags & {Flag.SUSPECT} <> 0
  union select r.subject_id, r.series_id from resets r
  where r.workspace_id = $1 and r.subject_id = any($2::uuid[]) and r.verdict <> 'suspected'
) x
join series s on s.workspace_id = $1 and s.series_id = x.series_id and s.counted
"""
_SUBJECTS = f"""
select s.subject_id, s.platform, s.external_id from subjects s where s.workspace_id = $1 and s.subject_id in (
  select e.subject_id from entries e where e.workspace_id = $1 and e.flags & {Flag.SUSPECT} <> 0
  union select r.subject_id from resets r where r.workspace_id = $1 and r.verdict <> 'suspected')
"""
_SAID = """
select distinct on (r.subject_id, r.series_id, r.metric, r.at)
  r.subject_id, r.series_id, r.metric, r.at, r.verdict, r.actor, p.posting, p.recorded_at
from resets r join postings p on p.workspace_id = $1 and p.batch = r.batch
where r.workspace_id = $1 and r.subject_id = any($2::uuid[]) and r.verdict <> 'suspected'
order by r.subject_id, r.series_id, r.metric, r.at, p.posting desc
"""


class Named(NamedTuple):
    """A subject by the name that its platform has for it."""

    platform: str
    external_id: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it stands: who said it, and the posting that holds it."""

    verdict: Verdict
    actor: str
    posting: int
    recorded_at: datetime


class Fallen(msgspec.Struct, frozen=True, kw_only=True):
    """A fall of a subject's counter, and what was said of it (None: nothing)."""

    subject_id: UUID
    metric: str
    fall: Fall
    said: Said | None

    @property
    def is_open(self) -> bool:
        """Tell whether sums are withheld for it."""
        return self.said is None and not self.fall.recovered


async def fallen_subjects(connection: asyncpg.Connection[Any], workspace_id: UUID) -> dict[UUID, Named]:
    """Return the subjects of a workspace of whom a counter fell, or was said to have fallen."""
    rows = await connection.fetch(_SUBJECTS, workspace_id)
    return {row["subject_id"]: Named(row["platform"], row["external_id"]) for row in rows}


async def fallen(connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]) -> list[Fallen]:
    """Return the falls of subjects that stand in the ledger, newest first."""
    rows = await connection.fetch(_SERIES, workspace_id, subject_ids)
    if not rows:
        return []
    said = await _said(connection, workspace_id, subject_ids)
    lines: dict[SeriesOf, list[Line]] = defaultdict(list)
    keys = ([row["subject_id"] for row in rows], [row["series_id"] for row in rows])
    for row in await connection.fetch(statements.ENTRIES_OF_SERIES, workspace_id, *keys):
        lines[row["subject_id"], row["series_id"]].append(line_of(row))
    found = [one for key, own in lines.items() for one in _of_series(key, own, said.get(key, {}))]
    return sorted(found, key=lambda one: (one.fall.at, one.subject_id, one.metric), reverse=True)


def _of_series(key: SeriesOf, lines: Sequence[Line], said: Mapping[tuple[str, datetime], Said]) -> list[Fallen]:
    found = []
    for metric in {metric for line in lines for metric in line.metrics}:
        told = {at: verdict for (name, at), verdict in said.items() if name == metric}
        found += [
            Fallen(subject_id=key[0], metric=metric, fall=fall, said=told.get(fall.at))
            for fall in falls(standing(lines, metric), told)
        ]
    return found


async def _said(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]
) -> dict[SeriesOf, dict[tuple[str, datetime], Said]]:
    found: dict[SeriesOf, dict[tuple[str, datetime], Said]] = defaultdict(dict)
    for row in await connection.fetch(_SAID, workspace_id, subject_ids):
        found[row["subject_id"], row["series_id"]][row["metric"], row["at"]] = Said(
            verdict=Verdict(row["verdict"]), actor=row["actor"], posting=row["posting"], recorded_at=row["recorded_at"]
        )
    return found
