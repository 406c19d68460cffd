"""Golden cases of comparisons: G14, G15, G18, G19, G21, G40."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.kpi import lift, proportions, rates
from service.kpi.compare import change, decide
from service.kpi.measure import reason_text
from service.kpi.proportions import Proportion
from tests.golden.cases import CASES


def _arm(given: Any) -> Proportion:
    return Proportion(successes=given["clicks"], trials=given["impressions"])


def _spread(given: Any) -> rates.Spread:
    spread = rates.delta_spread(
        np.array(given["clicks"], dtype=np.float64), np.array(given["impressions"], dtype=np.float64)
    )
    assert spread is not None
    return spread


def test_g14_micro_against_broad() -> None:
    case = CASES["G14"]
    micro, broad = _arm(case.inputs["micro"]), _arm(case.inputs["broad"])
    difference = proportions.newcombe(micro, broad)
    score = proportions.score_test(micro, broad)
    assert score is not None
    got = {
        "diff": micro.rate - broad.rate,
        "diff_ci": difference,
        "ratio": micro.rate / broad.rate,
        "ratio_ci": proportions.ratio_log(micro, broad),
        "z": score.statistic,
        "p_two_sided": score.p_value,
        "cohens_h": proportions.cohens_h(micro.rate, broad.rate),
        "prob_micro_better_uniform_prior": proportions.probability_better(micro, broad),
        "decision": decide(difference),
    }
    case.agrees(got, case.expected)


def test_g15_small_sample_is_undecided() -> None:
    case = CASES["G15"]
    micro, broad = _arm(case.inputs["micro"]), _arm(case.inputs["broad"])
    difference = proportions.newcombe(micro, broad)
    got = {"diff": micro.rate - broad.rate, "diff_ci": difference, "decision": decide(difference)}
    case.agrees(got, case.expected)


def test_g18_relative_lift_with_post_level_variance() -> None:
    case = CASES["G18"]
    micro, broad = _spread(case.inputs["micro"]), _spread(case.inputs["broad"])
    lifted = lift.lift(micro, broad)
    assert lifted is not None
    got = {
        "ctr_micro": micro.ratio,
        "ctr_broad": broad.ratio,
        "lift": lifted.lift,
        "se_delta": lifted.se,
        "ci_delta_normal": lifted.delta,
        "fieller_g": lifted.g,
        "ci_fieller_normal": lifted.fieller,
        "decision_delta": decide(lifted.delta),
    }
    case.agrees(got, case.expected)
    assert lifted.limits == lifted.fieller


def test_g19_looking_every_day() -> None:
    case = CASES["G19"]
    micro, broad = _arm(case.inputs["micro"]), _arm(case.inputs["broad"])
    tuning, alpha = case.inputs["tuning_n"], case.inputs["alpha"]
    sequential = proportions.anytime(micro, broad, tuning, alpha)
    got = {
        "diff": micro.rate - broad.rate,
        "se_unpooled": proportions.unpooled_se(micro, broad),
        "fixed_multiplier": rates.normal_quantile(1 - alpha),
        "sequential_multiplier": proportions.anytime_multiplier(micro.trials + broad.trials, tuning, alpha),
        "ci_fixed_wald": proportions.wald(micro, broad),
        "ci_sequential": sequential,
        "decision_sequential": decide(sequential),
    }
    case.agrees(got, case.expected)


def test_g21_sample_size() -> None:
    case = CASES["G21"]
    p1, p2 = case.inputs["p1"], case.inputs["p2"]
    size = proportions.sample_size(p1, p2, case.inputs["alpha"], case.inputs["power"])
    assert abs(proportions.cohens_h(p2, p1) - case.expected["cohens_h"]) < 1e-12
    case.agrees({"n_per_arm": size}, case.expected)
    assert size == case.expected["n_per_arm"]


def test_g40_change_against_the_previous_period() -> None:
    case = CASES["G40"]
    changes = [change(pair["current"], pair["previous"]) for pair in case.inputs]
    got = [
        {"abs": moved.absolute, "pct": moved.fraction, "reason": reason_text(moved.reason, None)} for moved in changes
    ]
    case.agrees(got, case.expected)
