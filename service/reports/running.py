"""Sums of whole days out of running sums, and what is left to be read from the days of subjects.

A run of days is the difference of two strings. Members without a place to be read, days that a posting has touched
since, and all that would cost more than it saves, are left to ``service.reports.tallies``: both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import asyncpg
import msgspec
import numpy as np

from connectors.contract import MONEY
from service.kpi.members import IntArray
from service.ledger.history.places import ID_BYTES, places_in, take
from service.ledger.history.running import CARRIED, OPENING_DAY, Running, Wish, before, standing, strings
from service.reports.blocks import Blocks
from service.reports.question import Asked
from service.reports.stretches import Segments, Stretch, edges

_OF_DAY = 2.0
"""Microseconds that a day of a subject costs, about, whatever is asked of it."""
_OF_STRING = 20.0
_OF_PLACE = 0.01
_MANY_DAYS = 100
"""How many days the range of all days is taken to have."""
_HELD = 32 * 2**20
"""Bytes of strings that are in memory at a time, about."""
_WIDE = 5
_BY_KEY = "set local enable_indexscan = on"
_BY_PAGE = "set local enable_indexscan = off"
"""As ``question.resolved`` has it for days of subjects; strings are found by their keys."""


class Left(NamedTuple):
    """What is left to be read: of the ``strangers`` every day, of the ``known`` those from ``since`` on.

    Where that is after all ranges, only what lines carry into the days ``cut`` is left of them.
    """

    strangers: IntArray
    known: IntArray
    since: date
    cut: tuple[date, ...] | None = None


class _Run(NamedTuple):
    """A run of days by number, with its first and last day."""

    number: int
    first: date
    last: date

    @property
    def below(self) -> date | None:
        """Return the day up to which sums are taken away; None where there is none."""
        day = before(self.first)
        return day if day > OPENING_DAY else None


class _Crowd(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Members that are read from the running sums of one campaign: their places among all, and in its roster."""

    running: Running
    members: IntArray
    places: IntArray

    @property
    def size(self) -> int:
        """Return how many places the roster has."""
        return len(self.running.roster) // ID_BYTES


async def add_running(
    raw: asyncpg.Connection[Any], asked: Asked, runs: Segments, stretches: Sequence[Stretch], blocks: Blocks
) -> Left:
    """Add to the blocks what running sums hold of the runs of ranges; return what they do not."""
    everybody, nobody = np.arange(len(asked.members)), np.empty(0, dtype=np.int64)
    held = _held(runs, stretches)
    if not held or not asked.columns or not asked.campaigns or not asked.members:
        return Left(everybody, nobody, date.max)
    found = await standing(raw, asked.workspace_id, asked.campaigns)
    first = held[0].first
    usable = [one for one in found if one.zone == asked.zone and _reaches(one, first)]
    crowds = [one for one in _crowds(asked, usable) if _pays(one, held, len(asked.columns))]
    if not crowds:
        return Left(everybody, nobody, date.max)
    until = min(one.running.until for one in crowds)
    begins: frozenset[date] = frozenset().union(*(edges(one) for one in stretches))
    cut = [(number, day) for number, day in enumerate(runs.starts) if day in begins and day < until]
    whole = [run._replace(last=min(run.last, before(until))) for run in held if run.first < until]
    await raw.execute(_BY_KEY)
    for crowd in crowds:
        await _Reader(raw, asked, crowd, blocks).read(whole, cut)
    await raw.execute(_BY_PAGE)
    known = np.zeros(len(everybody), dtype=np.bool_)
    for crowd in crowds:
        known[crowd.members] = True
    after = tuple(sorted(day for day in begins if day >= until)) if until > held[-1].last else None
    return Left(np.flatnonzero(~known), np.flatnonzero(known), until, after)


def _reaches(running: Running, first: date) -> bool:
    """Tell whether running sums hold anything, as it is, of a range that begins on a day."""
    return running.until > first and (running.openings or first > OPENING_DAY)


def _held(runs: Segments, stretches: Sequence[Stretch]) -> list[_Run]:
    """Return the runs that any span is made of."""
    parts = [runs.of(span) for one in stretches for span in one.spans]
    numbers = {number for part in parts for number in range(part.start, part.stop)}
    return [_Run(number, runs.starts[number], before(runs.starts[number + 1])) for number in sorted(numbers)]


