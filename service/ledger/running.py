"""Running sums are built beside the postings: a campaign's strings are brought to what its tallies are at a posting.

One builder per campaign, in one transaction that sees one instant: what a crash leaves is what was. Strings are
written again from the first day that touches name. Who joins with a history would change strings before it: a few such
members wait without a place, and are read from the tallies, until they are enough to write all again. How running sums
are read is in ``service.ledger.history.running``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from connectors.contract import ADDITIVE
from service.kpi.members import IntArray
from service.ledger.history.days import days_of_subjects
from service.ledger.history.places import NOBODY, Numbers, ids, packed, unpacked
from service.ledger.history.running import CARRIED, OPENING_DAY, Part, parts_of

LEAST = 50
"""Members from which on a campaign has running sums."""
REST = 10.0
"""A build is followed by a rest of so many times what it took."""
_WAITING = 0.05
"""Members with a history that may wait outside the roster, as a part of it."""
_RETIRED = 0.5
"""Places nobody reads, as a part of the roster, beyond which it begins anew."""
_ROWS = 100_000
"""Days of subjects that are in memory at a time."""
_BYTES = 4 * 2**20
"""Strings that are written at a time, about."""
_NULL = -(2**63)
_ROOM = 1 << 61

_GROWN = """
insert into running_sums (workspace_id, campaign_id, zone, posting, roster, parts, built_at, seconds)
select $1, c.campaign_id, c.zone, null, ''::bytea, '[]'::jsonb, $2, 0
from campaigns c
where c.workspace_id = $1
  and not exists (select from running_sums r where r.workspace_id = $1 and r.campaign_id = c.campaign_id)
  and $3 <= (
    select count(*) from (
      select from memberships m where m.workspace_id = $1 and m.campaign_id = c.campaign_id
      group by m.subject_id having sum(m.sign) > 0
    ) standing)
on conflict do nothing
"""
_SETTLED = "select from books where workspace_id = $1 for share"
_DUE = """
select r.campaign_id, r.built_at, r.seconds, r.posting is null as is_new from running_sums r
where r.workspace_id = $1 and (
  r.posting is null
  or exists (select from running_touches t where t.workspace_id = $1 and t.campaign_id = r.campaign_id)
  or exists (select from postings p where p.workspace_id = $1 and p.posting > r.posting and not p.touches))
order by r.built_at
"""
_TAKE = """
select zone, roster, parts, posting is null or exists (
  select from postings p where p.workspace_id = $1 and p.posting > r.posting and not p.touches
) as anew
from running_sums r where workspace_id = $1 and campaign_id = $2
for update skip locked
"""
_TOUCHED = """
select min(first_day) as first_day, bool_or(openings) as openings, string_agg(moved, ''::bytea) as moved,
  max(posting) as newest
from running_touches where workspace_id = $1 and campaign_id = $2
"""
_NEWEST = "select posting from books where workspace_id = $1"
MEMBERS = """
select subject_id from memberships where workspace_id = $1 and campaign_id = $2
group by subject_id having sum(sign) > 0
"""
_FIRST_DAYS = f"""
select subject_id, min(day) as day from ({days_of_subjects((), "= any($2::uuid[])")}) d
where days = 1 and day > '-infinity' and (basis = 1 or zone = $3)
group by subject_id
"""
_OCCURRING = f"""
select day, case when basis = 1 then zone end as zone, currency, paid,
  {", ".join(f"count({metric}) as {metric}" for metric in ADDITIVE)}
