from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special

from service.kpi import compare, counts, lift, proportions, rates, strata
from service.kpi.compare import Decision, Obstacle, Terms
from service.kpi.measure import Reason
from service.kpi.proportions import Proportion


def _p(successes: int, trials: int) -> Proportion:
    return Proportion(successes=successes, trials=trials)


proportion = st.tuples(st.integers(0, 1000), st.integers(1, 100_000)).map(lambda t: _p(min(t), max(t)))


def test_change_of_money_stays_exact() -> None:
    moved = compare.change("10.10", "10.00")
    assert (moved.absolute, moved.fraction) == ("0.10", 0.01)
    assert compare.change(0.3, 0.1).absolute == 0.2
    assert compare.change(1, None).reason is Reason.MISSING_PREVIOUS


@given(proportion, proportion)
def test_newcombe_is_the_mirror_of_itself_and_contains_the_difference(a: Proportion, b: Proportion) -> None:
    low, high = proportions.newcombe(a, b)
    mirror_low, mirror_high = proportions.newcombe(b, a)
    assert low <= a.rate - b.rate <= high
    assert (low, high) == pytest.approx((-mirror_high, -mirror_low), abs=1e-12)


@given(proportion, proportion)
def test_the_anytime_interval_is_wider_than_the_one_for_a_single_look(a: Proportion, b: Proportion) -> None:
    low, high = proportions.wald(a, b)
    always_low, always_high = proportions.anytime(a, b)
    assert always_low <= low <= high <= always_high


def _exact_probability(a: Proportion, b: Proportion) -> float:
    """Return P(a > b) under uniform priors by the finite sum that whole numbers allow."""
    alpha_b, beta_a, beta_b = 1 + b.successes, 1 + a.trials - a.successes, 1 + b.trials - b.successes
    i = np.arange(1 + a.successes)
    logs = special.betaln(alpha_b + i, beta_a + beta_b) - special.betaln(1 + i, beta_a) - np.log(beta_a + i)
    return float(np.exp(logs - special.betaln(alpha_b, beta_b)).sum())


@given(proportion, proportion)
def test_the_probability_of_being_better_is_the_exact_one(a: Proportion, b: Proportion) -> None:
    found = proportions.probability_better(a, b)
    assert found == pytest.approx(_exact_probability(a, b), abs=1e-8)
    assert found + proportions.probability_better(b, a) == pytest.approx(1, abs=1e-12)


def test_probability_of_being_better_with_large_samples() -> None:
    assert proportions.probability_better(_p(50_000, 10**6), _p(50_000, 10**6)) == pytest.approx(0.5, abs=1e-9)
    assert proportions.probability_better(_p(0, 5), _p(0, 5)) == pytest.approx(0.5, abs=1e-9)
    # Two posteriors Beta(2, 1) and Beta(1, 2): the exact probability is 5 / 6.
    assert proportions.probability_better(_p(1, 1), _p(0, 1)) == pytest.approx(5 / 6, abs=1e-9)


def test_what_is_no_proportion_is_refused() -> None:
    with pytest.raises(ValueError, match="proportion"):
        _p(3, 2)


def test_undefined_tests_are_none() -> None:
    assert proportions.score_test(_p(0, 5), _p(0, 9)) is None
    assert proportions.ratio_log(_p(0, 5), _p(1, 9)) is None
    assert proportions.sample_size(0.02, 0.02) is None


def test_exact_comparison_of_conversions_per_money() -> None:
    # Compared with statsmodels test_poisson_2indep(method="exact-cond") and the binomial limits of scipy.
    found = counts.exact_ratio(14, 400.0, 6, 520.0)
    assert found is not None
    assert found.ratio == pytest.approx(3.0333333333333337)
    assert found.p_value == pytest.approx(0.02240111416813221, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((1.0950366780491168, 9.630653458556557), rel=1e-9)
    none = counts.exact_ratio(3, 100.0, 0, 100.0)
    assert none is not None
    assert (none.ratio, none.high) == (None, None)
    assert none.low > 0
    assert counts.exact_ratio(0, 1.0, 0, 1.0) is None
    with pytest.raises(ValueError, match="exposures"):
        counts.exact_ratio(1, 0.0, 1, 1.0)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.1, 10))
