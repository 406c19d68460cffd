"""What must be equal, summed in two ways: campaign days and their members' days, sales in the ledger and their credits.

``tallybook verify`` proves the whole books line by line; these few sums are cheap enough to be asked over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger.history.days import days_of_subjects
from service.ledger.journeys import NOBODY

SOLD = ("orders", "refunds", "conversions", "conversion_value")
_CREDITED = ", ".join(f"coalesce(sum(r.{key}), 0)::bigint as {key}" for key in SOLD)
_BOOKED = ", ".join(f"coalesce(sum(e.{key}), 0)::bigint as {key}" for key in SOLD)
_STANDING = f"""
select s.external_id = '{NOBODY}' as nobody, {_CREDITED}
from credits r
join conversions c on c.workspace_id = $1 and c.event_key = r.event_key and c.version = r.version and c.sign = 1
join subjects s on s.workspace_id = $1 and s.subject_id = r.subject_id
where r.workspace_id = $1 and r.at >= $2 and r.at < $3 and not exists (
  select from conversions n where n.workspace_id = $1 and n.event_key = c.event_key and n.version >= c.version
    and (n.version > c.version or n.sign = -1))
group by nobody
"""
_LINES = f"""
select {_BOOKED}
from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
where e.workspace_id = $1 and s.counted and s.kind = 'event' and e.event_key is not null
  and e.valid_from >= $2 and e.valid_from < $3
  and exists (select from conversions c where c.workspace_id = $1 and c.event_key = e.event_key)
"""


async def sales(
    connection: asyncpg.Connection[Any], workspace_id: UUID, start: datetime, end: datetime
) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
    """Return what was sold in ``[start, end)``: in the ledger, credited to subjects, credited to nobody."""
    nothing = dict.fromkeys(SOLD, 0)
    booked = await connection.fetchrow(_LINES, workspace_id, start, end)
    credited = {row["nobody"]: dict(row) for row in await connection.fetch(_STANDING, workspace_id, start, end)}
    somebody, nobody = ({key: int(credited.get(which, nothing)[key]) for key in SOLD} for which in (False, True))
    return {key: int(booked[key]) for key in SOLD}, somebody, nobody


@lru_cache(maxsize=64)
def _days(columns: tuple[str, ...]) -> str:
    return f"""
    select {_sums(columns)} from campaign_days d
    where d.workspace_id = $1 and d.campaign_id = $2 and (d.basis = 1 or d.zone = $3) and d.day >= $4 and d.day <= $5
    """


@lru_cache(maxsize=64)
def _days_of_members(columns: tuple[str, ...]) -> str:
    days = days_of_subjects(columns, "= any($2::uuid[])", ("$4", "$5"))
    return f"select {_sums(columns)} from ({days}) d where d.basis = 1 or d.zone = $3"


def _sums(columns: Sequence[str]) -> str:
    return ", ".join(f"sum(d.{column})::bigint as {column}" for column in columns)


async def days_of_campaign(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    campaign_id: UUID,
    subject_ids: Sequence[UUID],
    zone: str,
    days: tuple[date, date],
    columns: Sequence[str],
) -> tuple[Mapping[str, int | None], Mapping[str, int | None]]:
    """Return the sums of a campaign's own days, and of the days of its subjects, in the campaign's zone."""
    own = await connection.fetchrow(_days(tuple(columns)), workspace_id, campaign_id, zone, *days)
    members = await connection.fetchrow(_days_of_members(tuple(columns)), workspace_id, list(subject_ids), zone, *days)
    return dict(own), dict(members)
