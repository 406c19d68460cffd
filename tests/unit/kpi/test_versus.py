"""Arms, views and verdicts, without books."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi.arms import Arm, Nature, arm_of, clustered, plain
from service.kpi.catalogue import resolve
from service.kpi.compare import Decision
from service.kpi.members import member_sums
from service.kpi.rates import Spread
from service.kpi.versus import Margin, against
from service.kpi.views import Look, Pair, inverse, p_value, view

WATCHED, ONCE = Look(), Look(peeking=False)


def arm(nature: Nature, above: list[float], below: list[float], **more: object) -> Arm:
    return Arm(nature=nature, numerators=np.array(above), denominators=np.array(below), **more)  # type: ignore[arg-type]


def trials(above: list[float], below: list[float]) -> Arm:
    return arm(Nature.PROPORTION, above, below)


def test_costs_are_turned_upside_down_and_keep_what_belongs_to_no_post() -> None:
    sums = member_sums(["a", "b"], {"conversions": [3_000_000, 5_000_000], "spend_media": [40_000_000, None]})
    found = arm_of(resolve("cpa"), sums)
    assert found is not None
    assert (found.nature, found.above, found.below) == (Nature.EVENTS, 8.0, 40.0)
    assert arm_of(resolve("cpa"), member_sums(["a"], {"conversions": [1_000_000]})) is None
    free = member_sums(["a"], {"conversions": [1_000_000], "spend_media": [0]})
    assert arm_of(resolve("cpa"), free) is None


def test_a_share_above_its_base_is_no_proportion() -> None:
    sums = member_sums(["a"], {"clicks_link": [7], "impressions": [5]})
    found = arm_of(resolve("ctr"), sums)
    assert found is not None
    assert found.nature is Nature.AMOUNTS
    assert against(found, trials([1.0], [9.0]), {}, WATCHED) is None


def test_an_arm_of_nothing_or_of_everything_has_an_error() -> None:
    for above in (0.0, 20.0):
        spread = plain(trials([above], [20.0]))
        assert spread is not None
        assert spread.se > 0
    assert clustered(trials([1, 2, 3, 4], [9, 9, 9, 9])) is None


@given(
    st.floats(-6, 6),
    st.sampled_from([WATCHED, ONCE]),
    st.booleans(),
    st.sampled_from([Nature.PROPORTION, Nature.EVENTS]),
)
def test_limits_and_p_value_say_the_same(z: float, look: Look, by_post: bool, nature: Nature) -> None:
    base = Spread(ratio=0.02, se=0.001, n=9)
    moved = Pair(
        a=Spread(ratio=0.02 + z * math.hypot(0.001, 0.001), se=0.001, n=12),
        b=base,
        nature=nature,
        size=20_000,
        clustered=by_post,
    )
    found = view(moved, look)
    low, high = found.limits
    p = p_value(moved, look)
    assert p is not None
    assert found.logarithmic is (nature is Nature.EVENTS)
    if abs(p - look.alpha) > 1e-6:
        assert (low > 0 or high < 0) is (p < look.alpha)
    middle = math.log(moved.a.ratio / base.ratio) if found.logarithmic else found.difference.value
    assert (low + high) / 2 == pytest.approx(middle, abs=1e-12)


def test_a_cost_shows_the_ratio_upside_down() -> None:
    a, b = arm(Nature.EVENTS, [14.0], [400.0]), arm(Nature.EVENTS, [6.0], [520.0])
    found = against(a, b, {}, WATCHED)
    assert found is not None
    cost = inverse(found.pooled, found.pair, 1, WATCHED)
    rates, costs = found.pooled.ratio, cost.ratio
    assert rates is not None
    assert costs is not None
    assert rates.low is not None
    assert costs.value * rates.value == pytest.approx(1)
    assert costs.high == pytest.approx(1 / rates.low)
    assert cost.difference.value == pytest.approx(400 / 14 - 520 / 6)


def test_amounts_without_posts_need_their_parts() -> None:
    alone = arm(Nature.AMOUNTS, [900.0], [300.0])
    assert against(alone, alone, {}, WATCHED) is None
    sold = arm(Nature.AMOUNTS, [900.0], [300.0], amounts=[300.0, 300.0, 300.0])
    found = against(sold, arm(Nature.AMOUNTS, [300.0], [300.0], amounts=[30.0] * 10), {}, ONCE)
    assert found is not None
    assert found.pair.a.se == pytest.approx(math.sqrt(3 * 300**2) / 300)  # compound Poisson, as G06 has it
    assert found.decision is Decision.UNDECIDED


def test_few_hits_say_nothing_to_who_keeps_looking() -> None:
    found = against(trials([0.0], [4_000.0]), trials([9.0], [100.0]), {}, WATCHED)
    assert found is not None
    assert (found.decision, found.too_few) == (Decision.UNDECIDED, True)
    enough = against(trials([0.0], [4_000.0]), trials([10.0], [100.0]), {}, Look(tuning=4_000))
    assert enough is not None
    assert not enough.too_few


def test_a_margin_in_events_is_a_fraction() -> None:
    a, b = arm(Nature.EVENTS, [10_000.0], [1_000.0]), arm(Nature.EVENTS, [10_050.0], [1_000.0])
    wide = against(a, b, {}, WATCHED, Margin(relative=0.1))
    absolute = against(a, b, {}, WATCHED, Margin(absolute=0.1))
    assert wide is not None
    assert absolute is not None
    assert (wide.decision, wide.equivalent) == (Decision.EQUIVALENT, True)
    assert absolute.equivalent is False


def test_what_is_lacking_shrinks_as_the_difference_grows() -> None:
    far = against(trials([40.0], [1_000.0]), trials([30.0], [1_000.0]), {}, WATCHED)
    near = against(trials([40.0], [1_000.0]), trials([38.0], [1_000.0]), {}, WATCHED)
    same = against(trials([40.0], [1_000.0]), trials([40.0], [1_000.0]), {}, WATCHED)
    assert far is not None
    assert near is not None
    assert same is not None
    assert far.needed is not None
    assert near.needed is not None
    assert 0 < far.needed.amount < near.needed.amount
    assert same.needed is None


def test_errors_by_post_widen_platforms_that_have_too_few_posts() -> None:
    clicks, shown = [12.0, 3.0, 30.0, 5.0, 40.0, 2.0], [400.0, 300.0, 500.0, 450.0, 600.0, 250.0]
    pooled = trials(clicks, shown)
    halves = {"p": (trials(clicks[:3], shown[:3]),) * 2, "q": (trials(clicks[3:], shown[3:]),) * 2}
    found = against(pooled, pooled, halves, ONCE)
    assert found is not None
    assert found.pair_stratified is not None
    assert found.design_effect is not None
    assert found.design_effect > 5
    narrow = math.sqrt(sum((one.weight * one.pair.se) ** 2 for one in found.strata))
    assert found.pair_stratified.se == pytest.approx(narrow * math.sqrt(found.design_effect))
