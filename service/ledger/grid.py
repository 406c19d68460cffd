"""Numbers of many rows by metric in one block of memory, and as the database takes them. Pure.

A batch has thousands of rows of a few metrics each. They are turned into a block once; what is booked, ordered, summed
and sent afterwards is taken from it without a look at single numbers. A database reads them from one string of bytes
(``statements.number``): eight for each, the most significant first, row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from connectors.contract import STORED

NULL = -(2**63)
"""A cell without a number. No stored number is this one: they are held to 64 bits without it."""
_ROOM = 1 << 62
"""Sums are made in 64 bits where they cannot come near this, else without a limit: packing then refuses them."""
_NO_NUMBER = "a number does not fit in 64 bits"
_PLACES = {metric: place for place, metric in enumerate(STORED)}


class Grid(NamedTuple):
    """Rows of numbers; ``metrics`` name the columns, in the order of the stored ones. Not to be changed."""

    metrics: tuple[str, ...]
    numbers: Any

    def taken(self, rows: Any) -> Grid:
        """Return some rows, by places or by a mask."""
        return Grid(self.metrics, self.numbers[rows])

    def of(self, metrics: frozenset[str]) -> Grid:
        """Return the columns of some metrics."""
        if metrics.issuperset(self.metrics):
            return self
        kept = [place for place, metric in enumerate(self.metrics) if metric in metrics]
        return Grid(tuple(self.metrics[place] for place in kept), self.numbers[:, kept])

    def row(self, place: int) -> dict[str, int]:
        """Return the numbers of one row, without its nulls."""
        cells = self.numbers[place].tolist()
        return {metric: cell for metric, cell in zip(self.metrics, cells, strict=True) if cell != NULL}


EMPTY = Grid((), np.empty((0, 0), dtype=np.int64))


def grid_of(rows: Sequence[Mapping[str, int | None]]) -> Grid:
    """Return rows as a grid. Raises :class:`OverflowError` where a number does not fit in 64 bits."""
    forms = [*map(tuple, rows)]
    if not forms:
        return EMPTY
    kinds = list(dict.fromkeys(forms))
    if len(kinds) == 1:
        return grid_of_form(kinds[0], rows)
    grids = [grid_of_form(kind, [row for row, form in zip(rows, forms, strict=True) if form == kind]) for kind in kinds]
    numbers = {kind: number for number, kind in enumerate(kinds)}
    # Stacked kind by kind; a stable sort of the kinds is where each row went.
    went = np.argsort(np.array([numbers[form] for form in forms]), kind="stable")
    back = np.empty(len(forms), dtype=np.int64)
    back[went] = np.arange(len(forms))
    return stacked(grids).taken(back)


def grid_of_form(form: tuple[str, ...], rows: Sequence[Mapping[str, int | None]]) -> Grid:
    """Return rows that name the same metrics in the same order."""
    metrics, order = _ordered(form)
    cells: Iterable[Any] = chain.from_iterable(map(dict.values, rows))  # type: ignore[arg-type]
    count = len(rows) * len(form)
    try:
        numbers = np.fromiter(cells, dtype=np.int64, count=count)
        nulls = 0
    except TypeError:
        given = [cell for row in rows for cell in row.values()]
        numbers = np.array([NULL if cell is None else cell for cell in given], dtype=np.int64)
        nulls = given.count(None)
    if np.count_nonzero(numbers == NULL) != nulls:
        raise OverflowError(_NO_NUMBER)
    return Grid(metrics, numbers.reshape(len(rows), len(form))[:, order])


@lru_cache(maxsize=4096)
def _ordered(form: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    order = sorted(range(len(form)), key=lambda place: _PLACES[form[place]])
    places = slice(None) if order == list(range(len(form))) else order
    return tuple(form[place] for place in order), places


def stacked(grids: Sequence[Grid]) -> Grid:
    """Return grids one below the other; a metric that one of them does not name is null in it."""
    kinds = {grid.metrics for grid in grids}
    if len(kinds) == 1:
        return grids[0] if len(grids) == 1 else Grid(kinds.pop(), np.concatenate([grid.numbers for grid in grids]))
    metrics = tuple(sorted({metric for kind in kinds for metric in kind}, key=_PLACES.__getitem__))
    total, start = sum(len(grid.numbers) for grid in grids), 0
    numbers = np.full((total, len(metrics)), NULL, dtype=np.int64)
    for grid in grids:
        columns = [metrics.index(metric) for metric in grid.metrics]
        numbers[start : start + len(grid.numbers), columns] = grid.numbers
        start += len(grid.numbers)
    return Grid(metrics, numbers)


def summed(grid: Grid, codes: Any) -> tuple[Any, Grid]:
    """Return the distinct codes in their order, and for each the sums of its rows: null where no row has a number."""
    order = np.argsort(codes, kind="stable")
    codes, numbers = codes[order], grid.numbers[order]
    firsts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1]))) if len(codes) else order
    if len(firsts) == len(codes):
        return codes, Grid(grid.metrics, numbers)
    known = numbers != NULL
    added = np.add.reduceat(_roomy(np.where(known, numbers, 0)), firsts)
    if (added == NULL).any():
        raise OverflowError(_NO_NUMBER)
    return codes[firsts], Grid(grid.metrics, np.where(np.logical_or.reduceat(known, firsts), added, NULL))


def _roomy(numbers: Any) -> Any:
    """Return numbers so that their sums cannot run over."""
    largest = max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))
    return numbers if largest * len(numbers) < _ROOM else numbers.astype(object)


def packed(columns: Sequence[Any], grid: Grid) -> bytes:
    """Return rows of numbers as bytes: the given columns first, then those of the grid.

    Raises :class:`OverflowError` where a sum does not fit in 64 bits.
    """
    before = len(columns)
    found = np.empty((len(grid.numbers), before + len(grid.metrics)), dtype=">i8")
    for place, column in enumerate(columns):
        found[:, place] = column
    found[:, before:] = grid.numbers
    return found.tobytes()


def ranked(values: Sequence[Any]) -> Any:
    """Return the rank of each value in their order; equal ones keep theirs."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))
    return ranks
