"""Rows of a tally table while they are summed, and as the database takes them. Pure.

A row is an owner (a subject or a campaign), a cell and its sums. Owners and cells are places in two short dictionaries,
as in :mod:`service.ledger.sheet`; rows go to the database in the order of their key, so that two postings that touch
the same rows wait for each other and do not deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from service.ledger.sheet import Roster, array_text, columns_of, picked
from service.ledger.tallies import Cell, Sums

_SHIFT = 32
_MASK = (1 << _SHIFT) - 1
_ROOM = 1 << 62
"""Sums are made in 64 bits where they cannot come near this, else without a limit: the table then refuses them."""


class TallyRows:
    """Sums by owner and cell. ``filled`` holds the rows that the table may already have, ``carried`` the bits of those
    whose day begins inside a line.
    """

    def __init__(self, owners: Roster) -> None:
        self.owners = owners
        self.cells: list[Cell] = []
        self.filled: set[int] = set()
        self.carried: dict[int, int] = {}
        self._places: dict[Cell, int] = {}
        self._rows: dict[int, Mapping[str, int]] = {}
        self._own: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def cell(self, cell: Cell) -> int:
        """Return the place of a cell, giving it one."""
        place = self._places.get(cell)
        if place is None:
            place = self._places[cell] = len(self.cells)
            self.cells.append(cell)
        return place

    def add(self, owner: int, cell: int, amounts: Sums, *, blank: bool = False) -> None:
        """Add amounts to a row; null and a number is the number. ``blank``: the table has no such row yet."""
        key = owner << _SHIFT | cell
        known = self._rows.get(key)
        if not blank:
            self.filled.add(key)
        if known is None:
            self._rows[key] = amounts
            return
        sums = dict(known) if key not in self._own else known
        for metric, amount in amounts.items():
            sums[metric] = sums.get(metric, 0) + amount  # type: ignore[index]
        self._rows[key] = sums
        self._own.add(key)

    def carry(self, owner: int, cell: int, bits: int) -> None:
        """Let a row carry bits; it has sums as well."""
        key = owner << _SHIFT | cell
        self.carried[key] = self.carried.get(key, 0) | bits

    def items(self) -> Iterator[tuple[UUID, Cell, Sums, int]]:
        """Yield owner, cell, sums and carried bits of every row."""
        for key, sums in self._rows.items():
            yield self.owners.ids[key >> _SHIFT], self.cells[key & _MASK], sums, self.carried.get(key, 0)

    def table(self) -> Table:
        """Return the rows as columns, in the order of their key."""
        ranks, cells = self.owners.ranks(), self._cell_ranks()
        keys = list(self._rows)
        codes = [ranks[key >> _SHIFT] * len(cells) + cells[key & _MASK] for key in keys]
        ordered = picked(keys, sorted(range(len(keys)), key=codes.__getitem__))
        return Table(self, ordered, columns_of([self._rows[key] for key in ordered]))

    def _cell_ranks(self) -> list[int]:
        ranks = [0] * len(self.cells)
        for rank, place in enumerate(sorted(range(len(self.cells)), key=self.cells.__getitem__)):
            ranks[place] = rank
        return ranks


class Table:
    """Rows of a tally table as columns; a number that is None is null."""

    def __init__(
        self,
        source: TallyRows,
        keys: Sequence[int],
        columns: Mapping[str, Sequence[int | None]],
    ) -> None:
        self.metrics = tuple(columns)
        self.carries = bool(source.carried)
        self._source = source
        self._keys = keys
        self._columns = columns

    def parameters(self) -> tuple[bool, list[Any]]:
        """Return whether all rows are new, and the parameters of ``statements.put_days`` after the workspace.

        One statement for all, in the order of the key: rows that two postings touch are waited for in one order.
        """
        keys, cells = self._keys, self._source.cells
        found: list[Any] = [self._source.owners.ids]
        found += [array_text([(key >> _SHIFT) + 1 for key in keys]), array_text([(key & _MASK) + 1 for key in keys])]
        found += [[cell[part] for cell in cells] for part in range(len(Cell._fields))]
        found += [array_text(column) for column in self._columns.values()]
        carried = self._source.carried
        more = [array_text([carried.get(key, 0) for key in keys])] if carried else []
        return not self._source.filled, [*found, *more]

    def summed(self, group_of: Sequence[int | None]) -> Iterator[tuple[int, Cell, Sums]]:
        """Yield (group, cell, sums) over the owners of each group (None: in no group), by owner's place."""
        keys, places = [], []
        for place, key in enumerate(self._keys):
            group = group_of[key >> _SHIFT]
            if group is not None:
                keys.append(group << _SHIFT | key & _MASK)
                places.append(place)
        if not keys:
            return
        codes = np.array(keys, dtype=np.int64)
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
        columns = {metric: _reduced(picked(self._columns[metric], places), order, starts) for metric in self.metrics}
        for at, key in enumerate(codes[starts].tolist()):
            sums = {metric: column[at] for metric, column in columns.items()}
            amounts = {metric: amount for metric, amount in sums.items() if amount is not None}
            yield key >> _SHIFT, self._source.cells[key & _MASK], amounts


def _reduced(values: Sequence[int | None], order: Any, starts: Any) -> list[int | None]:
    """Return the null-aware sums of stretches of a column that was put in order."""
    holes = None in values
    numbers = [0 if value is None else value for value in values] if holes else values
    column = _numbers(numbers)[order]
    sums: list[int | None] = np.add.reduceat(column, starts).tolist()
    if not holes:
        return sums
    known = np.array([value is not None for value in values], dtype=np.int64)[order]
    counts = np.add.reduceat(known, starts).tolist()
    return [amount if count else None for amount, count in zip(sums, counts, strict=True)]


def _numbers(values: Sequence[Any]) -> Any:
    """Return numbers as a column that can be summed without running over."""
    try:
        column = np.array(values, dtype=np.int64)
    except OverflowError:
        return np.array(values, dtype=object)
    largest = max(int(column.max()), -int(column.min()))
    return column if largest * len(values) < _ROOM else np.array(values, dtype=object)