from campaign_days
where workspace_id = $1 and campaign_id = $2 and days = 1 and (basis = 1 or zone = $3) and day >= $4 and day <= $5
group by 1, 2, 3, 4 order by 1
"""
_BEFORE = """
select k.metric, k.part, s.sums
from unnest($3::text[], $4::smallint[]) as k (metric, part)
cross join lateral (
  select d.sums from running_days d
  where d.workspace_id = $1 and d.campaign_id = $2 and d.metric = k.metric and d.part = k.part
    and d.day < $5 and d.day > '-infinity'
  order by d.day desc limit 1
) s
"""
_FORGET = "delete from running_days where workspace_id = $1 and campaign_id = $2 and day >= $3 and day <= $4"
_WRITE = """
insert into running_days (workspace_id, campaign_id, metric, part, day, sums)
select $1, $2, * from unnest($3::text[], $4::smallint[], $5::date[], $6::bytea[])
"""
_DONE = """
update running_sums set posting = $3, roster = $4, parts = $5, built_at = $6, seconds = $7
where workspace_id = $1 and campaign_id = $2
"""
_TAKEN_IN = "delete from running_touches where workspace_id = $1 and campaign_id = $2 and posting <= $3"
_BY_PAGE = "set local enable_indexscan = off"
"""Days of a subject lie where they came, a page for each: each page is gone to once."""


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign whose running sums are behind, or new, and until when its builders rest."""

    campaign_id: UUID
    is_new: bool
    rests_until: datetime


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """What a build did: up to which posting, from which day on, how many strings and days of subjects."""

    posting: int
    first_day: date
    strings: int
    rows: int


class Day(NamedTuple):
    """The members' rows of one day and part: places and columns of one length; ``_NULL`` is null."""

    day: date
    part: Part
    places: IntArray
    columns: Mapping[str, IntArray]


async def announce(
    connection: asyncpg.Connection[Any], workspace_id: UUID, now: datetime, *, least: int = LEAST
) -> None:
    """Give campaigns of at least so many members running sums that are yet to be built.

    The caller commits this, and calls :func:`settle` in a transaction of its own before the first build.
    """
    await connection.execute(_GROWN, workspace_id, now, least)


async def settle(connection: asyncpg.Connection[Any], workspace_id: UUID) -> None:
    """Wait until no posting is closing that may not have seen what was announced, and so would leave no touch."""
    await connection.fetchrow(_SETTLED, workspace_id)


async def due(connection: asyncpg.Connection[Any], workspace_id: UUID) -> list[Behind]:
    """Return the campaigns whose running sums are behind, those built longest ago first."""
    return [
        Behind(
            campaign_id=row["campaign_id"],
            is_new=row["is_new"],
            rests_until=row["built_at"] + timedelta(seconds=REST * row["seconds"]),
        )
        for row in await connection.fetch(_DUE, workspace_id)
    ]


async def build(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    campaign_id: UUID,
    now: datetime,
    elapsed: Callable[[], float],
) -> Built | None:
    """Bring the running sums of a campaign up to the newest posting; None where another builder is at it.

    In the caller's transaction, which sees one instant of the database. ``elapsed`` tells the seconds it took so far.
    """
    row = await connection.fetchrow(_TAKE, workspace_id, campaign_id)
    if row is None:
        return None
    build = _Build(connection, workspace_id, campaign_id, row)
    built = await build.run()
    parts = msgspec.json.encode(build.parts).decode()
    done = (built.posting, b"".join(build.roster), parts, now, elapsed())
    await connection.execute(_DONE, workspace_id, campaign_id, *done)
    await connection.execute(_TAKEN_IN, workspace_id, campaign_id, built.posting)
    return built


