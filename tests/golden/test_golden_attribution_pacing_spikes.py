"""Golden cases of attribution, pacing and spikes: G30, G32, G33, G34, G36."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from connectors.contract import MICRO
from service.kpi import anomaly, attribution, money, pacing
from service.kpi.attribution import Model, Touch, TouchKind
from service.kpi.periods import Flight
from tests.golden.cases import CASES


def _touches(given: Any) -> list[Touch]:
    return [Touch(id=one["id"], kind=TouchKind(one["kind"]), age_days=one["age_days"]) for one in given]


def test_g30_five_models_and_exact_cents() -> None:
    case = CASES["G30"]
    # The case looks at the models alone: its oldest touch is older than the default window.
    windows = attribution.Windows(click_days=30.0, half_life_days=case.inputs["half_life_days"])
    amount = money.millionths(case.inputs["value"])
    for name, model in (
        ("first", Model.FIRST),
        ("last", Model.LAST),
        ("linear", Model.LINEAR),
        ("position_40_20_40", Model.POSITION),
        ("time_decay", Model.TIME_DECAY),
    ):
        found = attribution.attribute(_touches(case.inputs["touches"]), model, amount=amount, windows=windows)
        got = {
            "shares": [credit.share for credit in found.credits],
            "revenue": [money.amount_text(credit.amount, "EUR") for credit in found.credits],
        }
        case.agrees({name: got}, case.expected)
        assert sum(credit.amount for credit in found.credits) == amount


def _winner(touches: list[Touch], model: Model, windows: attribution.Windows) -> str:
    found = attribution.attribute(touches, model, windows=windows)
    return next(credit.touch for credit in found.credits if credit.share == 1)


def test_g32_windows_and_clicks_before_views() -> None:
    case = CASES["G32"]
    windows = attribution.Windows(
        click_days=case.inputs["click_window_days"], view_days=case.inputs["view_window_days"]
    )
    touches = _touches(case.inputs["touches"])
    inside = attribution.eligible(touches, windows)
    linear = attribution.attribute(touches, Model.LINEAR, windows=windows)
    rest = [touch for touch in touches if touch.id not in ("T3", "T5")]
    got = {
        "eligible": [touch.id for touch in inside.touches],
        "excluded": dict(inside.excluded),
        "last_touch": _winner(touches, Model.LAST, windows),
        "first_touch": _winner(touches, Model.FIRST, windows),
        "linear": {credit.touch: credit.share for credit in linear.credits},
        "view_through": linear.view_through,
        "if_T3_and_T5_absent": {
            "last_touch": _winner(rest, Model.LAST, windows),
            "view_through": attribution.attribute(rest, Model.LAST, windows=windows).view_through,
        },
    }
    case.agrees(got, case.expected)


def test_g33_pacing_over_a_change_of_clocks() -> None:
    case = CASES["G33"]
    first, last = (date.fromisoformat(day) for day in case.inputs["flight"])
    flight = Flight(first=first, last=last)
    plan, actual = money.millionths(case.inputs["budget"]), money.millionths(case.inputs["spend"])

    def at(instant: str, basis: pacing.Basis) -> pacing.Pace:
        now = datetime.fromisoformat(instant)
        return pacing.pace(plan, actual, flight, now=now, zone=case.inputs["timezone"], basis=basis)

    days, hours = (at(case.inputs["as_of"], basis) for basis in (pacing.Basis.DAYS, pacing.Basis.HOURS))
    early = at(case.inputs["not_started"]["as_of"], pacing.Basis.DAYS)
    assert days.expected is not None
    assert hours.expected is not None
    assert days.projected is not None
    assert days.required is not None
    got = {
        "flight_days": days.total,
        "elapsed_days": days.elapsed,
        "expected_by_days": days.expected / MICRO,
        "pacing_by_days": days.pacing,
        "flight_hours": hours.total,
        "elapsed_hours": hours.elapsed,
        "expected_by_hours": hours.expected / MICRO,
        "pacing_by_hours": hours.pacing,
        "projected_total_by_days": days.projected / MICRO,
        "remaining": days.remaining / MICRO,
        "required_per_day": days.required / MICRO,
        "not_started": {"pacing": early.pacing, "reason": early.reason},
    }
    case.agrees(got, case.expected)


def test_g34_spikes_and_fallbacks() -> None:
    case = CASES["G34"]
    for given, expected in zip(case.inputs, case.expected, strict=True):
        found = anomaly.spike(given["history"], given["observed"], given["threshold"])
        assert found is not None
        got: dict[str, object] = {
            "median": found.median,
            "mad": found.mad,
            "robust_z": found.robust_z,
            "spike": found.spike,
        }
        if found.fallback is not None:
            got["fallback"] = found.fallback
        if found.poisson_tail_p is not None:
            got["poisson_tail_p"] = found.poisson_tail_p
        case.agrees(got, expected)
        assert set(got) == set(expected)


def test_g36_swarm_of_few_authors() -> None:
    case = CASES["G36"]
    found = anomaly.swarm(
        case.inputs["observed_posts"],
        case.inputs["distinct_authors"],
        baseline=case.inputs["baseline_posts_per_hour"],
        authors_per_post=case.inputs["baseline_authors_per_post"],
        dispersion=case.inputs["dispersion"],
    )
    got = {
        "poisson_tail_p": found.poisson_tail_p,
        "negbin_tail_p": found.negbin_tail_p,
        "author_ratio": found.author_ratio,
        "concentration_flag": found.concentrated,
    }
    case.agrees(got, case.expected)
