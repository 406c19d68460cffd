"""The readings of windows of one batch as columns: subjects, windows and numbers side by side. Pure.

What readings of one window have in common is told once (:class:`Kind`), and what one delivery says of it too
(:class:`Block`). What is done with them is told in ``service.ledger.windows``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from connectors.contract import Window
from service.ledger.grid import EMPTY, Grid, grid_of, stacked
from service.ledger.look import Asked
from service.ledger.readings import Readings
from service.ledger.series import Flag, Ref
from service.ledger.sheet import Form, Saying

SCATTERED = 3
"""Pairs of a subject and an instant for each window that is asked for, from which on all are looked at one by one."""


class Kind(msgspec.Struct, frozen=True):
    """What readings of one window of one series have in common; ``cell`` is the window's place among the batch's."""

    series_id: int
    window: Window
    cell: int

    @property
    def whole(self) -> bool:
        return self.window.day is not None

    def form(self, sign: int, cause: int, quality: int, mark: int) -> Form:
        """Return the form of lines of this window."""
        window = self.window
        flags = (Flag.NONE if self.whole else Flag.SHORT) | quality
        days = window.days if self.whole else 0
        return Form(self.series_id, window.start, window.end, sign, cause, flags, window.day, days, None, mark)


class Block(msgspec.Struct, frozen=True):
    """Readings of one window with the delivery that says them, and the number of their kind."""

    readings: Readings
    ref: Ref
    kind: int

    @property
    def saying(self) -> Saying:
        return Saying(self.readings.at, self.ref)


class Rows:
    """The readings of a batch as columns: places of subject, block and window, metrics."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.kinds: list[Kind] = []
        self.cells: dict[tuple[int, datetime, datetime], int] = {}
        self.subjects: Any = []
        self.numbers: Any = []
        self.kind_of: Any = []
        self.cell_of: Any = []
        self.metrics: list[Mapping[str, Any]] = []
        self.grids: list[Grid] = []
        self._kinds: dict[tuple[int, int], int] = {}
        self._turned = 0

    def __len__(self) -> int:
        return len(self.metrics)

    def _turn(self) -> None:
        """Turn what came a few at a time into columns together."""
        if self._turned < len(self.metrics):
            self.grids.append(grid_of(self.metrics[self._turned :]))
            self._turned = len(self.metrics)

    def _kind(self, series_id: int, window: Window) -> int:
        # By identity: a kind keeps its window, and windows of one day are mostly one.
        number = self._kinds.get((series_id, id(window)))
        if number is None:
            cell = self.cells.setdefault((series_id, window.start, window.end), len(self.cells))
            number = self._kinds[series_id, id(window)] = len(self.kinds)
            self.kinds.append(Kind(series_id, window, cell))
        return number

    def add(self, readings: Readings, window: Window, ref: Ref, series_id: int, places: Sequence[int]) -> None:
        """Take the readings of one window."""
        self.numbers += [len(self.blocks)] * len(places)
        self.blocks.append(Block(readings, ref, self._kind(series_id, window)))
        self.subjects += places
        if readings.grid is not None:
            self._turn()
            self.grids.append(readings.grid)
            self._turned += len(readings.metrics)
        self.metrics += readings.metrics

    def close(self) -> None:
        """Turn what was added into arrays."""
        self._turn()
        self.subjects = np.array(self.subjects, dtype=np.int64)
        self.numbers = np.array(self.numbers, dtype=np.int64)
        self.kind_of = np.array([block.kind for block in self.blocks], dtype=np.int64)[self.numbers]
        self.cell_of = np.array([kind.cell for kind in self.kinds], dtype=np.int64)[self.kind_of]
        self.grids = [stacked(self.grids)] if self.grids else [EMPTY]

    @property
    def grid(self) -> Grid:
        """The metrics of all readings."""
        return self.grids[0]

    @property
    def keys(self) -> Any:
        """For each reading what names its subject and window."""
        return self.subjects * len(self.cells) + self.cell_of

    def alone(self) -> Any:
        """Tell of each reading whether no other one of the batch speaks of its window, and it withdraws nothing."""
        plain = np.array([not block.readings.withdraws for block in self.blocks])[self.numbers]
        _, places, times = np.unique(self.keys, return_inverse=True, return_counts=True)
        return plain & (times[places] == 1)

    def asked(self, rows: Any, ids: Sequence[UUID]) -> Asked:
        """Return some rows as a look at them takes them."""
        instants = [block.readings.at for block in self.blocks]
        columns = (self.subjects[rows], self.cell_of[rows], self.numbers[rows], self.grid.taken(rows))
        return Asked(ids, list(self.cells), instants, *columns)

    def scattered(self, rows: Any) -> bool:
        """Tell whether some rows name few of the pairs of their subjects and instants."""
        subjects, instants = len(np.unique(self.subjects[rows])), len({begin for _, begin, _ in self.cells})
        return subjects * instants > SCATTERED * len(rows)

    def instants(self, rows: Any) -> list[datetime]:
        """Return the instants of some readings."""
        return [self.blocks[number].readings.at for number in self.numbers[rows].tolist()]
