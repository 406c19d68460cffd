"""Golden cases of reach, levels, snapshots and tiers: G09, G10, G23, G25, G37, G38."""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.kpi import benchmarks, levels, snapshots, tiers
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


def test_g23_a_small_fall_is_a_correction() -> None:
    case = CASES["G23"]
    values = case.inputs["snapshots"]
    got = {
        "classification": snapshots.classify_all(values),
        "deltas_signed": snapshots.signed(values),
        "total_signed": sum(snapshots.signed(values)),
        "deltas_high_water": snapshots.high_water(values),
        "total_high_water": sum(snapshots.high_water(values)),
    }
    case.agrees(got, case.expected)


def test_g25_first_sight_of_a_post() -> None:
    case = CASES["G25"]
    for given, expected in zip(case.inputs, case.expected, strict=True):
        seen, published = datetime.fromisoformat(given["first_seen"]), datetime.fromisoformat(given["published"])
        found = snapshots.first_sight(
            given["first_snapshot"], seen, published, tracked_from_publish=given["tracked_from_publish"]
        )
        window = None
        if found.window is not None:
            window = [instant.isoformat().replace("+00:00", "Z") for instant in found.window]
        got: dict[str, object] = {"delta": found.delta, "window": window, "quality": found.quality}
        if found.baseline is not None:
            got |= {"baseline": found.baseline, "reason": found.reason}
        case.agrees(got, expected)


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
