from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Invalid
from service.kpi import benchmarks, levels, tiers
from service.kpi.measure import Bounds, Reason
from service.kpi.tiers import Band


@given(st.lists(st.integers(0, 10**9), min_size=1), st.one_of(st.none(), st.integers(0, 10**9)))
def test_reach_bounds_are_ordered(people: list[int], cap: int | None) -> None:
    bounds = levels.union_bounds(people, cap)
    assert bounds is not None
    assert bounds.upper is not None
    assert bounds.lower == max(people)
    assert bounds.lower <= bounds.upper <= sum(people)


def test_bounds_of_unknown_audiences() -> None:
    assert levels.union_bounds([]) is None
    assert levels.union_bounds([5, 3], unknown=1) == Bounds(lower=5, upper=None)
    assert levels.union_bounds([5, 3], cap=90, unknown=1) == Bounds(lower=5, upper=90)
    assert levels.frequency_bounds(100, 0, 50) == Bounds(lower=2.0, upper=None)
    assert levels.frequency_bounds(100, 5, None) == Bounds(lower=0.0, upper=20.0)


def test_growth_without_an_end_or_a_base() -> None:
    assert levels.growth(1, None).reason is Reason.MISSING_CURRENT
    assert levels.growth(None, 1).reason is Reason.MISSING_PREVIOUS
    assert levels.growth(-1, 4).reason is Reason.NEGATIVE_BASE
    assert levels.unexplained(450, 600, 100) == -50


def test_the_mean_of_a_level_ends_where_it_is_asked_to() -> None:
    assert levels.time_weighted_mean([(0, 10), (4, 20)], 2) == 10
    assert levels.time_weighted_mean([(0, 10), (4, 20)], 8) == 15
    assert levels.time_weighted_mean([(3, 10)], 3) is None
    assert levels.time_weighted_mean([], 3) is None


@pytest.mark.parametrize(
    ("followers", "tier"),
    [(0, "nano"), (4_999, "nano"), (5_000, "micro"), (100_000, "macro"), (4_999_999, "macro"), (5_000_000, "mega")],
)
def test_the_default_policy(followers: int, tier: str) -> None:
    assert tiers.tier_of(tiers.BRIEF_FOUR_TIER, followers) == tier
    assert tiers.BRIEF_FOUR_TIER.name == "brief_four_tier@1"
    assert next(iter(tiers.POLICIES)) == "brief_four_tier@1"


def test_a_table_with_a_hole_is_refused() -> None:
    found_in_the_wild = [
        Band(tier="nano", lower=2_500, upper=10_000),
        Band(tier="micro", lower=10_000, upper=50_000),
        Band(tier="mid", lower=50_000, upper=150_000),
        Band(tier="macro", lower=150_000, upper=1_500_000),
        Band(tier="mega", lower=5_000_000, upper=None),
    ]
    with pytest.raises(Invalid, match="hole between 1500000 and 5000000"):
        tiers.policy_of_bands("collabment", 1, found_in_the_wild)
    closed = [*found_in_the_wild[:4], Band(tier="mega", lower=1_500_000, upper=None)]
    assert tiers.tier_of(tiers.policy_of_bands("closed", 1, closed), 2_000_000) == "mega"


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([("nano", 0, 10), ("micro", 5, None)], "overlap"),
        ([("nano", 0, None), ("micro", 5, None)], "overlap"),
        ([("nano", 0, 10), ("micro", 10, 20)], "must be open"),
        ([], "at least one"),
    ],
)
def test_bad_bands_are_refused(bands: list[tuple[str, int, int | None]], message: str) -> None:
    table = [Band(tier=tier, lower=lower, upper=upper) for tier, lower, upper in bands]
    with pytest.raises(Invalid, match=message):
        tiers.policy_of_bands("mine", 1, table)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [([("a", 5), ("b", 5)], "ascend"), ([("a", 5), ("a", 9)], "once"), ([("a", -1)], "negative")],
)
def test_bad_bounds_are_refused(bounds: list[tuple[str, int]], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        tiers.policy("mine", 1, bounds)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6, unique=True).map(sorted), st.integers(0, 10**9))
def test_every_count_has_exactly_one_tier(bounds: list[int], followers: int) -> None:
    rules = tiers.policy("mine", 1, [(f"t{i}", bound) for i, bound in enumerate(bounds)])
    tier = tiers.tier_of(rules, followers)
    edges = [*bounds, None]
    expected = [f"t{i}" for i, (low, high) in enumerate(pairwise(edges)) if (low or 0) <= followers < (high or 10**12)]
    assert [tier] == (expected or ["below_t0"])


def test_posts_of_unknown_tier_are_left_out_and_counted() -> None:
    posts = [
        benchmarks.TierPost(tier="micro", engagements=30, followers=1000),
        benchmarks.TierPost(tier=None, engagements=70, followers=1000),
    ]
    found = benchmarks.mixed_tiers(posts, {"micro": 0.06})
    assert found.total.index == 0.5
    assert (found.coverage.members_known, found.coverage.numerator_share) == (1, 0.3)
    assert benchmarks.mixed_tiers([], {"micro": 0.06}).total.index is None


def test_a_difference_splits_into_tiers_and_mix() -> None:
    a, b = {"micro": (90, 1000), "macro": (10, 1000)}, {"micro": (9, 100), "macro": (19, 1900)}
    found = benchmarks.mix_effect(a, b)
    assert found is not None
    assert found.difference == pytest.approx(100 / 2000 - 28 / 2000)
    assert found.within == pytest.approx(0)
    assert found.mix == pytest.approx(found.difference)
    better = {"micro": (120, 1000), "macro": (10, 1000)}
    both = benchmarks.mix_effect(better, b)
    assert both is not None
    assert both.within == pytest.approx((0.5 + 0.05) / 2 * 0.03)
    assert both.within + both.mix == pytest.approx(130 / 2000 - 28 / 2000)
    assert benchmarks.mix_effect(a, {"micro": (1, 10)}) is None
    assert benchmarks.mix_effect({}, {}) is None
