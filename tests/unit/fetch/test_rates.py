"""The rule of rate budgets: no window holds more than the limit, and the platform's word goes before the count."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Budget, Usage
from service.fetch.rates import Level, draw, share_used, told

MINUTE = Budget(bucket="a", calls=60, window=timedelta(minutes=1))
NOW = 1_800_000_000.0


@given(
    st.lists(
        st.tuples(st.floats(0, 40), st.integers(1, 9), st.sampled_from([None, 0.2, 0.9, 1.0])), min_size=1, max_size=80
    )
)
def test_no_window_holds_more_than_the_limit(steps: list[tuple[float, int, float | None]]) -> None:
    """Whatever is drawn and whenever, in any sliding window; words that say less is left only make it less."""
    level, now, taken = Level(), NOW, list[tuple[float, float]]()
    late = 3.0  # a call may leave a slot later than it was drawn
    for pause, cost, used in steps:
        now += pause
        drawn = draw(level, MINUTE, float(cost), now)
        level = drawn.level
        if drawn.got:
            assert drawn.got >= cost
            assert drawn.until > now
            assert drawn.latest - drawn.until == late
            taken.append((now, drawn.got))
        else:
            assert drawn.wait > 0
            again = draw(level, MINUTE, float(cost), now + drawn.wait)
            assert again.got, "after the wait there is room"
        if used is not None and used * 60 > sum(level.counts):
            level = told(level, MINUTE, Usage(bucket="a", used=used), now)
    for start, _ in taken:
        assert sum(got for at, got in taken if start <= at < start + 60 + late) <= 60 + 1e-6


def test_leases_are_wide_where_much_is_left_and_single_at_the_end() -> None:
    wide = Budget(bucket="a", calls=10_000, window=timedelta(days=1))
    level, sizes = Level(), list[float]()
    while True:
        drawn = draw(level, wide, 1.0, NOW)
        if not drawn.got:
            break
        level = drawn.level
        sizes.append(drawn.got)
    assert sizes[0] == 100
    assert sizes[-1] == 1
    assert abs(sum(sizes) - 10_000) <= 1
    assert len(sizes) < 200


def test_a_limit_that_nobody_knows_has_no_end_until_it_is_told() -> None:
    assert draw(Level(), None, 1.0, NOW).got is None
    level = told(Level(), None, Usage(bucket="a", remaining=2.0, reset=30.0), NOW)
    for _ in range(2):
        drawn = draw(level, None, 1.0, NOW + 1)
        assert drawn.got == 1
        level = drawn.level
    assert draw(level, None, 1.0, NOW + 1).wait == 29
    assert draw(level, None, 1.0, NOW + 30).got is None


def test_answers_that_overtake_each_other_give_nothing_back() -> None:
    level = told(Level(), MINUTE, Usage(bucket="a", remaining=3.0, reset=30.0), NOW)
    level = told(level, MINUTE, Usage(bucket="a", remaining=9.0, reset=29.0), NOW + 1)
    assert level.left == 3
    level = told(level, MINUTE, Usage(bucket="a", remaining=60.0, reset=60.0), NOW + 31)
    assert level.left == 60
    # A bucket of points fills up all the time, and what was drawn was a guess.
    level = told(level, MINUTE, Usage(bucket="a", remaining=40.0, reset=60.0), NOW + 31, guessed=True)
    assert told(level, MINUTE, Usage(bucket="a", remaining=50.0, reset=60.0), NOW + 31, guessed=True).left == 50


def test_a_share_that_is_told_replaces_what_was_counted() -> None:
    level = Level()
    for _ in range(40):
        level = draw(level, MINUTE, 1.0, NOW).level
    level = told(level, MINUTE, Usage(bucket="a", used=0.1), NOW + 20)
    assert share_used(level, MINUTE, NOW + 20) == pytest.approx(0.1)
    level = told(level, MINUTE, Usage(bucket="a", used=0.5), NOW + 20)
    assert share_used(level, MINUTE, NOW + 20) == pytest.approx(0.5)
    # A rest is exact: what was just drawn as a guess at its cost is known now.
    level = draw(Level(), MINUTE, 50.0, NOW).level
    level = told(level, MINUTE, Usage(bucket="a", used=0.05, remaining=950.0, limit=1000.0, reset=1.0), NOW)
    assert share_used(level, MINUTE, NOW + 1) == pytest.approx(0.05)


def test_a_higher_limit_is_believed_and_a_lower_one_is_the_rest() -> None:
    level = told(Level(), MINUTE, Usage(bucket="a", limit=600.0, remaining=500.0, reset=60.0), NOW)
    assert draw(level, MINUTE, 400.0, NOW).got == 400
    level = told(Level(), MINUTE, Usage(bucket="a", limit=10.0, remaining=5.0, reset=60.0), NOW)
    assert draw(level, MINUTE, 6.0, NOW).wait == 60


def test_who_is_asked_to_wait_waits() -> None:
    level = told(Level(), MINUTE, Usage(bucket="a", wait=90.0), NOW)
    level = told(level, MINUTE, Usage(bucket="a", wait=5.0), NOW)
    assert draw(level, MINUTE, 1.0, NOW + 10).wait == 80
    assert draw(level, MINUTE, 1.0, NOW + 90).got


def test_a_call_that_costs_more_than_all_there_is_leaves_when_nothing_else_did() -> None:
    first = draw(Level(), MINUTE, 100.0, NOW)
    assert first.got == 100
    assert draw(first.level, MINUTE, 1.0, NOW).wait > 0


def test_a_clock_that_is_behind_frees_nothing() -> None:
    level = draw(Level(), MINUTE, 60.0, NOW).level
    assert not draw(level, MINUTE, 1.0, NOW - 30).got
