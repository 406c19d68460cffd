"""What stands of the windows of a batch, as columns, and which readings of it can be booked all together.

Most of what is pushed restates a window of which one line stands: that is told here for all of them together, without a
look at single numbers. What is not told is booked line by line (``service.ledger.series.book``). No SQL of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from connectors.contract import Window
from service.ledger.grid import NULL, Grid
from service.ledger.look import CLOSER, CONFIRMED, KNOWN, LONG_AGO, NEW, micros, newest
from service.ledger.series import BIT, SAID, Line, Mark, Ref
from service.ledger.sheet import Saying

RESTATED = 4
"""Beside the verdicts of ``look``: newer, it moves numbers of the one line that stands, and speaks of no others."""


class Restated(NamedTuple):
    """What readings that restate a window take back and say, side by side.

    ``taken`` are places of the lines that numbers are taken back of, ``back`` these numbers and ``new`` those in their
    place; ``marks`` are those of what is new, ``same`` the masks of what is confirmed.
    """

    taken: Any
    back: Grid
    new: Grid
    marks: Any
    same: Any


class Standing:
    """The row of ``statements.lines_of_windows`` for ``size`` windows, as far as it speaks of the given metrics.

    An empty one says that nothing stands.
    """

    def __init__(self, found: Mapping[str, Any], metrics: tuple[str, ...], size: int) -> None:
        def column(name: str, width: str) -> Any:
            return np.frombuffer(found.get(name) or b"", dtype=width).astype(np.int64)

        self.of = column("line_of", ">i4")
        self.sign, self.cause, self.flags = (column(name, ">i2") for name in ("sign", "cause", "flags"))
        self.spoke, self.known = column("spoke", ">i2"), column("known", ">i2")
        self.observed = column("observed", ">i8")
        numbers = [column(metric, ">i8") for metric in metrics]
        self.grid = Grid(metrics, np.stack(numbers, axis=1) if numbers else np.empty((0, 0), dtype=np.int64))
        self.times = np.bincount(self.of, minlength=size)
        self._said = [found.get(name) or [] for name in ("observed_at", "delivery_id", "received_at")]
        self._confirmation_of, self._mask = column("confirmation_of", ">i4"), column("mask", ">i8")
        self.confirmed = newest(self._confirmation_of, column("confirmed", ">i8"), size)
        self._confirmed_at = found.get("confirmed_at") or []
        # The line of a window of one; of those of none or of several not to be used.
        self._line = np.zeros(size, dtype=np.int64)
        self._line[self.of] = np.arange(len(self.of))

    def saying(self, line: int) -> Saying:
        """Return when and by which delivery a line was said."""
        at, ids, received = self._said
        return Saying(at[line], Ref(ids[line], received[line]))

    def lines(self, place: int, window: Window) -> list[Line]:
        """Return the lines of a window."""
        return [self._line_of(line, window) for line in self._lines_of.get(place, ())]

    def _line_of(self, line: int, window: Window) -> Line:
        told = (int(self.sign[line]), int(self.cause[line]), int(self.flags[line]))
        days = window.days if window.day is not None else 0
        return Line(window.start, window.end, *told, *self.saying(line), self.grid.row(line), window.day, days)

    def is_whole(self, place: int) -> bool:
        """Tell whether the lines of a window have no metrics but those given."""
        return not any(self._hidden[line] for line in self._lines_of.get(place, ()))

    def confirmations(self, place: int) -> list[tuple[int, datetime]]:
        """Return what confirms a window."""
        own = self._confirmations_of.get(place, ())
        return [(int(self._mask[one]), self._confirmed_at[one]) for one in own]

    @cached_property
    def _lines_of(self) -> Mapping[int, list[int]]:
        return _by_place(self.of)

    @cached_property
    def _confirmations_of(self) -> Mapping[int, list[int]]:
        return _by_place(self._confirmation_of)

    @cached_property
    def _hidden(self) -> list[int]:
        hidden: list[int] = (self.known - (self.grid.numbers != NULL).sum(axis=1)).tolist()
        return hidden

    # -------------------------------------------------------------------------------------------- all together

    def judge(self, instants: Sequence[datetime], given: Grid) -> Any:
        """Return the verdict on one reading of each of the first windows, all that are said of them in the batch."""
        count = len(instants)
        times, confirmed = self.times[:count], self.confirmed[:count]
        unknown = (times == 0) & (confirmed == LONG_AGO)
        if not len(self.of):
            return np.where(unknown, NEW, CLOSER)
        at = np.array([micros(instant) for instant in instants], dtype=np.int64)
        line, told, changed = self._compared(given, np.arange(count))
        observed, speaks = self.observed[line], self.spoke[line] > 0
        one = (times == 1) & speaks & (~told | (self.grid.numbers[line] != NULL)).all(axis=1)
        verdicts = np.where(one & (at < observed), KNOWN, CLOSER)
        newer = one & (at > observed) & (at > confirmed)
        verdicts = np.where(newer, np.where(changed.any(axis=1), RESTATED, CONFIRMED), verdicts)
        return np.where(unknown, NEW, verdicts)

    def restated(self, places: Any, given: Grid) -> Restated:
        """Return what readings of windows do that are told to be restated; ``given`` are theirs alone."""
        line, told, changed = self._compared(given, places)
        held = self.grid.numbers[line]
        bits = np.array([BIT[metric] for metric in given.metrics], dtype=np.int64)
        moved, known = changed.sum(axis=1), (held != NULL).sum(axis=1)
        return Restated(
            line,
            Grid(given.metrics, np.where(changed, -held, NULL)),
            Grid(given.metrics, np.where(changed, given.numbers, NULL)),
            # Nothing else stands of a window of which every number was taken back.
            np.where((self.known[line] == known) & (moved == known), int(Mark.ALONE), int(Mark.NONE)),
            ((told & ~changed) * bits).sum(axis=1),
        )

    def _compared(self, given: Grid, places: Any) -> tuple[Any, Any, Any]:
        """Return the one line of windows, and of which metrics their readings speak and say something else."""
        line = self._line[places]
        told = given.numbers != NULL
        return line, told, told & (given.numbers != self.grid.numbers[line])

    def quality(self, lines: Any) -> Any:
        """Return the bits of lines that their platform says against its numbers."""
        return self.flags[lines] & SAID


def _by_place(places: Any) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row, place in enumerate(places.tolist()):
        found.setdefault(place, []).append(row)
    return found
