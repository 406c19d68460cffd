"""Models that a reader chooses, and how late conversions arrive."""

from __future__ import annotations

from fractions import Fraction

import pytest

from service.kpi.arrivals import curve
from service.kpi.attribution import Touch, TouchKind, Weights, Windows, attribute
from service.kpi.models import BOOKS, CUSTOM, NAMED, named, weights_of
from tests.golden.cases import CASES

WIDE = Windows(click_days=30, view_days=30)
TOUCHES = [
    Touch(id=one["id"], kind=TouchKind(one["kind"]), age_days=one["age_days"]) for one in CASES["G30"].inputs["touches"]
]


def shares(weigh: Weights) -> list[float]:
    return [credit.share for credit in attribute(TOUCHES, weigh, windows=WIDE).credits]


@pytest.mark.parametrize(
    ("model", "case"),
    [
        ("first", "first"),
        ("last", "last"),
        (BOOKS, "last"),
        ("linear", "linear"),
        ("position", "position_40_20_40"),
        ("time_decay", "time_decay"),
    ],
)
def test_g30_by_name(model: str, case: str) -> None:
    CASES["G30"].agrees(shares(weights_of(model)), CASES["G30"].expected[case]["shares"])


def test_a_vector_of_one_s_own_counts_from_the_last_touch_back() -> None:
    assert shares(weights_of(CUSTOM, custom=(3, 1))) == [0, 0, 0.25, 0.75]
    assert shares(weights_of(CUSTOM, custom=(0, 0, 0, 0, 5))) == [0, 0, 0, 1]  # what is weighed is not there
    assert sum(shares(weights_of(CUSTOM, custom=(1, 1, 1, 1, 1)))) == 1
    assert named(CUSTOM) == "custom@1"


def test_half_lives_are_the_reader_s() -> None:
    quick = shares(weights_of("time_decay", half_life_days=0.5))
    assert quick[-1] > shares(weights_of("time_decay"))[-1]
    assert set(NAMED) == {"first", "last", BOOKS, "linear", "position", "time_decay"}


def test_a_curve_is_learned_from_enough_and_ends_at_one() -> None:
    ages = [0] * 12 + [1] * 10 + [2] * 8 + [5] * 10 + [40]
    found = curve(ages, 6)
    assert found is not None
    assert [found[age] for age in (0, 1, 2, 4, 5, 6)] == pytest.approx([0.3, 0.55, 0.75, 0.75, 1.0, 1.0])
    assert list(found) == list(range(7))
    assert curve(ages[:20], 6) is None
    assert curve([-1] * 30, 3) == dict.fromkeys(range(4), float(Fraction(1)))  # known before it was clicked: at once
