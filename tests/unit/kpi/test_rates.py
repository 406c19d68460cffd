from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi import rates
from service.kpi.measure import Interval, Method
from service.kpi.members import FloatArray, column

counts = st.integers(min_value=0, max_value=10**9)
posts = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**7)), min_size=1, max_size=40)


def _arrays(pairs: list[tuple[int, int]]) -> tuple[FloatArray, FloatArray]:
    above = np.array([pair[0] for pair in pairs], dtype=np.float64)
    return above, np.array([pair[1] for pair in pairs], dtype=np.float64)


def _contains(interval: Interval, point: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    slack = 1e-9 * max(1.0, abs(point))
    return float(interval.low) <= point + slack and float(interval.high) >= point - slack


@given(counts, counts)
def test_wilson_contains_the_rate_and_stays_in_the_unit_interval(a: int, b: int) -> None:
    successes, trials = sorted((a, b))
    interval = rates.wilson(successes, trials)
    if trials == 0:
        assert interval is None
        return
    assert interval is not None
    assert _contains(interval, successes / trials)
    assert float(interval.low or 0) >= 0
    assert float(interval.high or 0) <= 1


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5), (0, 0), (0, -3)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    assert rates.wilson(successes, trials) is None


def test_wilson_is_exact_at_the_edges() -> None:
    none, every = rates.wilson_limits(0, 7), rates.wilson_limits(7, 7)
    assert none is not None
    assert none[0] == 0.0
    assert every is not None
    assert every[1] == 1.0


@given(st.integers(0, 10**7))
def test_garwood_contains_the_count(count: int) -> None:
    limits = rates.garwood(count)
    assert limits is not None
    assert limits[0] <= count <= limits[1]
    assert limits[0] > 0 or count == 0


@pytest.mark.parametrize("count", [2.5, -1])
def test_garwood_refuses_what_is_no_count(count: float) -> None:
    assert rates.garwood(count) is None


def test_cost_per_count_is_open_above_without_events_and_needs_a_cost() -> None:
    interval = rates.per_count(350.0, 0)
    assert interval is not None
    assert interval.high is None
    assert rates.per_count(0.0, 3) is None
    assert rates.per_count(-5.0, 3) is None


@given(posts)
def test_ratio_of_sums_lies_between_the_ratios_of_the_members(pairs: list[tuple[int, int]]) -> None:
    aligned = rates.align(column([above for above, _ in pairs]), column([below for _, below in pairs]))
    ratio = aligned.numerator / aligned.denominator
    each = [above / below for above, below in pairs]
    assert min(each) - 1e-12 <= ratio <= max(each) + 1e-12


@given(posts)
def test_intervals_by_post_contain_the_ratio(pairs: list[tuple[int, int]]) -> None:
    above, below = _arrays(pairs)
    ratio = float(above.sum() / below.sum())
    for interval in (
        rates.delta_t(above, below),
        rates.log_delta_t(above, below),
        rates.by_post(above, below, rates.LEVEL),
    ):
        assert interval is None or _contains(interval, ratio)


def test_jackknife_is_the_plain_leave_one_out() -> None:
    above, below = _arrays([(12, 400), (3, 300), (30, 500), (5, 450), (40, 600)])
    without = [
        (above.sum() - above[i]) / (below.sum() - below[i]) for i in range(5)
    ]  # written out, to compare the vectorised one with
    mean = sum(without) / 5
    se = math.sqrt(4 / 5 * sum((one - mean) ** 2 for one in without))
    spread = rates.jackknife_spread(above, below)
    assert spread is not None
    assert spread.se == pytest.approx(se, rel=1e-12)


def test_members_without_any_information_do_not_count() -> None:
    pairs = [(12, 400), (3, 300), (30, 500), (5, 450), (40, 600)]
    above, below = _arrays(pairs)
    more_above, more_below = _arrays([*pairs, (0, 0), (0, 0)])
    assert rates.by_post(above, below, rates.LEVEL) == rates.by_post(more_above, more_below, rates.LEVEL)


def test_no_jackknife_where_one_member_holds_the_whole_denominator() -> None:
    assert rates.by_post(*_arrays([(1, 10), (5, 0), (2, 0), (1, 0), (3, 0)]), rates.LEVEL) is None


def test_no_interval_by_post_without_a_numerator_or_with_four_members() -> None:
    assert rates.by_post(*_arrays([(0, 10)] * 5), rates.LEVEL) is None
    assert rates.by_post(*_arrays([(3, 10), (4, 10), (3, 12), (5, 10)]), rates.LEVEL) is None


def test_what_belongs_to_no_member_is_never_left_out() -> None:
    above, below = _arrays([(10, 100), (12, 110), (9, 90), (11, 120), (10, 95)])
    alone, with_fee = rates.jackknife_spread(above, below), rates.jackknife_spread(above, below, (50.0, 0.0))
    assert alone is not None
    assert with_fee is not None
    assert with_fee.ratio == pytest.approx((above.sum() + 50) / below.sum())
    # Adding a fixed amount to each leave-one-out numerator is the same as adding it to the total.
    assert with_fee.se != pytest.approx(alone.se)


def test_by_post_needs_five_members() -> None:
    above, below = _arrays([(10, 100), (12, 110), (9, 90), (11, 120), (10, 95)])
    interval = rates.by_post(above, below, 0.95)
    assert interval is not None
    assert interval.method is Method.LOG_JACKKNIFE_T
    assert rates.by_post(above[:4], below[:4], 0.95) is None


def test_a_higher_level_gives_a_wider_interval() -> None:
    narrow, wide = rates.wilson_limits(42, 1800, 0.9), rates.wilson_limits(42, 1800, 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_no_interval_by_post_without_a_denominator() -> None:
    nothing = _arrays([(3, 0), (4, 0), (5, 0)])
    assert rates.delta_spread(*nothing) is None
    assert rates.jackknife_spread(*nothing) is None
    assert rates.fieller_t(*nothing) is None


def test_fieller_solves_its_equation_and_knows_when_it_cannot() -> None:
    above, below = _arrays([(12, 400), (3, 300), (30, 500), (5, 450), (40, 600)])
    found = rates.fieller_t(above, below)
    assert found is not None
    _, interval = found
    assert interval is not None
    t2 = rates.t_quantile(0.95, 4) ** 2
    covariance = np.cov(above, below, ddof=1) / 5
    for limit in (interval.low, interval.high):
        assert limit is not None
        r = float(limit)
        variance = covariance[0, 0] - 2 * r * covariance[0, 1] + r * r * covariance[1, 1]
        assert (above.mean() - r * below.mean()) ** 2 == pytest.approx(t2 * variance, rel=1e-9)
    wild = rates.fieller_t(*_arrays([(1, 1), (1, 1000)]))
    assert wild is not None
    assert wild[0] >= 1
    assert wild[1] is None
