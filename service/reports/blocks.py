"""Sums of whole days while they are read: a block for each zone and currency, run of days by member. Pure.

What is read from running sums and what is read from the days of subjects meet here, so that an amount is whole before
anything is made of it: a converted amount is rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from service.kpi.members import BoolArray, IntArray
from service.reports.tallies import UNKNOWN, Cells


class Block(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sums by run and member. ``zone`` is None where days were cut to the asked zone, ``currency`` where no money was
    asked for. A value is 0 where nothing is known.
    """

    zone: str | None
    currency: str | None
    values: Mapping[str, IntArray]
    known: Mapping[str, BoolArray]

    def add(self, metric: str, runs: Sequence[int], members: IntArray, amounts: IntArray, known: BoolArray) -> None:
        """Add amounts of a metric: rows of runs, columns of members."""
        values, told = self.values[metric], self.known[metric]
        # Members come in their order: as many as there are stand where they are.
        at: Any = slice(None) if len(members) == values.shape[1] else members
        for place, run in enumerate(runs):
            values[run, at] += amounts[place]
            told[run, at] |= known[place]


class Blocks:
    """The blocks of a question, and the bits that lines carried into the first day of each run."""

    def __init__(self, metrics: Sequence[str], runs: int, members: int) -> None:
        self.carried: IntArray = np.zeros(runs, dtype=np.int64)
        self._metrics = metrics
        self._shape = (runs, members)
        self._found: dict[tuple[str | None, str | None], Block] = {}

    def __iter__(self) -> Iterator[Block]:
        return iter(self._found.values())

    def of(self, zone: str | None, currency: str | None) -> Block:
        """Return the block of a zone and a currency."""
        found = self._found.get((zone, currency))
        if found is None:
            values = {metric: np.zeros(self._shape, dtype=np.int64) for metric in self._metrics}
            known = {metric: np.zeros(self._shape, dtype=np.bool_) for metric in self._metrics}
            found = self._found[zone, currency] = Block(zone=zone, currency=currency, values=values, known=known)
        return found

    def add_cells(self, cells: Cells, members: IntArray) -> None:
        """Add the sums of some members: at their places among all."""
        np.bitwise_or.at(self.carried, cells.segments, cells.carried)
        keys = list(zip(cells.zones, cells.currencies, strict=True))
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        told_apart = np.fromiter(map(numbers.__getitem__, keys), dtype=np.int64, count=len(keys))
        for key, number in numbers.items():
            block, mine = self.of(*key), told_apart == number
            segments, places = cells.segments[mine], members[cells.places[mine]]
            for metric, column in cells.amounts.items():
                amounts = column[mine]
                told = amounts != UNKNOWN
                block.values[metric][segments, places] += np.where(told, amounts, 0)
                block.known[metric][segments, places] |= told
