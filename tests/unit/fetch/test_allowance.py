from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Budget, FetchKind
from service.fetch.allowance import SHARE, calls_for, calls_per_hour, regular_pace, room

HOUR = timedelta(hours=1)
SLOT = timedelta(minutes=15)
ALONE = FetchKind(name="a", every=6 * HOUR, subjects=True, calls=2)
BATCHED = FetchKind(name="b", every=HOUR, subjects=True, batch=50)


def budget(calls: int, window: timedelta, per: str = "account") -> Budget:
    return Budget(bucket="b", calls=calls, window=window, per=per)


def test_the_tightest_budget_counts_and_that_of_an_app_is_shared() -> None:
    loose, tight = budget(40, timedelta(minutes=1)), budget(4800, timedelta(days=1), "app")
    assert calls_per_hour([loose, tight], 1) == SHARE * 200
    assert calls_per_hour([loose, tight], 4) == SHARE * 50
    assert calls_per_hour([loose], 4) == SHARE * 2400
    assert calls_per_hour([], 4) is None


def test_where_no_budget_is_known_the_regular_pace_is_kept() -> None:
    assert regular_pace(ALONE, 60) == 20
    assert regular_pace(BATCHED, 101) == 3
    assert calls_for(BATCHED, 0) == 0


@pytest.mark.parametrize(
    ("kind", "hourly", "spent", "named"),
    [
        (ALONE, 100, 0, 12),
        (ALONE, 100, 90, 5),
        (ALONE, 100, 99, 0),
        (ALONE, 100, 500, 0),
        (BATCHED, 208, 0, 52 * 50),
        (BATCHED, 0.1, 0, 50),
        (ALONE, 0.1, 0, 1),
        (ALONE, 0.1, 2, 0),
    ],
)
def test_the_room_of_a_slot(kind: FetchKind, hourly: float, spent: int, named: int) -> None:
    assert room(kind, hourly, spent, SLOT) == named


@given(
    hourly=st.floats(0, 5000),
    batch=st.integers(1, 100),
    calls=st.integers(1, 4),
    slots=st.integers(1, 12),
)
def test_four_slots_never_spend_more_than_an_hour(hourly: float, batch: int, calls: int, slots: int) -> None:
    kind = FetchKind(name="k", every=HOUR, subjects=True, batch=batch, calls=calls)
    made: list[int] = []
    for _ in range(slots):
        made.append(calls_for(kind, room(kind, hourly, sum(made[-4:]), SLOT)))
        assert sum(made[-5:]) <= max(hourly, calls) + max(hourly, calls) / 4 + calls
    assert all(sum(made[at : at + 4]) <= max(hourly, calls) for at in range(len(made)))
