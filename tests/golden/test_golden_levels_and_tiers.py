"""Golden cases of reach, levels and tiers: G09, G10, G37, G38."""

from __future__ import annotations

import msgspec

from service.kpi import benchmarks, levels, tiers
from service.kpi.catalogue import resolve
from service.kpi.evaluate import evaluate
from service.kpi.members import member_sums
from tests.golden.cases import CASES


def test_g09_reach_is_bounded() -> None:
    case = CASES["G09"]
    posts = case.inputs["post_reach"]
    # The impressions of the case are those of all posts together; how they spread does not matter.
    impressions = [case.inputs["impressions"] - 2, 1, 1]
    free = member_sums(["a", "b", "c"], {"reach": posts, "impressions": impressions})
    capped = msgspec.structs.replace(free, audience_cap=case.inputs["audience_cap"])
    reach = evaluate(resolve("reach"), capped, currency=None)
    uncapped = evaluate(resolve("reach"), free, currency=None)
    frequency = evaluate(resolve("frequency"), capped, currency=None)
    assert reach.bounds is not None
    assert uncapped.bounds is not None
    assert frequency.bounds is not None
    got = {
        "reach_exact": reach.value,
        "reach_lower": reach.bounds.lower,
        "reach_upper": reach.bounds.upper,
        "reach_upper_without_cap": uncapped.bounds.upper,
        "frequency_lower": frequency.bounds.lower,
        "frequency_upper": frequency.bounds.upper,
    }
    case.agrees(got, case.expected)


def test_g10_followers_are_a_level() -> None:
    case = CASES["G10"]
    points = [(float(level["day"]), level["followers"]) for level in case.inputs["levels"]]
    grown = levels.growth(points[0][1], points[-1][1])
    other = levels.growth(case.inputs["other"]["start"], case.inputs["other"]["end"])
    gained, lost = case.inputs["gained"], case.inputs["lost"]
    assert grown.absolute is not None
    got = {
        "growth_abs": grown.absolute,
        "growth_pct": grown.fraction,
        "net_from_flows": gained - lost,
        "flows_reconcile": levels.unexplained(grown.absolute, gained, lost) == 0,
        "mean_level_time_weighted": levels.time_weighted_mean(points, case.inputs["period_days"]),
        "zero_base": {"growth_abs": other.absolute, "growth_pct": other.fraction, "reason": other.reason},
    }
    case.agrees(got, case.expected)
    start_and_end = {"followers": [points[-1][1]], "followers_start": [points[0][1]]}
    sums = member_sums(["profile"], start_and_end)
    case.agrees({"growth_abs": evaluate(resolve("follower_growth"), sums, currency=None).value}, case.expected)
    case.agrees({"growth_pct": evaluate(resolve("follower_growth_rate"), sums, currency=None).value}, case.expected)


def test_g37_one_count_under_two_policies() -> None:
    case = CASES["G37"]
    got = {}
    for name, bounds in case.inputs["policies"].items():
        rules = tiers.policy(name, 1, [(tier, lower) for tier, lower in bounds])
        got[name] = [tiers.tier_of(rules, followers) for followers in case.inputs["followers"]]
    case.agrees(got, case.expected)


def test_g38_mixed_tiers_against_a_benchmark() -> None:
    case = CASES["G38"]
    posts = [benchmarks.TierPost(**post) for post in case.inputs["posts"]]
    found = benchmarks.mixed_tiers(posts, case.inputs["benchmark_er_by_followers"])
    got = {
        "er": found.total.rate,
        "expected_engagements": found.total.expected,
        "index": found.total.index,
        "per_tier": {tier: {"er": one.rate, "index": one.index} for tier, one in found.per_tier.items()},
    }
    case.agrees(got, case.expected)
