"""The proof of running sums: what they say of days that no posting has touched since is what the tallies say.

Every string is made again from the days of the members whose places are read. Where retention has taken months, the
sums go on from those of the last day before: what is taken away from both ends of a range is in no answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from connectors.contract import ADDITIVE
from service.kpi.members import IntArray
from service.ledger.history.places import NOBODY, Numbers, ids
from service.ledger.history.running import (
    CARRIED,
    OPENING_DAY,
    Part,
    Running,
    Wish,
    before,
    numbers_of,
    standing,
    strings,
)
from service.ledger.report import Report
from service.ledger.running import MEMBERS, Day, days_of, of_day

_KEYS = """
select day, metric, part from running_days
where workspace_id = $1 and campaign_id = $2 and day >= $3 and day <= $4 order by day
"""
_REACH = timedelta(days=2)
"""Days that begin so long after the edge of the months that are kept lie wholly after it, in any zone."""
Key = tuple[str, int]


async def check_running(
    raw: asyncpg.Connection[Any], workspace_id: UUID, edge: datetime | None, report: Report
) -> None:
    """Hold the running sums of a workspace to its tallies."""
    for running in [one for one in await standing(raw, workspace_id) if one.until > OPENING_DAY]:
        await _Check(raw, workspace_id, running, report).run(edge)


class _Check:
    """The proof of one campaign."""

    def __init__(self, raw: asyncpg.Connection[Any], workspace_id: UUID, running: Running, report: Report) -> None:
        self._raw = raw
        self._key = (workspace_id, running.campaign_id)
        self._running = running
        self._report = report
        gone = {NOBODY, *ids(running.moved)}
        roster = ids(running.roster)
        self._size = len(roster)
        self._subjects = {place: UUID(bytes=one) for place, one in enumerate(roster) if one not in gone}
        self._places: IntArray = np.array(list(self._subjects), dtype=np.int64)
        self._sums: dict[Key, Numbers] = defaultdict(lambda: Numbers.none(self._size))

    async def run(self, edge: datetime | None) -> None:
        members = {row["subject_id"] for row in await self._raw.fetch(MEMBERS, *self._key)}
        for subject in set(self._subjects.values()) - members:
            self._report.differs("running_sums", (self._key[1], subject), "a member", "a place that is read")
        first = OPENING_DAY
        if edge is not None:
            first = edge.date() + _REACH
            await self._go_on_from(before(first))
        elif self._running.openings:
            await self._check_openings()
        await self._check_days(first, before(self._running.until))

    async def _go_on_from(self, day: date) -> None:
        """Take the sums up to a day as they are."""
        keys = [(metric, part) for metric in ADDITIVE for part in range(len(self._running.parts))]
        wishes = {key: Wish(self._key[1], *key, day) for key in keys}
        found = await strings(self._raw, self._key[0], list(wishes.values()))
        self._sums |= {key: numbers_of(found, wish, self._size) for key, wish in wishes.items() if wish in found}

    async def _check_openings(self) -> None:
        wanted: dict[Key, Numbers] = {}
        async for day in self._days(OPENING_DAY, OPENING_DAY):
            wanted |= {(metric, self._part(day.part)): found for metric, found in of_day(day, self._size).items()}
        keys = {(row["metric"], row["part"]) for row in await self._stored(OPENING_DAY, OPENING_DAY)}
        await self._compare(OPENING_DAY, keys, wanted)

    async def _check_days(self, first: date, last: date) -> None:
        first = max(first, date.min.replace(day=2))
        stored: dict[date, set[Key]] = defaultdict(set)
        for row in await self._stored(first, last):
            stored[row["day"]].add((row["metric"], row["part"]))
        days = self._days(first, last)
        day = await anext(days, None)
        while stored or day is not None:
            at = min([*stored, *([] if day is None else [day.day])])
            wanted: dict[Key, Numbers] = {}
            while day is not None and day.day == at:
                wanted |= self._moved_on(day)
                day = await anext(days, None)
            await self._compare(at, stored.pop(at, set()), wanted)

    def _moved_on(self, day: Day) -> dict[Key, Numbers]:
        """Add a day to the sums; return what its strings must be."""
        wanted = {}
        for metric, numbers in of_day(day, self._size).items():
            key = (metric, self._part(day.part))
            wanted[key] = numbers
            if metric != CARRIED:
                had = self._sums[key]
                wanted[key] = self._sums[key] = Numbers(had.sums + numbers.sums, had.counts + numbers.counts)
        return wanted

    async def _compare(self, day: date, stored: set[Key], wanted: dict[Key, Numbers]) -> None:
        """Hold the strings of a day to what they must be; one that nothing is told of says what was before."""
        wishes = {key: Wish(self._key[1], *key, day) for key in stored}
        found = await strings(self._raw, self._key[0], list(wishes.values()))
        for key in stored | wanted.keys():
            settled = Numbers.none(self._size) if key[0] == CARRIED or day == OPENING_DAY else self._sums[key]
            must = wanted.get(key, settled)
            have = numbers_of(found, wishes[key], self._size) if key in stored else Numbers.none(self._size)
            wrong = (must.sums != have.sums) | (must.counts != have.counts)
            for place in self._places[wrong[self._places]].tolist()[:1]:
                about = (str(self._key[1]), str(self._subjects[place]), str(day), *key)
                expected = (int(must.sums[place]), int(must.counts[place]))
                self._report.differs("running_sums", about, expected, (have.sums[place], have.counts[place]))
        self._report.count("running_sums", len(stored))

    def _part(self, part: Part) -> int:
        """Return the number of a part; of one without a number there are no strings."""
        return self._running.parts.index(part) if part in self._running.parts else -1

    async def _stored(self, first: date, last: date) -> list[Any]:
        return list(await self._raw.fetch(_KEYS, *self._key, first, last))

    async def _days(self, first: date, last: date) -> AsyncIterator[Day]:
        async for day in days_of(self._raw, self._key, self._running.zone, self._subjects, first, last):
            yield day
