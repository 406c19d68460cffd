"""One look at all windows of a batch: what is known of them, as columns, and what that makes of the batch's readings.

Most readings of a page say again what is known, or are the first of their windows. Which do is told here without a look
at single rows: what is known of every pair of the batch's subjects and instants comes as columns of bytes. No SQL of
its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from service.ledger.grid import NULL, Grid
from service.ledger.series import BIT, MICROSECOND

NEW, KNOWN, CONFIRMED, CLOSER = range(4)
"""Verdicts on a reading: nothing is known of its window; it says the same as its one line, or something newer says all
of its metrics; it says the same and is the newest to do so; its lines have to be looked at.
"""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the database begins to count, in its binary form."""
LONG_AGO = -(2**63)
_WINDOW = np.dtype([("series_id", ">i8"), ("valid_from", ">i8"), ("valid_to", ">i8")])

WindowKey = tuple[int, datetime, datetime]
"""A series and the first and last instant of a window."""


class Asked(NamedTuple):
    """Readings of different windows as columns: places of subjects, windows and instants in ``ids``, ``windows`` and
    ``instants``, and their numbers.
    """

    ids: Sequence[UUID]
    windows: Sequence[WindowKey]
    instants: Sequence[datetime]
    subjects: Any
    cells: Any
    said: Any
    grid: Grid

    @property
    def size(self) -> int:
        return len(self.subjects)


def judge(asked: Asked, lines: Mapping[str, Any], confirmations: Mapping[str, Any]) -> Any:
    """Return the verdict on each reading from the rows of ``statements.lines_of_batch`` and ``CONFIRMED_OF_BATCH``."""
    at = np.array([micros(instant) for instant in asked.instants], dtype=np.int64)[asked.said]
    find = _Finder(asked)
    held, told = _held(asked, at, lines, find), _told(asked, confirmations, find)
    once = (told.times == 0) | ((told.times == 1) & (told.same == 1))
    alike = (held.times == 1) & (held.same == 1) & once
    found = np.where(held.beaten, KNOWN, CLOSER)
    found = np.where(alike, np.where(at > np.maximum(held.said, told.said), CONFIRMED, KNOWN), found)
    return np.where((held.times == 0) & (told.times == 0), NEW, found)


class _Heard(NamedTuple):
    """What is known of each asked window: how many rows, how many of them say the same, the newest instant, and whether
    something newer says all.
    """

    times: Any
    same: Any
    said: Any
    beaten: Any = None


class _Finder:
    """Finds readings by the subjects and windows of rows."""

    def __init__(self, asked: Asked) -> None:
        names = np.array([one.bytes for one in asked.ids], dtype="S16")
        self._order = np.argsort(names)
        self._names = names[self._order]
        cells = np.array([(key[0], micros(key[1]), micros(key[2])) for key in asked.windows], dtype=_WINDOW)
        cells = cells.view("S24")
        self._cell_order = np.argsort(cells)
        self._cells = cells[self._cell_order]
        keys = asked.subjects * len(asked.windows) + asked.cells
        self._key_order = np.argsort(keys)
        self._keys = keys[self._key_order]

    def rows(self, found: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return which rows are of an asked window, as a mask, and for each of these the place of its reading."""
        names = np.frombuffer(found["subjects"], dtype="S16")
        windows = np.empty(len(names), dtype=_WINDOW)
        for column in ("series_id", "valid_from", "valid_to"):
            windows[column] = np.frombuffer(found[column], dtype=">i8")
        cells = windows.view("S24")
        places, is_cell = _looked_up(self._cells, cells)
        subjects = self._order[np.minimum(np.searchsorted(self._names, names), len(self._names) - 1)]
        keys = subjects * len(self._cells) + self._cell_order[places]
        places, is_key = _looked_up(self._keys, keys)
        chosen = is_cell & is_key
        return chosen, self._key_order[places[chosen]]


def _looked_up(known: Any, wanted: Any) -> tuple[Any, Any]:
    """Return places of values in a sorted column, and whether they are there."""
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return places, known[places] == wanted


def _held(asked: Asked, at: Any, found: Mapping[str, Any], find: _Finder) -> _Heard:
    """Return what lines say of the asked windows."""
    size = asked.size
    if found["subjects"] is None:
        return _nothing(size)
    chosen, of = find.rows(found)
    observed = np.frombuffer(found["observed_at"], dtype=">i8")[chosen].astype(np.int64)
    sign, spoke, known = (np.frombuffer(found[name], dtype=">i2")[chosen] for name in ("sign", "spoke", "known"))
    columns = [np.frombuffer(found[metric], dtype=">i8") for metric in asked.grid.metrics]
    numbers = np.stack(columns, axis=1)[chosen].astype(np.int64)
    given = asked.grid.numbers[of]
    told = given != NULL
    same = (sign == 1) & (known == told.sum(axis=1)) & (numbers == given).all(axis=1)
    newer = (spoke > 0) & (observed > at[of]) & (~told | (numbers != NULL)).all(axis=1)
    beaten = _counted(of[newer], size) > 0
    return _Heard(
        _counted(of, size),
        _counted(of[same], size),
        newest(of, observed, size),
        beaten & (_counted(of[spoke < 0], size) == 0),
    )


def _told(asked: Asked, found: Mapping[str, Any], find: _Finder) -> _Heard:
    """Return what confirmations say of the asked windows."""
    if found["subjects"] is None:
        return _nothing(asked.size)
    chosen, of = find.rows(found)
    bits = np.array([BIT[metric] for metric in asked.grid.metrics], dtype=np.int64)
    masks = ((asked.grid.numbers != NULL) * bits).sum(axis=1)
    same = np.frombuffer(found["mask"], dtype=">i8")[chosen] == masks[of]
    confirmed = np.frombuffer(found["confirmed_at"], dtype=">i8")[chosen].astype(np.int64)
    size = asked.size
    return _Heard(_counted(of, size), _counted(of[same], size), newest(of, confirmed, size))


def _nothing(size: int) -> _Heard:
    none = np.zeros(size, dtype=np.int64)
    return _Heard(none, none, np.full(size, LONG_AGO), np.zeros(size, dtype=bool))


def _counted(places: Any, size: int) -> Any:
    return np.bincount(places, minlength=size)


def newest(places: Any, instants: Any, size: int) -> Any:
    """Return the newest of the instants of each of ``size`` places; of none :data:`LONG_AGO`."""
    found = np.full(size, LONG_AGO, dtype=np.int64)
    np.maximum.at(found, places, instants)
    return found


def micros(at: datetime) -> int:
    """Return an instant as the database counts it."""
    return (at - _EPOCH) // MICROSECOND