class _Build:
    """One build in the making."""

    def __init__(
        self, connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, row: Mapping[str, Any]
    ) -> None:
        self._connection = connection
        self._key = (workspace_id, campaign_id)
        self._zone: str = row["zone"]
        self._anew: bool = row["anew"]
        self.roster: list[bytes] = ids(row["roster"])
        self.parts: list[Part] = list(parts_of(row["parts"]))
        self._first = date.max
        self._openings = False
        self._sums: dict[tuple[str, int], Numbers] = {}
        self._strings: list[tuple[str, int, date, bytes]] = []
        self._written = 0
        self._rows = 0

    async def run(self) -> Built:
        posting = await self._connection.fetchval(_NEWEST, self._key[0])
        touched = await self._connection.fetchrow(_TOUCHED, *self._key)
        members = {row["subject_id"] for row in await self._connection.fetch(MEMBERS, *self._key)}
        await self._place(members, touched)
        if self._openings:
            await self._write_openings()
        await self._write_days()
        return Built(posting=posting, first_day=self._first, strings=self._written, rows=self._rows)

    # ---------------------------------------------------------------------------------------- who has a place

    async def _place(self, members: set[UUID], touched: Mapping[str, Any]) -> None:
        """Take away the places of who left, give places to who joined, and tell from which day on strings change."""
        named = {member.bytes for member in members} - set(ids(touched["moved"] or b""))
        self.roster = [one if one in named else NOBODY for one in self.roster]
        placed = set(self.roster)
        new = sorted(member for member in members if member.bytes not in placed)
        gone = self.roster.count(NOBODY)
        if self._anew or gone > _RETIRED * len(self.roster):
            self.roster, new = [], sorted(members)
            self._first, self._openings = OPENING_DAY, True
        else:
            self._first, self._openings = touched["first_day"] or date.max, bool(touched["openings"])
        if new:
            new = await self._taken(new)
            self._openings = self._openings or bool(new)
            self.roster += [subject.bytes for subject in new]

    async def _taken(self, new: list[UUID]) -> list[UUID]:
        """Return who is given a place: all whose days are written anyway, or all of them once they are many."""
        if self._first == OPENING_DAY:
            return new
        rows = await self._connection.fetch(_FIRST_DAYS, self._key[0], new, self._zone)
        first_days = {row["subject_id"]: row["day"] for row in rows}
        waiting = [subject for subject in new if first_days.get(subject, date.max) < self._first]
        if len(waiting) > max(_WAITING * len(self.roster), 1):
            self._first = min(first_days[subject] for subject in waiting)
            return new
        return [subject for subject in new if subject not in waiting]

    # ---------------------------------------------------------------------------------------- strings

    async def _write_openings(self) -> None:
        """Write the strings of openings anew: they are in no other day, and so change no other string."""
        await self._connection.execute(_FORGET, *self._key, OPENING_DAY, OPENING_DAY)
        async for day in self._days(OPENING_DAY, OPENING_DAY):
            for metric, numbers in of_day(day, len(self.roster)).items():
                await self._write(metric, self._part(day.part), OPENING_DAY, packed(numbers))
        await self._flush()

    async def _write_days(self) -> None:
        """Write the strings from the first day that changed, on from the sums up to the day before."""
        first = date.min.replace(day=2) if self._first == OPENING_DAY else self._first
        if first == date.max:
            return
        await self._load(first)
        await self._connection.execute(_FORGET, *self._key, first, date.max)
        async for day in self._days(first, date.max):
            part = self._part(day.part)
            for metric, numbers in of_day(day, len(self.roster)).items():
                if metric != CARRIED:
                    numbers = self._added((metric, part), numbers)  # noqa: PLW2901 - what is told of the day, moved on
                await self._write(metric, part, day.day, packed(numbers))
        await self._flush()

    def _added(self, key: tuple[str, int], numbers: Numbers) -> Numbers:
        had = self._sums.get(key)
        if had is not None:
            numbers = Numbers(had.sums + numbers.sums, had.counts + numbers.counts)
        if np.abs(numbers.sums).max(initial=0) > _ROOM:
            raise OverflowError("sums of a member come near to what 64 bits hold")
        self._sums[key] = numbers
        return numbers

    async def _load(self, first: date) -> None:
        """Read the sums up to the day before ``first``."""
        keys = [(metric, part) for metric in ADDITIVE for part in range(len(self.parts))]
        if not keys:
            return
        columns = [list(column) for column in zip(*keys, strict=True)]
        for row in await self._connection.fetch(_BEFORE, *self._key, *columns, first):
            self._sums[row["metric"], row["part"]] = unpacked(row["sums"], len(self.roster))

    def _part(self, part: Part) -> int:
        if part not in self.parts:
            self.parts.append(part)
        return self.parts.index(part)

    async def _write(self, metric: str, part: int, day: date, data: bytes) -> None:
        self._strings.append((metric, part, day, data))
        self._written += 1
        if len(self._strings) * len(data) > _BYTES:
            await self._flush()

    async def _flush(self) -> None:
        """Write the strings that have gathered."""
        if self._strings:
            columns = (list(column) for column in zip(*self._strings, strict=True))
            await self._connection.execute(_WRITE, *self._key, *columns)
            self._strings.clear()

    async def _days(self, first: date, last: date) -> AsyncIterator[Day]:
        subjects = {place: UUID(bytes=one) for place, one in enumerate(self.roster) if one != NOBODY}
        async for day in days_of(self._connection, self._key, self._zone, subjects, first, last):
            self._rows += len(day.places)
            yield day


