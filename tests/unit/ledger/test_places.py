"""Numbers of members in strings of bytes: what is written is read again, in the least width."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.history.places import NOBODY, Numbers, halves, packed, places_in, roster_of, take, unpacked

NUMBER = st.integers(-(2**62), 2**62) | st.integers(-300, 300)
CELLS = st.lists(st.tuples(NUMBER, st.integers(0, 70_000)), max_size=12)
SUBJECTS = [UUID(int=(number << 64) + 7 * number) for number in range(1, 9)]


def _wanted(*subjects: UUID) -> Any:
    return halves(roster_of(subjects))


def numbers(cells: list[tuple[int, int]]) -> Numbers:
    """Return numbers; nothing is known where the count is zero."""
    sums = [amount if days else 0 for amount, days in cells]
    return Numbers(np.array(sums, dtype=np.int64), np.array([days for _, days in cells], dtype=np.int64))


@given(CELLS, st.integers(0, 3))
def test_what_is_packed_is_unpacked(cells: list[tuple[int, int]], more: int) -> None:
    given_ = numbers(cells)
    found = unpacked(packed(given_), len(cells) + more)
    assert found.sums.tolist() == given_.sums.tolist() + [0] * more
    assert found.counts.tolist() == given_.counts.tolist() + [0] * more
    places = np.arange(len(cells) + more)[::-1]
    sums, counts = np.zeros((2, len(places)), dtype=np.int64)
    take(packed(given_), places, sums, counts)
    assert (sums.tolist(), counts.tolist()) == (found.sums[::-1].tolist(), found.counts[::-1].tolist())


@pytest.mark.parametrize(
    ("amount", "days", "size"),
    [(127, 127, 3), (-128, 1, 3), (128, 1, 4), (32_768, 128, 7), (2**31, 32_768, 13), (5, 0, 1)],
)
def test_the_least_width_is_taken(amount: int, days: int, size: int) -> None:
    assert len(packed(numbers([(amount, days)]))) == size


def test_a_place_that_is_not_trusted_is_no_place() -> None:
    roster = roster_of(SUBJECTS[:3]) + NOBODY + roster_of(SUBJECTS[4:6])
    which, places = places_in(roster, roster_of(SUBJECTS[1:2]), _wanted(*(SUBJECTS[at] for at in (5, 3, 1, 0))))
    assert (which.tolist(), places.tolist()) == ([0, 3], [5, 0])
    which, places = places_in(b"", b"", _wanted(*SUBJECTS))
    assert (which.tolist(), places.tolist()) == ([], [])
    # Another id with the same half is not taken for it.
    which, _ = places_in(roster, b"", _wanted(UUID(int=(99 << 64) + 7)))
    assert which.tolist() == []
