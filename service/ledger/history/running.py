"""Running sums of the members of campaigns, as they are read: sums up to a day, place by place. Not how they are built.

Beside ``subject_days`` stand, for campaigns of many members, strings of bytes (``places``): of each metric and part of
the tallies the sums up to and including a day, for every place of the campaign's roster. They are what the tallies were
at a posting. Postings after it leave touches: days before the first that any of them changed are still what is, and so
are the places of subjects that none of them moved. So a range that ends before is the difference of two strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from service.ledger.history.places import Numbers, unpacked

CARRIED = "carried"
"""In place of a metric: the bits of what lines carried into a day, of that day alone."""
OPENING_DAY = date.min
_DAY = timedelta(days=1)


class Part(NamedTuple):
    """A part of the tallies that answers tell apart: ``zone`` of a source's whole days (None: cut to the campaign's),
    currency, paid.
    """

    zone: str | None
    currency: str
    paid: int


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The running sums of a campaign as they stand: days before ``until`` are current, openings if ``openings``.

    Nothing is current after a posting that left no touches: one of a process older than they are. ``moved`` are ids of
    subjects whose places are not to be read, one after the other as in ``roster``.
    """

    campaign_id: UUID
    zone: str
    posting: int
    roster: bytes
    parts: tuple[Part, ...]
    until: date
    openings: bool
    moved: bytes


class Wish(NamedTuple):
    """A string that is wanted: the newest up to a day; of :data:`CARRIED` and of openings that of the very day."""

    campaign_id: UUID
    metric: str
    part: int
    day: date


_STANDING = """
select r.campaign_id, r.zone, r.posting, r.roster, r.parts, t.first_day, coalesce(t.openings, false) as openings,
  coalesce(t.moved, '') as moved, exists (
    select from postings p where p.workspace_id = $1 and p.posting > r.posting and not p.touches
  ) as unheard
from running_sums r
cross join lateral (
  select min(first_day) as first_day, bool_or(openings) as openings, string_agg(moved, ''::bytea) as moved
  from running_touches t where t.workspace_id = $1 and t.campaign_id = r.campaign_id and t.posting > r.posting
) t
where r.workspace_id = $1 and ($2::uuid[] is null or r.campaign_id = any($2::uuid[])) and r.posting is not null
order by r.campaign_id
"""
_NEWEST = """
select k.n, s.sums
from unnest($2::uuid[], $3::text[], $4::smallint[], $5::date[]) with ordinality as k (campaign_id, metric, part, day, n)
cross join lateral (
  select d.sums from running_days d
  where d.workspace_id = $1 and d.campaign_id = k.campaign_id and d.metric = k.metric and d.part = k.part
    and d.day <= k.day and d.day > '-infinity'
  order by d.day desc limit 1
) s
"""
_VERY = """
select k.n, d.sums
from unnest($2::uuid[], $3::text[], $4::smallint[], $5::date[]) with ordinality as k (campaign_id, metric, part, day, n)
join running_days d on d.workspace_id = $1 and d.campaign_id = k.campaign_id and d.metric = k.metric
  and d.part = k.part and d.day = k.day
"""


async def standing(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_ids: Sequence[UUID] | None = None
) -> list[Running]:
    """Return the running sums of campaigns (None: of all), as far as they have any that were built."""
    rows = await connection.fetch(_STANDING, workspace_id, None if campaign_ids is None else list(campaign_ids))
    return [_running(row) for row in rows]


def _running(row: Mapping[str, Any]) -> Running:
    return Running(
        campaign_id=row["campaign_id"],
        zone=row["zone"],
        posting=row["posting"],
        roster=row["roster"],
        parts=parts_of(row["parts"]),
        until=OPENING_DAY if row["unheard"] else row["first_day"] or date.max,
        openings=not row["openings"] and not row["unheard"],
        moved=row["moved"],
    )


def parts_of(stored: Iterable[Any]) -> tuple[Part, ...]:
    """Return the parts that a campaign's strings are told apart by."""
    return tuple(Part(*one) for one in stored)


async def strings(connection: asyncpg.Connection[Any], workspace_id: UUID, wishes: Sequence[Wish]) -> dict[Wish, bytes]:
    """Return the strings that there are of those that are wanted."""
    very = [wish for wish in wishes if wish.metric == CARRIED or wish.day == OPENING_DAY]
    sums = [wish for wish in wishes if wish.metric != CARRIED and wish.day != OPENING_DAY]
    return {
        **await _read(connection, workspace_id, _NEWEST, sums),
        **await _read(connection, workspace_id, _VERY, very),
    }


async def _read(
    connection: asyncpg.Connection[Any], workspace_id: UUID, query: str, wishes: Sequence[Wish]
) -> dict[Wish, bytes]:
    if not wishes:
        return {}
    rows = await connection.fetch(query, workspace_id, *(list(column) for column in zip(*wishes, strict=True)))
    return {wishes[row["n"] - 1]: row["sums"] for row in rows}


def before(day: date) -> date:
    """Return the day before; there is none before the first."""
    return day if day == date.min else day - _DAY


def numbers_of(found: Mapping[Wish, bytes], wish: Wish, size: int) -> Numbers:
    """Return the numbers of a string; of none nothing is known."""
    data = found.get(wish)
    return Numbers.none(size) if data is None else unpacked(data, size)
