"""Booking of stated windows: only the newest point of each metric counts.

Most readings of a window are its first, or say again what is known. Both are told by one statement over the whole
batch (``statements.held_windows``); what is restated, withdrawn or said twice in one batch is booked window by window
by :func:`service.ledger.series.book`. A test holds the two ways to the same books.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import Window
from service.ledger import statements
from service.ledger.readings import Readings
from service.ledger.rows import line_of
from service.ledger.series import Cause, Flag, Line, Ref, WindowReading, book, mask_of
from service.ledger.sheet import Shape, array_text, columns_of, picked
from service.ledger.work import Said, Work

WindowOf = tuple[UUID, int, datetime, datetime]
"""A subject, a series and the window."""
_BLANK, _KNOWN, _CONFIRMED, _CLOSER = range(4)


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

    def shape(self, sign: int, cause: int, at: datetime, ref: Ref, quality: int) -> Shape:
        """Return the shape of lines of this window."""
        window = self.window
        flags = (Flag.NONE if self.whole else Flag.SHORT) | quality
        days = window.days if self.whole else 0
        return Shape(self.series_id, window.start, window.end, sign, cause, flags, at, ref, window.day, days, None)


class _Rows:
    """The readings of a batch as columns: subject's place, block, metrics."""

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self.cells: dict[tuple[int, datetime, datetime], int] = {}
        self.subjects: list[int] = []
        self.numbers: list[int] = []
        self.metrics: list[Mapping[str, Any]] = []

    def __len__(self) -> int:
        return len(self.subjects)

    def add(self, readings: Readings, window: Window, ref: Ref, series_id: int, places: Sequence[int]) -> None:
        """Take the readings of one window."""
        cell = self.cells.setdefault((series_id, window.start, window.end), len(self.cells))
        self.numbers += [len(self.blocks)] * len(places)
        self.blocks.append(_Block(readings, ref, series_id, window, cell))
        self.subjects += places
        self.metrics += readings.metrics

    def alone(self) -> list[bool]:
        """Tell of each reading whether no other one of the batch speaks of its window, and it withdraws nothing."""
        width = len(self.cells)
        cells = [block.cell for block in self.blocks]
        keys = [place * width + cells[number] for place, number in zip(self.subjects, self.numbers, strict=True)]
        plain = [not block.readings.withdraws for block in self.blocks]
        if len(set(keys)) == len(keys):
            return [plain[number] for number in self.numbers]
        times = Counter(keys)
        return [times[key] == 1 and plain[number] for key, number in zip(keys, self.numbers, strict=True)]

    def question(self, rows: Sequence[int], ids: Sequence[UUID]) -> tuple[tuple[str, ...], list[Any]]:
        """Return the metrics of some rows and the parameters of ``statements.held_windows`` after the workspace."""
        metrics = columns_of([self.metrics[row] for row in rows])
        numbers = picked(self.numbers, rows)
        columns: list[Any] = [ids]
        columns.append(array_text([self.subjects[row] + 1 for row in rows]))
        columns.append(array_text([self.blocks[number].cell + 1 for number in numbers]))
        columns.append(array_text([number + 1 for number in numbers]))
        columns.append([block.readings.at for block in self.blocks])
        columns += [[cell[part] for cell in self.cells] for part in range(3)]
        return tuple(metrics), columns + [array_text(column) for column in metrics.values()]


async def book_windows(work: Work, said: Sequence[Said]) -> None:
    """Book the windows that deliveries report."""
    rows, fresh = _gathered(work, said)
    if not rows:
        return
    alone = rows.alone()
    closer = list(compress(range(len(rows)), (not one for one in alone)))
    new: list[int] = []
    asked: list[int] = []
    for row in compress(range(len(rows)), alone):
        (new if rows.subjects[row] in fresh else asked).append(row)
    verdicts = await _held(work, rows, asked)
    blank = [True] * len(new)
    confirmed: list[tuple[WindowOf, int, datetime]] = []
    for row in asked:
        verdict = verdicts.get(row)
        if verdict is None or verdict == _BLANK:
            new.append(row)
            # The cell of a whole day begins with its window; that of a part of a day may hold lines that begin before.
            blank.append(verdict is None and rows.blocks[rows.numbers[row]].whole)
        elif verdict == _CLOSER:
            closer.append(row)
        elif verdict == _CONFIRMED:
            block = rows.blocks[rows.numbers[row]]
            key = _key(work, rows, row)
            confirmed.append((key, mask_of(rows.metrics[row]), block.readings.at))
    _write_new(work, rows, new, blank)
    confirmed += await _book_closely(work, rows, closer, fresh)
    await _confirm(work, confirmed)