# ------------------------------------------------------------------------------------------------ days of members


async def days_of(
    connection: asyncpg.Connection[Any],
    key: tuple[UUID, UUID],
    zone: str,
    subjects: Mapping[int, UUID],
    first: date,
    last: date,
) -> AsyncIterator[Day]:
    """Yield what the tallies say of subjects by place, day by day and part by part, of single days from first to last.

    ``key`` are workspace and campaign: which days and metrics there are is told by the campaign's own tallies. Some
    thousand days of subjects are in memory at a time.
    """
    occurring = await connection.fetch(_OCCURRING, *key, zone, first, last)
    for rows in _chunks(occurring, len(subjects)):
        metrics = tuple(metric for metric in ADDITIVE if any(row[metric] for row in rows))
        await connection.execute(_BY_PAGE)
        found = await connection.fetch(
            _rows(metrics), key[0], list(subjects.values()), list(subjects), zone, rows[0]["day"], rows[-1]["day"]
        )
        await connection.execute("set local enable_indexscan = on")
        for row in found:
            columns = {name: _numbers(row[name], ">i8") for name in (*metrics, CARRIED)}
            part = Part(row["zone"], row["currency"], row["paid"])
            yield Day(row["day"], part, _numbers(row["places"], ">i4"), columns)


def of_day(day: Day, size: int) -> dict[str, Numbers]:
    """Return what the rows of a day say by metric, of those of which they say anything, for ``size`` places."""
    found = {}
    for metric, column in day.columns.items():
        known = column != (0 if metric == CARRIED else _NULL)
        if known.any():
            numbers, places = Numbers.none(size), day.places[known]
            np.add.at(numbers.sums, places, column[known])
            numbers.counts[places] = 1
            found[metric] = numbers
    return found


def _chunks(occurring: Sequence[Any], subjects: int) -> Iterator[list[Any]]:
    """Yield days and parts, together what is held in memory; a day is never divided."""
    chunk: list[Any] = []
    for row in occurring:
        if len(chunk) * subjects > _ROWS and row["day"] != chunk[-1]["day"]:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _numbers(data: bytes, width: str) -> IntArray:
    return np.frombuffer(data, dtype=width).astype(np.int64)


@lru_cache(maxsize=64)
def _rows(metrics: tuple[str, ...]) -> str:
    """Return SQL for the rows of subjects by day and part, each column as one string of bytes.

    A subject may have two rows of a day, which are to be added.
    """
    sums = [f"string_agg(int8send(coalesce(d.{metric}, {_NULL})), '') as {metric}" for metric in metrics]
    return f"""
    select d.day, case when d.basis = 1 then d.zone end as zone, d.currency, d.paid,
      string_agg(int4send(r.place), '') as places, string_agg(int8send(d.carried), '') as {CARRIED},
      {", ".join(sums)}
    from unnest($2::uuid[], $3::integer[]) as r (subject_id, place)
    join ({days_of_subjects(metrics, "= any($2::uuid[])", ("$5", "$6"))}) d using (subject_id)
    where d.days = 1 and (d.basis = 1 or d.zone = $4)
    group by 1, 2, 3, 4 order by 1
    """
