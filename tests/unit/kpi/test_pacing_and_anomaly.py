from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi import anomaly, pacing
from service.kpi.measure import Reason
from service.kpi.periods import Flight

BERLIN = "Europe/Berlin"
MARCH = Flight(first=date(2026, 3, 1), last=date(2026, 3, 31))


def _pace(now: datetime, plan: int = 3100, actual: int = 900, basis: pacing.Basis = pacing.Basis.DAYS) -> pacing.Pace:
    return pacing.pace(plan, actual, MARCH, now=now, zone=BERLIN, basis=basis)


def test_the_current_day_counts_by_the_part_that_has_passed() -> None:
    noon = datetime(2026, 3, 10, 11, tzinfo=UTC)
    found = _pace(noon)
    assert found.elapsed == Fraction(19, 2)
    assert found.expected == 950
    assert found.required == Fraction(2200) / Fraction(43, 2)


def test_after_the_flight_pacing_is_actual_over_plan() -> None:
    for basis in pacing.Basis:
        ended = _pace(datetime(2026, 5, 1, tzinfo=UTC), basis=basis)
        assert ended.pacing == Fraction(900, 3100)
        assert ended.projected == 900
        assert ended.remaining == 2200
        assert ended.remaining_time == 0
        assert ended.required is None


def test_the_last_day_belongs_to_the_flight() -> None:
    evening = datetime(2026, 3, 31, 21, 59, tzinfo=UTC)
    assert 30 < _pace(evening).elapsed < 31
    assert _pace(evening + timedelta(minutes=1)).elapsed == 31


def test_a_plan_of_nothing_has_no_pacing() -> None:
    found = _pace(datetime(2026, 3, 10, tzinfo=UTC), plan=0)
    assert (found.pacing, found.reason) == (None, Reason.ZERO_DENOMINATOR)


@given(st.timedeltas(timedelta(), timedelta(days=50)))
def test_time_passes_and_remains(after: timedelta) -> None:
    now = datetime(2026, 2, 20, tzinfo=UTC) + after
    for basis in pacing.Basis:
        found = _pace(now, basis=basis)
        assert found.elapsed + found.remaining_time == found.total
        assert 0 <= found.elapsed <= found.total


def test_projection_by_weekday_needs_two_weeks() -> None:
    first = date(2026, 3, 2)  # a Monday
    days = [(first + timedelta(days=i), 70.0 if i % 7 == 0 else 10.0) for i in range(14)]
    rest = [first + timedelta(days=14 + i) for i in range(2)]
    found = pacing.project(days, rest, 260.0)
    assert found is not None
    assert found.by_weekday
    assert found.total == 260 + 70 + 10
    assert found.interval is not None
    # Standard deviation of two seventies and twelve tens, t with 13 degrees of freedom, 2 days ahead of 14 seen.
    half = 2.1603686564610127 * (2 * 12 / 14 * 60**2 / 13) ** 0.5 * (2 + 4 / 14) ** 0.5
    assert float(found.interval.high or 0) == pytest.approx(found.total + half)
    assert float(found.interval.low or 0) == pytest.approx(found.total - half)
    short = pacing.project(days[:7], rest, 130.0)
    assert short is not None
    assert not short.by_weekday
    assert short.total == pytest.approx(130 + 2 * 130 / 7)
    assert pacing.project([], rest, 0.0) is None


def test_the_end_of_a_flight_has_no_interval() -> None:
    found = pacing.project([(date(2026, 3, 2), 5.0), (date(2026, 3, 3), 7.0)], [], 12.0)
    assert found is not None
    assert (found.total, found.interval) == (12.0, None)


def test_spikes_need_a_history_with_a_scale() -> None:
    assert anomaly.spike([], 5) is None
    silent = anomaly.spike([0, 0, 0], 1)
    assert silent is not None
    assert (silent.spike, silent.poisson_tail_p) == (None, None)
    fallen = anomaly.spike([50, 52, 48, 51, 49], 5)
    assert fallen is not None
    assert fallen.spike


def test_tails() -> None:
    assert anomaly.poisson_tail(0, 3.0) == 1.0
    assert anomaly.poisson_tail(1, 3.0) == pytest.approx(1 - 2.718281828459045**-3)
    assert anomaly.negbin_tail(0, 3.0, 2.0) == 1.0
    assert anomaly.negbin_tail(4, 3.0, 1.0) == anomaly.poisson_tail(4, 3.0)
    assert anomaly.negbin_tail(9, 3.0, 2.0) > anomaly.poisson_tail(9, 3.0)


def test_a_small_lasting_shift_is_seen_by_the_moving_average() -> None:
    quiet = anomaly.ewma([10.0, 10.5, 9.5, 10.0], mean=10.0, sd=1.0)
    assert not any(point.out for point in quiet)
    shifted = anomaly.ewma([11.2] * 12, mean=10.0, sd=1.0)
    assert not shifted[0].out
    assert shifted[-1].out
    assert shifted[0].average == pytest.approx(10.24)
    assert shifted[0].high == pytest.approx(10 + 3 * 0.2)
    assert shifted[1].average == pytest.approx(0.2 * 11.2 + 0.8 * 10.24)
    assert shifted[1].high == pytest.approx(10 + 3 * (0.2 / 1.8 * (1 - 0.8**4)) ** 0.5)


def test_a_swarm_of_many_people_is_no_coordination() -> None:
    crowd = anomaly.swarm(41, 36, baseline=12.0, authors_per_post=0.85, dispersion=2.5)
    assert crowd.concentrated is False
    nobody = anomaly.swarm(0, 0, baseline=12.0, authors_per_post=0.85, dispersion=2.5)
    assert (nobody.author_ratio, nobody.concentrated, nobody.poisson_tail_p) == (None, None, 1.0)
