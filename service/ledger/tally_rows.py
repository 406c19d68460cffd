"""Rows of a tally table while they are summed, and as the database takes them. Pure.

A row is an owner (a subject or a campaign), a cell and its sums. Owners and cells are places in two short dictionaries,
as in :mod:`service.ledger.sheet`; rows go to the database in the order of their key, so that two postings that touch
the same rows wait for each other and do not deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from service.ledger.grid import EMPTY, NULL, Grid, grid_of, packed, ranked, stacked, summed
from service.ledger.sheet import Roster
from service.ledger.tallies import Cell, Sums

_SHIFT = 32
_MASK = (1 << _SHIFT) - 1


class TallyRows:
    """Sums by owner and cell. ``carried`` holds the bits of those whose day begins inside a line."""

    def __init__(self, owners: Roster) -> None:
        self.owners = owners
        self.cells: list[Cell] = []
        self.carried: dict[int, int] = {}
        self._places: dict[Cell, int] = {}
        self._rows: dict[int, Sums] = {}
        self._own: set[int] = set()
        self._keys: list[Any] = []
        self._grids: list[Grid] = []

    def cell(self, cell: Cell) -> int:
        """Return the place of a cell, giving it one."""
        place = self._places.get(cell)
        if place is None:
            place = self._places[cell] = len(self.cells)
            self.cells.append(cell)
        return place

    def add(self, owner: int, cell: int, amounts: Sums) -> None:
        """Add amounts to a row; null and a number is the number."""
        key = owner << _SHIFT | cell
        known = self._rows.get(key)
        if known is None:
            self._rows[key] = amounts
            return
        sums = dict(known) if key not in self._own else known
        for metric, amount in amounts.items():
            sums[metric] = sums.get(metric, 0) + amount  # type: ignore[index]
        self._rows[key] = sums
        self._own.add(key)

    def extend(self, owners: Any, cells: Any, grid: Grid) -> None:
        """Add many amounts: arrays of the places of owners and of cells; rows without a number add nothing."""
        told = (grid.numbers != NULL).any(axis=1)
        if told.any():
            self._keys.append((owners << _SHIFT | cells)[told])
            self._grids.append(grid.taken(told))

    def carry(self, owner: int, cell: int, bits: int) -> None:
        """Let a row carry bits; it has sums as well."""
        key = owner << _SHIFT | cell
        self.carried[key] = self.carried.get(key, 0) | bits

    def items(self) -> Iterator[tuple[UUID, Cell, Sums, int]]:
        """Yield owner, cell, sums and carried bits of every row."""
        table = self.table()
        for place, key in enumerate(table.keys.tolist()):
            sums, bits = table.grid.row(place), self.carried.get(key, 0)
            yield self.owners.ids[key >> _SHIFT], self.cells[key & _MASK], sums, bits

    def table(self) -> Table:
        """Return the rows as columns, in the order of their key."""
        keys, grid = self._columns()
        if not len(keys):
            return Table(self, keys, grid)
        ranks, cells = self.owners.ranks(), ranked(self.cells)
        codes, grid = summed(grid, ranks[keys >> _SHIFT] << _SHIFT | cells[keys & _MASK])
        return Table(self, _inverse(ranks)[codes >> _SHIFT] << _SHIFT | _inverse(cells)[codes & _MASK], grid)

    def summed(self, group_of: Sequence[int | None]) -> Iterator[tuple[int, Cell, Sums]]:
        """Yield (group, cell, sums) over the owners of each group (None: in no group), by owner's place."""
        keys, grid = self._columns()
        if not len(keys):
            return
        groups = np.array([-1 if group is None else group for group in group_of], dtype=np.int64)
        own = groups[keys >> _SHIFT]
        chosen = own >= 0
        codes, grid = summed(grid.taken(chosen), (own << _SHIFT | keys & _MASK)[chosen])
        for place, code in enumerate(codes.tolist()):
            yield code >> _SHIFT, self.cells[code & _MASK], grid.row(place)

    def _columns(self) -> tuple[Any, Grid]:
        """Return what was added as columns: rows of one key may be several."""
        keys, grids = list(self._keys), list(self._grids)
        if self._rows:
            keys.append(np.array(list(self._rows), dtype=np.int64))
            grids.append(grid_of(list(self._rows.values())))
        return (np.concatenate(keys), stacked(grids)) if keys else (np.empty(0, dtype=np.int64), EMPTY)


def _inverse(ranks: Any) -> Any:
    places = np.empty(len(ranks), dtype=np.int64)
    places[ranks] = np.arange(len(ranks))
    return places


class Table:
    """Rows of a tally table as columns, in the order of their key."""

    def __init__(self, source: TallyRows, keys: Any, grid: Grid) -> None:
        self.keys = keys
        self.grid = grid
        self.carries = bool(source.carried)
        self._source = source

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that occur."""
        return self.grid.metrics

    def parameters(self) -> list[Any]:
        """Return the parameters of ``statements.put_days`` after the workspace.

        One statement for all, in the order of the key: rows that two postings touch are waited for in one order.
        """
        cells, carried = self._source.cells, self._source.carried
        columns = [(self.keys >> _SHIFT) + 1, (self.keys & _MASK) + 1]
        if carried:
            columns.append([carried.get(key, 0) for key in self.keys.tolist()])
        dictionary = [[cell[part] for cell in cells] for part in range(len(Cell._fields))]
        return [self._source.owners.ids, len(self.keys), packed(columns, self.grid), *dictionary]
