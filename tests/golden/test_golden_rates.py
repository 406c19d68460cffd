"""Golden cases of single rates: G01-G03, G08, G11, G16, G41, G42, G47."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from service.kpi import rates, shares
from service.kpi.catalogue import resolve
from service.kpi.evaluate import evaluate
from service.kpi.measure import Method, Value, reason_text
from service.kpi.members import FloatArray, member_sums
from tests.golden.cases import CASES, limits


def _posts(case_inputs: Any) -> tuple[FloatArray, FloatArray]:
    return np.array(case_inputs["clicks"], dtype=np.float64), np.array(case_inputs["impressions"], dtype=np.float64)


def _ctr(*posts: tuple[int | None, int | None]) -> Value:
    names = [str(i) for i in range(len(posts))]
    columns = {"clicks_link": [post[0] for post in posts], "impressions": [post[1] for post in posts]}
    return evaluate(resolve("ctr"), member_sums(names, columns), currency=None)


def test_g01_wilson() -> None:
    case = CASES["G01"]
    value = _ctr((case.inputs["clicks"], case.inputs["impressions"]))
    case.agrees({"ctr": value.value, "ci": limits(value.interval)}, case.expected)


def test_g02_null_is_not_zero() -> None:
    case = CASES["G02"]
    values = [_ctr((post["clicks"], post["impressions"])) for post in case.inputs]
    got = [
        {"ctr": value.value, "ci": limits(value.interval), "reason": reason_text(value.reason, value.detail)}
        for value in values
    ]
    case.agrees(got, case.expected)


def test_g03_ratio_of_sums() -> None:
    case = CASES["G03"]
    value = _ctr(*((post["clicks"], post["impressions"]) for post in case.inputs))
    case.agrees({"ctr": value.value, "ci_binomial": limits(value.interval)}, case.expected)
    assert value.interval is not None
    assert value.interval.ignores_clustering
    assert not math.isclose(float(value.value or 0), case.expected["wrong_mean_of_ratios"], rel_tol=0.5)


def test_g08_engagement_rates_and_coverage() -> None:
    case = CASES["G08"]
    posts = case.inputs["posts"]
    sums = member_sums(
        ["a", "b", "c"],
        {
            "likes": [post["engagements"] for post in posts],
            "impressions": [post["impressions"] for post in posts],
            "reach": [post["reach"] for post in posts],
            "followers_at_publish": [post["followers_at_publish"] for post in posts],
        },
    )
    by_reach = evaluate(resolve("er_reach"), sums, currency=None)
    strict = evaluate(resolve("er_reach"), sums, currency=None, coverage="strict")
    assert by_reach.coverage is not None
    got = {
        "er_impressions": evaluate(resolve("engagement_rate"), sums, currency=None).value,
        "er_reach_covered": by_reach.value,
        "er_reach_posts_covered": [by_reach.coverage.members_known, by_reach.coverage.members_total],
        "er_reach_engagement_coverage": by_reach.coverage.numerator_share,
        "er_reach_strict": strict.value,
        "er_reach_strict_reason": reason_text(strict.reason, strict.detail),
        "er_followers_post_mean_base": evaluate(resolve("er_followers"), sums, currency=None).value,
    }
    case.agrees(got, case.expected)


def test_g11_retention_of_mature_customers() -> None:
    case = CASES["G11"]
    found = shares.retention(
        case.inputs["acquired"], case.inputs["acquired_with_full_window"], case.inputs["repeat_within_window"]
    )
    got = {"retention": found.value, "ci": limits(found.interval), "excluded_immature": found.left_out}
    case.agrees(got, case.expected)


def test_g16_clicks_cluster_by_post() -> None:
    case = CASES["G16"]
    clicks, impressions = _posts(case.inputs)
    delta, jackknife = rates.delta_spread(clicks, impressions), rates.jackknife_spread(clicks, impressions)
    fieller = rates.fieller_t(clicks, impressions)
    assert delta is not None
    assert jackknife is not None
    assert fieller is not None
    trials = int(impressions.sum())
    se_binomial = math.sqrt(delta.ratio * (1 - delta.ratio) / trials)
    got = {
        "ctr": delta.ratio,
        "se_binomial": se_binomial,
        "se_delta": delta.se,
        "design_effect": (delta.se / se_binomial) ** 2,
        "ci_binomial": limits(rates.wilson(int(clicks.sum()), trials)),
        "ci_delta_t": limits(rates.delta_t(clicks, impressions)),
        "se_jackknife": jackknife.se,
        "fieller_g": fieller[0],
        "ci_fieller_t": limits(fieller[1]),
    }
    case.agrees(got, case.expected)


def test_g41_two_things_called_view_through_rate() -> None:
    case = CASES["G41"]
    video_views, completed = case.inputs["video_impressions"], case.inputs["completed_views"]
    by_view, by_click = case.inputs["view_through_conversions"], case.inputs["click_through_conversions"]
    sums = member_sums(["a"], {"video_completions": [completed], "impressions": [video_views]})
    video = evaluate(resolve("video_vtr"), sums, currency=None)
    rate, share = shares.share(by_view, video_views), shares.share(by_view, by_view + by_click)
    got = {
        "video_vtr": video.value,
        "video_vtr_ci": limits(video.interval),
        "view_through_conversion_rate": rate.value,
        "view_through_conversion_rate_ci": limits(rate.interval),
        "view_through_share_of_conversions": share.value,
        "view_through_share_ci": limits(share.interval),
    }
    case.agrees(got, case.expected)


def test_g42_late_conversions() -> None:
    case = CASES["G42"]
    cohorts = [shares.Cohort(**cohort) for cohort in case.inputs["cohorts"]]
    curve = {int(age): share for age, share in case.inputs["share_arrived_by_age"].items()}
    found = shares.maturity(cohorts, curve)
    got = {
        "raw_rate": found.raw_rate,
        "mature_only_rate": found.mature_rate,
        "effective_clicks": found.effective_clicks,
        "maturity_weighted_rate": found.weighted_rate,
        "rate_ci_poisson": limits(found.interval),
        "projected_final_conversions": found.projected_conversions,
        "maturity": found.maturity,
    }
    case.agrees(got, case.expected)


def test_g47_default_interval_by_post() -> None:
    case = CASES["G47"]
    clicks, impressions = _posts(case.inputs)
    jackknife = rates.jackknife_spread(clicks, impressions)
    value = _ctr(*zip(case.inputs["clicks"], case.inputs["impressions"], strict=True))
    assert jackknife is not None
    assert value.interval is not None
    assert value.interval.method is Method.LOG_JACKKNIFE_T
    assert not value.interval.ignores_clustering
    got = {
        "ctr": value.value,
        "se_jackknife": jackknife.se,
        "ci_log_jackknife_t": limits(value.interval),
        "ci_log_delta_t": limits(rates.log_delta_t(clicks, impressions)),
    }
    case.agrees(got, case.expected)