def _gathered(work: Work, said: Sequence[Said]) -> tuple[_Rows, set[int]]:
    """Return the readings of windows as columns, and the places of subjects that the posting itself made."""
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
    return rows, fresh


async def _held(work: Work, rows: _Rows, asked: Sequence[int]) -> dict[int, int]:
    """Return row to verdict for those whose subject has a line that begins when the window does."""
    if not asked:
        return {}
    metrics, parameters = rows.question(asked, work.sheet.roster.ids)
    found = await work.connection.fetch(statements.held_windows(metrics), work.workspace_id, *parameters)
    return {asked[row["n"] - 1]: row["verdict"] for row in found}


def _write_new(work: Work, rows: _Rows, new: Sequence[int], blank: Sequence[bool]) -> None:
    """Write the first line of windows that none is known of."""
    by_block: dict[int, list[int]] = defaultdict(list)
    for at, row in enumerate(new):
        by_block[rows.numbers[row]].append(at)
    for number, places in by_block.items():
        block, own = rows.blocks[number], [new[at] for at in places]
        readings = block.readings
        shape = block.shape(1, Cause.GROWTH, readings.at, block.ref, readings.quality)
        work.sheet.extend(
            shape, picked(rows.subjects, own), picked(rows.metrics, own), blank=[blank[at] for at in places]
        )


def _key(work: Work, rows: _Rows, row: int) -> WindowOf:
    block = rows.blocks[rows.numbers[row]]
    return (work.sheet.roster.ids[rows.subjects[row]], block.series_id, block.window.start, block.window.end)


async def _book_closely(
    work: Work, rows: _Rows, closer: Sequence[int], fresh: set[int]
) -> list[tuple[WindowOf, int, datetime]]:
    """Book readings window by window, with the lines of each at hand; return what they confirm."""
    by_window: dict[WindowOf, list[int]] = defaultdict(list)
    for row in closer:
        by_window[_key(work, rows, row)].append(row)
    known = [key for key, own in by_window.items() if rows.subjects[own[0]] not in fresh]
    lines, confirmations = await _load_windows(work, known)
    confirmed: list[tuple[WindowOf, int, datetime]] = []
    for key, own in by_window.items():
        booked = book(lines.get(key, ()), confirmations.get(key, ()), [_reading(rows, row) for row in own])
        if booked.bare and work.tallied(key[1]):
            work.needs_rebuild(key[0])
        block = rows.blocks[rows.numbers[own[0]]]
        place = [rows.subjects[own[0]]]
        for sign, cause, at, ref, metrics, quality in booked.written:
            work.sheet.extend(block.shape(sign, cause, at, ref, quality), place, [metrics], blank=[False])
        confirmed += [(key, mask, at) for mask, at in booked.confirmed]
    return confirmed


def _reading(rows: _Rows, row: int) -> WindowReading:
    block = rows.blocks[rows.numbers[row]]
    return WindowReading(block.readings.at, rows.metrics[row], block.ref, block.readings.quality)


async def _load_windows(
    work: Work, keys: Sequence[WindowOf]
) -> tuple[dict[WindowOf, list[Line]], dict[WindowOf, list[tuple[int, datetime]]]]:
    lines: dict[WindowOf, list[Line]] = defaultdict(list)
    confirmations: dict[WindowOf, list[tuple[int, datetime]]] = defaultdict(list)
    if not keys:
        return lines, confirmations
    columns = [list(column) for column in zip(*keys, strict=True)]
    bounds = (min(columns[2]), max(columns[2]))
    for row in await work.connection.fetch(statements.ENTRIES_OF_WINDOWS, work.workspace_id, *columns, *bounds):
        lines[row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"]].append(line_of(row))
    for row in await work.connection.fetch(statements.CONFIRMATIONS, work.workspace_id, *columns, *bounds):
        key = (row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"])
        confirmations[key].append((row["mask"], row["confirmed_at"]))
    return lines, confirmations


async def _confirm(work: Work, confirmed: Iterable[tuple[WindowOf, int, datetime]]) -> None:
    rows = [(key[0], key[2], key[3], key[1], mask, at) for key, mask, at in confirmed]
    if rows:
        rows.sort(key=lambda row: (row[0].int, *row[1:]))
        columns = [list(column) for column in zip(*rows, strict=True)]
        await work.connection.execute(statements.CONFIRM, work.workspace_id, *columns)
