"""Rows of numbers as one block: what goes in comes out, nulls stay nulls, and what does not fit is refused."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import INT64_MAX, STORED
from service.ledger.grid import NULL, Grid, grid_of, packed, ranked, stacked, summed

_NAMES = STORED[:5]
_CELLS = st.integers(-INT64_MAX, INT64_MAX)
_ROWS = st.lists(st.dictionaries(st.sampled_from(_NAMES), st.none() | _CELLS, min_size=1), max_size=20)
_SMALL = st.lists(
    st.tuples(st.integers(0, 4), st.dictionaries(st.sampled_from(_NAMES), st.none() | st.integers(-9, 9), min_size=1)),
    min_size=1,
    max_size=30,
)


def told(rows: list[dict[str, int | None]]) -> list[dict[str, int]]:
    return [{metric: cell for metric, cell in row.items() if cell is not None} for row in rows]


def dicts(grid: Grid) -> list[dict[str, int]]:
    return [grid.row(place) for place in range(len(grid.numbers))]


@given(_ROWS)
def test_rows_of_any_form_come_out_as_they_went_in(rows: list[dict[str, int | None]]) -> None:
    grid = grid_of(rows)
    assert dicts(grid) == told(rows)
    assert list(grid.metrics) == [metric for metric in STORED if any(metric in row for row in rows)]


@given(_ROWS, _ROWS)
def test_grids_are_stacked_in_order(above: list[dict[str, int | None]], below: list[dict[str, int | None]]) -> None:
    assert dicts(stacked([grid_of(above), grid_of(below)])) == told(above + below)


@given(_SMALL)
def test_sums_are_those_of_each_code_and_null_is_not_zero(rows: list[tuple[int, dict[str, int | None]]]) -> None:
    expected: dict[int, dict[str, int]] = defaultdict(dict)
    for code, row in rows:
        for metric, cell in row.items():
            if cell is not None:
                expected[code][metric] = expected[code].get(metric, 0) + cell
    codes, grid = summed(grid_of([row for _, row in rows]), np.array([code for code, _ in rows]))
    assert codes.tolist() == sorted({code for code, _ in rows})
    assert dicts(grid) == [expected[code] for code in codes.tolist()]


def test_a_sum_beyond_64_bits_is_no_other_number() -> None:
    _, grid = summed(grid_of([{"likes": INT64_MAX}, {"likes": INT64_MAX}]), np.array([1, 1]))
    assert grid.row(0) == {"likes": 2 * INT64_MAX}
    with pytest.raises(OverflowError):
        packed((), grid)
    with pytest.raises(OverflowError):
        summed(grid_of([{"likes": -INT64_MAX}, {"likes": -1}]), np.array([1, 1]))


@pytest.mark.parametrize("cell", [NULL, 2**63, -(2**63) - 1])
@pytest.mark.parametrize("beside", [None, 0])
def test_a_number_that_does_not_fit_is_refused(cell: int, beside: int | None) -> None:
    with pytest.raises(OverflowError):
        grid_of([{"likes": cell, "views": beside}])


def test_rows_are_packed_first_the_columns_then_the_metrics() -> None:
    sent = packed(([7, 8],), grid_of([{"likes": -1}, {"likes": None}]))
    read = [int.from_bytes(sent[start : start + 8], "big", signed=True) for start in range(0, len(sent), 8)]
    assert read == [7, -1, 8, NULL]


def test_ranks_are_those_of_the_sorted_values() -> None:
    assert ranked(["b", "c", "a", "b"]).tolist() == [1, 3, 0, 2]
