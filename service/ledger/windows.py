"""Booking of stated windows: only the newest point of each metric counts.

Most readings of a page are the first of their windows, or say again what is known. Both are told by one look at the
whole batch (``service.ledger.look``); what is restated, withdrawn or said twice in one batch is booked window
by window by :func:`service.ledger.series.book`. What is pushed names few windows of many subjects, and restates most
of them: all that are known are booked one by one. A test holds the two ways to the same books.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from connectors.contract import Window
from service.ledger import statements
from service.ledger.grid import EMPTY, Grid, grid_of, stacked
from service.ledger.look import CLOSER, CONFIRMED, NEW, Asked, judge
from service.ledger.readings import Readings
from service.ledger.rows import line_of
from service.ledger.series import Cause, Flag, Line, Mark, Ref, WindowReading, book, mask_of
from service.ledger.sheet import Shape, picked
from service.ledger.work import Said, Work

WindowOf = tuple[UUID, int, datetime, datetime]
"""A subject, a series and the window."""
_SCATTERED = 3
"""Pairs of a subject and an instant for each window that is asked for, from which on all are booked one by one."""
_SAID = frozenset({Cause.GROWTH, Cause.SOURCE_RESTATED})
"""Causes of lines that say what their delivery said: by hand, where people of the workspace say it."""


class _Block(msgspec.Struct, frozen=True):
    """Readings of one window with the delivery that says them and the window's place among the batch's."""

    readings: Readings
    ref: Ref
    series_id: int
    window: Window
    cell: int

    @property
    def whole(self) -> bool:
        return self.window.day is not None

    def shape(self, sign: int, cause: int, at: datetime, ref: Ref, quality: int, mark: int) -> Shape:
        """Return the shape of lines of this window."""
        window = self.window
        flags = (Flag.NONE if self.whole else Flag.SHORT) | quality
        days = window.days if self.whole else 0
        begin, end, day = window.start, window.end, window.day
        return Shape(self.series_id, begin, end, sign, cause, flags, at, ref, day, days, None, mark)


class _Known(msgspec.Struct):
    """The lines of a window, or those from one on that stood alone, what confirms them, and how many metrics of theirs
    were not read.
    """

    lines: list[Line]
    confirmations: list[tuple[int, datetime]]
    hidden: int = 0


class _Rows:
    """The readings of a batch as columns: places of subject, block and window, metrics. Filled by :func:`_gathered`."""

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self.cells: dict[tuple[int, datetime, datetime], int] = {}
        self.subjects: Any = []
        self.numbers: Any = []
        self.cell_of: Any = []
        self.metrics: list[Mapping[str, Any]] = []
        self.grids: list[Grid] = []
        self._turned = 0

    def __len__(self) -> int:
        return len(self.metrics)

    def _turn(self) -> None:
        """Turn what came a few at a time into columns together."""
        if self._turned < len(self.metrics):
            self.grids.append(grid_of(self.metrics[self._turned :]))
            self._turned = len(self.metrics)

    def add(self, readings: Readings, window: Window, ref: Ref, series_id: int, places: Sequence[int]) -> None:
        """Take the readings of one window."""
        cell = self.cells.setdefault((series_id, window.start, window.end), len(self.cells))
        self.numbers += [len(self.blocks)] * len(places)
        self.blocks.append(_Block(readings, ref, series_id, window, cell))
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
        self.cell_of = np.array([block.cell for block in self.blocks], dtype=np.int64)[self.numbers]
        self.grids = [stacked(self.grids)] if self.grids else [EMPTY]

    def alone(self) -> Any:
        """Tell of each reading whether no other one of the batch speaks of its window, and it withdraws nothing."""
        plain = np.array([not block.readings.withdraws for block in self.blocks])[self.numbers]
        keys = self.subjects * len(self.cells) + self.cell_of
        _, places, times = np.unique(keys, return_inverse=True, return_counts=True)
        return plain & (times[places] == 1)

    def asked(self, rows: Any, ids: Sequence[UUID]) -> Asked:
        """Return some rows as a look at them takes them."""
        instants = [block.readings.at for block in self.blocks]
        columns = (self.subjects[rows], self.cell_of[rows], self.numbers[rows], self.grids[0].taken(rows))
        return Asked(ids, list(self.cells), instants, *columns)

    def scattered(self, rows: Any) -> bool:
        """Tell whether some rows name few of the pairs of their subjects and instants."""
        subjects, instants = len(np.unique(self.subjects[rows])), len({begin for _, begin, _ in self.cells})
        return subjects * instants > _SCATTERED * len(rows)


async def book_windows(work: Work, said: Sequence[Said]) -> None:
    """Book the windows that deliveries report."""
    rows, fresh = _gathered(work, said)
    if not rows:
        return
    alone, made = rows.alone(), fresh[rows.subjects]
    verdicts = np.where(alone, NEW, CLOSER)
    asked = np.flatnonzero(alone & ~made)
    verdicts[asked] = CLOSER if rows.scattered(asked) else await _held(work, rows, asked)
    closer: dict[WindowOf, list[int]] = defaultdict(list)
    for row in np.flatnonzero(verdicts == CLOSER).tolist():
        closer[_key(work, rows, row)].append(row)
    known = await _load_windows(work, rows.grids[0].metrics, [key for key, own in closer.items() if not made[own[0]]])
    for key, own in closer.items():
        if key not in known and alone[own[0]]:
            verdicts[own[0]] = NEW
    _write_new(work, rows, verdicts)
    confirmed: list[tuple[WindowOf, int, datetime]] = []
    for row in np.flatnonzero(verdicts == CONFIRMED).tolist():
        at = rows.blocks[rows.numbers[row]].readings.at
        confirmed.append((_key(work, rows, row), mask_of(rows.metrics[row]), at))
    for key, own in closer.items():
        if verdicts[own[0]] == CLOSER:
            confirmed += _book_closely(work, rows, key, known.get(key, _Known([], [])), own)
    await _confirm(work, confirmed)


def _gathered(work: Work, said: Sequence[Said]) -> tuple[_Rows, Any]:
    """Return the readings of windows as columns, and for each subject's place whether the posting itself made it."""
    rows = _Rows()
    places: dict[str, int] = {}
    fresh: set[int] = set()
    for part in said:
        for block in part.readings:
            if block.window is None:
                continue
            names = [ref.external_id for ref in block.subjects]
            for name in names:
                if name not in places:
                    subject = work.subjects[name]
                    place = places[name] = work.sheet.roster.place(subject.subject_id)
                    if subject.fresh:
                        fresh.add(place)
            rows.add(block, block.window, part.ref, work.series_of(block.key), [places[name] for name in names])
    rows.close()
    made = np.zeros(len(work.sheet.roster.ids), dtype=bool)
    made[list(fresh)] = True
    return rows, made