def test_exact_limits_contain_the_ratio(a: int, b: int, exposure: float) -> None:
    assume(a + b)
    found = counts.exact_ratio(a, exposure, b, 1.0)
    assert found is not None
    assert 0 <= found.p_value <= 1
    if found.ratio is not None and found.high is not None:
        assert found.low <= found.ratio <= found.high


def test_false_discoveries_are_controlled() -> None:
    # Compared with statsmodels multipletests(method="fdr_bh").
    adjusted, found = counts.benjamini_hochberg([0.001, 0.02, 0.03, 0.2, 0.041])
    assert adjusted == pytest.approx([0.005, 0.05, 0.05, 0.2, 0.05125])
    assert found[0]
    assert found[3:] == [False, False]
    assert counts.benjamini_hochberg([]) == ([], [])


def test_platforms_as_strata_reverse_the_pooled_view() -> None:
    # The kidney stone data of Charig et al. 1986, compared with statsmodels StratifiedTable.
    pairs = [(_p(81, 87), _p(234, 270)), (_p(192, 263), _p(55, 80))]
    found = strata.stratified(pairs)
    assert found.odds_ratio == pytest.approx(1.44684662494262, rel=1e-12)
    assert found.odds_ratio_limits == pytest.approx((0.9157934135040253, 2.2858486698415734), rel=1e-9)
    assert found.risk_ratio == pytest.approx(1.0690001538676979, rel=1e-12)
    assert (found.statistic, found.p_value) == pytest.approx((2.433855515576142, 0.11874052970979887), rel=1e-9)
    assert strata.cmh(pairs, correction=True) == pytest.approx((2.0912568500936146, 0.14814414859008396), rel=1e-9)
    assert found.crude_difference < 0
    assert found.reversed


def test_strata_that_tell_nothing() -> None:
    found = strata.stratified([(_p(0, 5), _p(0, 7))])
    assert (found.risk_ratio, found.odds_ratio, found.statistic) == (None, None, None)
    with pytest.raises(ValueError, match="strata"):
        strata.stratified([])


def test_lift_shows_the_delta_limits_only_where_they_are_good() -> None:
    sure = lift.lift(rates.Spread(ratio=0.03, se=0.001, n=9), rates.Spread(ratio=0.02, se=0.0005, n=9))
    assert sure is not None
    assert sure.limits == sure.delta
    unsure = lift.lift(rates.Spread(ratio=0.03, se=0.001, n=9), rates.Spread(ratio=0.02, se=0.02, n=9))
    assert unsure is not None
    assert unsure.g >= 1
    assert unsure.limits is None
    nothing = rates.Spread(ratio=0.0, se=0.0, n=9)
    assert lift.lift(nothing, nothing) is None


@pytest.mark.parametrize(
    ("limits", "margin", "word"),
    [
        ((0.001, 0.02), None, Decision.BETTER),
        ((-0.02, -0.001), 0.05, Decision.WORSE),
        ((-0.001, 0.002), None, Decision.UNDECIDED),
        ((-0.001, 0.002), 0.005, Decision.EQUIVALENT),
        ((-0.001, 0.02), 0.005, Decision.UNDECIDED),
        ((0.0, 0.0), None, Decision.UNDECIDED),
    ],
)
def test_words(limits: tuple[float, float], margin: float | None, word: Decision) -> None:
    assert compare.decide(limits, margin) is word


def test_what_stands_against_comparing() -> None:
    plain = Terms(definition="ctr@1")
    assert compare.obstacles(plain, plain) == ()
    other = Terms(definition="ctr@2", attribution="linear", maturity_days=3, currency="USD", closed=False)
    assert compare.obstacles(plain, other) == (
        Obstacle.DEFINITION,
        Obstacle.ATTRIBUTION,
        Obstacle.MATURITY,
        Obstacle.CURRENCY,
        Obstacle.OPEN_WINDOW,
    )
    cut = Terms(definition="ctr@1", maturity_days=3, closed=False)
    assert compare.obstacles(cut, cut) == ()