def _crowds(asked: Asked, found: Sequence[Running]) -> Iterator[_Crowd]:
    """Yield who is read from which campaign: a subject of several is read from the first that has a place for it."""
    left = np.arange(len(asked.members))
    for running in found:
        which, places = places_in(running.roster, running.moved, asked.members.halves[left])
        if len(which):
            yield _Crowd(running=running, members=left[which], places=places)
            left = np.delete(left, which)


def _pays(crowd: _Crowd, held: Sequence[_Run], metrics: int) -> bool:
    """Tell whether strings cost less than days of subjects: for a few members of many they do not."""
    days = sum(min((run.last - run.first).days + 1, _MANY_DAYS) for run in held)
    ends = len({run.below for run in held} | {run.last for run in held})
    string = _OF_STRING + _OF_PLACE * crowd.size
    return ends * metrics * len(crowd.running.parts) * string < _OF_DAY * days * len(crowd.members)


class _Reader:
    """Reads one crowd."""

    def __init__(self, raw: asyncpg.Connection[Any], asked: Asked, crowd: _Crowd, blocks: Blocks) -> None:
        self._raw = raw
        self._asked = asked
        self._crowd = crowd
        self._blocks = blocks
        self._money = not MONEY.isdisjoint(asked.columns)
        parts, paid = crowd.running.parts, asked.paid
        self._parts = [number for number, part in enumerate(parts) if paid is None or part.paid == paid]

    async def read(self, runs: Sequence[_Run], cut: Sequence[tuple[int, date]]) -> None:
        """Add the sums of runs, and the bits carried into days that begin a span."""
        days = sorted({day for run in runs for day in (run.below, run.last) if day is not None})
        days += [OPENING_DAY] if runs and runs[0].first == OPENING_DAY else []
        metrics = self._asked.columns
        step = max(_HELD // (_WIDE * self._crowd.size * len(days) * max(len(self._parts), 1)), 1) if days else 1
        for start in range(0, len(metrics), step):
            some = metrics[start : start + step]
            found = await self._strings([(metric, day) for metric in some for day in days])
            for metric in some:
                for part in self._parts:
                    self._add(found, metric, part, days, runs)
        bits = await self._strings([(CARRIED, day) for _, day in cut])
        for number, day in cut:
            for part in self._parts:
                data = bits.get(self._wish(CARRIED, part, day))
                if data is not None:
                    carried = np.zeros((2, len(self._crowd.places)), dtype=np.int64)
                    take(data, self._crowd.places, *carried)
                    self._blocks.carried[number] |= np.bitwise_or.reduce(carried[0], initial=0)

    async def _strings(self, wanted: Sequence[tuple[str, date]]) -> dict[Wish, bytes]:
        wishes = [self._wish(metric, part, day) for metric, day in wanted for part in self._parts]
        return await strings(self._raw, self._asked.workspace_id, wishes)

    def _wish(self, metric: str, part: int, day: date) -> Wish:
        return Wish(self._crowd.running.campaign_id, metric, part, day)

    def _add(
        self, found: Mapping[Wish, bytes], metric: str, part: int, days: Sequence[date], runs: Sequence[_Run]
    ) -> None:
        """Add what a metric of a part comes to in each run."""
        strings_of = {at: found.get(self._wish(metric, part, day)) for at, day in enumerate(days)}
        if not any(strings_of.values()):
            return
        # The last row says nothing: what is below a run without anything below.
        sums = np.zeros((len(days) + 1, len(self._crowd.places)), dtype=np.int64)
        counts = np.zeros_like(sums, dtype=np.int32)
        for at, data in strings_of.items():
            if data is not None:
                take(data, self._crowd.places, sums[at], counts[at])
        row = {day: at for at, day in enumerate(days)}
        lasts = [row[run.last] for run in runs]
        belows = [-1 if run.below is None else row[run.below] for run in runs]
        amounts, days_known = sums[lasts] - sums[belows], counts[lasts] - counts[belows]
        if OPENING_DAY in row:
            amounts[0] += sums[row[OPENING_DAY]]
            days_known[0] += counts[row[OPENING_DAY]]
        own = self._crowd.running.parts[part]
        block = self._blocks.of(own.zone, own.currency if self._money else None)
        block.add(metric, [run.number for run in runs], self._crowd.members, amounts, days_known > 0)