async def _held(work: Work, rows: _Rows, asked: Any) -> Any:
    """Return the verdicts on rows."""
    if not len(asked):
        return np.full(0, NEW)
    ids = work.sheet.roster.ids
    readings = rows.asked(asked, ids)
    named = [ids[place] for place in np.unique(readings.subjects).tolist()]
    about = (work.workspace_id, named, sorted({begin for _, begin, _ in readings.windows}))
    lines = await work.connection.fetchrow(statements.lines_of_batch(readings.grid.metrics), *about)
    confirmations = await work.connection.fetchrow(statements.CONFIRMED_OF_BATCH, *about)
    return judge(readings, lines, confirmations)


def _write_new(work: Work, rows: _Rows, verdicts: Any) -> None:
    """Write the first line of windows that none is known of."""
    new = np.flatnonzero(verdicts == NEW)
    if not len(new):
        return
    blocks = rows.numbers[new]
    cause = Cause.MANUAL if work.source.is_own else Cause.GROWTH
    shapes = np.zeros(len(rows.blocks), dtype=np.int64)
    for number in np.unique(blocks).tolist():
        block = rows.blocks[number]
        readings = block.readings
        # A window of several days is asked for by its number of days, which tallies have an index for.
        tally = Mark.TALLY if block.window.days == 1 and block.whole and work.tallied(block.series_id) else Mark.NONE
        shape = block.shape(1, cause, readings.at, block.ref, readings.quality, tally | Mark.ALONE)
        shapes[number] = work.sheet.shape(shape)
    metrics, grid = picked(rows.metrics, new.tolist()), rows.grids[0].taken(new)
    work.sheet.extend(rows.subjects[new], shapes[blocks], metrics, grid)


def _key(work: Work, rows: _Rows, row: int) -> WindowOf:
    block = rows.blocks[rows.numbers[row]]
    return (work.sheet.roster.ids[rows.subjects[row]], block.series_id, block.window.start, block.window.end)


def _book_closely(
    work: Work, rows: _Rows, key: WindowOf, known: _Known, own: Sequence[int]
) -> list[tuple[WindowOf, int, datetime]]:
    """Book what some rows say of one window, with what is known of it at hand; return what they confirm."""
    booked = book(known.lines, known.confirmations, [_reading(rows, row) for row in own], whole=not known.hidden)
    if booked.bare and work.tallied(key[1]):
        work.needs_rebuild(key[0])
    block = rows.blocks[rows.numbers[own[0]]]
    place = int(rows.subjects[own[0]])
    for sign, cause, at, ref, metrics, quality, mark in booked.written:
        told = Cause.MANUAL if work.source.is_own and cause in _SAID else cause
        work.sheet.put(place, block.shape(sign, told, at, ref, quality, mark), metrics)
    return [(key, mask, at) for mask, at in booked.confirmed]


def _reading(rows: _Rows, row: int) -> WindowReading:
    block = rows.blocks[rows.numbers[row]]
    return WindowReading(block.readings.at, rows.metrics[row], block.ref, block.readings.quality)


async def _load_windows(work: Work, metrics: tuple[str, ...], keys: Sequence[WindowOf]) -> dict[WindowOf, _Known]:
    """Return what is known of windows, as far as it speaks of the given metrics; nothing of those that are new."""
    found: dict[WindowOf, _Known] = defaultdict(lambda: _Known([], []))
    if not keys:
        return found
    columns = [list(column) for column in zip(*keys, strict=True)]
    bounds = (min(columns[2]), max(columns[2]))
    asked = (work.workspace_id, *columns, *bounds)
    for row in await work.connection.fetch(statements.entries_of_windows(metrics), *asked):
        known, line = found[_window_of(row)], line_of(row, metrics)
        known.lines.append(line)
        known.hidden += row["known"] - len(line.metrics)
    for row in await work.connection.fetch(statements.CONFIRMATIONS, *asked):
        found[_window_of(row)].confirmations.append((row["mask"], row["confirmed_at"]))
    return found


def _window_of(row: Mapping[str, Any]) -> WindowOf:
    return row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"]


async def _confirm(work: Work, confirmed: Iterable[tuple[WindowOf, int, datetime]]) -> None:
    rows = [(key[0], key[2], key[3], key[1], mask, at) for key, mask, at in confirmed]
    if rows:
        rows.sort(key=lambda row: (row[0].int, *row[1:]))
        columns = [list(column) for column in zip(*rows, strict=True)]
        await work.connection.execute(statements.CONFIRM, work.workspace_id, *columns)
