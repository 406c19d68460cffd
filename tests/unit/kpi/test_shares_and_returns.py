from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from service.kpi import resample, returns, shares
from service.kpi.measure import Method, Reason
from service.kpi.rates import normal_quantile, wilson_limits

CLICKS = np.array([12, 3, 30, 5, 40, 2, 8, 20], dtype=np.float64)
IMPRESSIONS = np.array([400, 300, 500, 450, 600, 250, 350, 550], dtype=np.float64)


def test_retention_waits_for_the_whole_window() -> None:
    early = shares.retention(240, 0, 0)
    assert (early.value, early.reason, early.left_out) == (None, Reason.NO_MATURE_COHORT, 240)
    nobody = shares.retention(0, 0, 0)
    assert nobody.reason is Reason.ZERO_DENOMINATOR


def test_share_of_voice_is_over_all_tracked_brands() -> None:
    found = shares.share_of_voice(300, {"b": 500, "c": 200})
    limits = wilson_limits(300, 1000)
    assert found.value == 0.3
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == limits
    assert shares.share_of_voice(0, {}).value is None


def test_the_lag_curve_is_a_step_function() -> None:
    curve = {0: 0.3, 2: 0.75, 6: 1.0}
    assert [shares.arrived(curve, age) for age in (-1, 0, 1, 2, 5, 6, 90)] == [0.0, 0.3, 0.3, 0.75, 0.75, 1.0, 1.0]


def test_maturity_without_clicks_or_without_an_arrival() -> None:
    assert shares.maturity([], {0: 1.0}).reason is Reason.ZERO_DENOMINATOR
    young = shares.maturity([shares.Cohort(age_days=0, clicks=10, conversions=0)], {1: 0.5})
    assert (young.weighted_rate, young.reason, young.raw_rate) == (None, Reason.NO_MATURE_COHORT, 0.0)
    assert young.mature_rate is None


def test_roas_is_a_compound_poisson_sum() -> None:
    values = [120_000_000, 80_000_000, 200_000_000]
    found = returns.roas(values, 100_000_000)
    assert found.value == 4.0
    assert found.se == pytest.approx((120**2 + 80**2 + 200**2) ** 0.5 / 100)
    assert found.interval is not None
    half = normal_quantile(0.95) * (found.se or 0)
    assert (found.interval.low, found.interval.high) == pytest.approx((4 - half, 4 + half))
    roi = returns.shifted(found.interval, -1.0, scale=0.4)
    assert (roi.low, roi.high) == pytest.approx(((4 - half) * 0.4 - 1, (4 + half) * 0.4 - 1))
    assert returns.roas(values, 0).reason is Reason.ZERO_DENOMINATOR
    assert returns.roas([], 5).interval is None


def test_earned_media_value_names_what_it_lacks() -> None:
    rates = {"likes": Fraction("0.10"), "comments": Fraction("0.50"), "saves": Fraction(1)}
    found = returns.earned_media_value({"likes": 100, "comments": 10, "shares": 4, "saves": None}, rates, "card@1")
    assert found.amount == 15
    assert found.incomplete
    assert (found.without_rate, found.without_count) == (("shares",), ("saves",))
    zero = returns.earned_media_value({"likes": 0}, {"likes": Fraction(1)}, "card@1")
    assert (zero.amount, zero.incomplete) == (Fraction(0), False)
    whole = returns.earned_media_value({"likes": 100}, {"likes": Fraction(1, 3)}, "card@1")
    assert (whole.amount, whole.incomplete, whole.rate_card) == (Fraction(100, 3), False, "card@1")


def test_bootstrap_is_seeded_and_near_the_reference() -> None:
    found = resample.bootstrap(CLICKS, IMPRESSIONS, seed=1)
    assert found == resample.bootstrap(CLICKS, IMPRESSIONS, seed=1)
    assert found is not None
    assert found.method is Method.BOOTSTRAP_BCA
    # scipy's own interval with other seeds lies within a few per cent.
    assert float(found.low or 0) == pytest.approx(0.0209, rel=0.05)
    assert float(found.high or 0) == pytest.approx(0.0523, rel=0.05)


def test_bootstrap_needs_eight_different_members() -> None:
    assert resample.bootstrap(CLICKS[:7], IMPRESSIONS[:7], seed=1) is None
    alike = np.ones(9)
    assert resample.bootstrap(alike, alike * 10, seed=1) is None
