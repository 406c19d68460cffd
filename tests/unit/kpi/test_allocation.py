"""A fee over posts and days: parts add up, whatever the rule."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi.allocation import Bearer, Rule, allocate, named
from service.kpi.money import amount_text, millionths, minor_unit
from tests.golden.cases import CASES

START = date(2026, 6, 1)


def _bearers(*days: int, weights: list[float] | None = None) -> list[Bearer]:
    given = weights or [1.0] * len(days)
    return [
        Bearer(id=f"p{at}", day=START + timedelta(days=day), weight=weight)
        for at, (day, weight) in enumerate(zip(days, given, strict=True))
    ]


def test_g44_over_three_posts() -> None:
    case = CASES["G44"]
    parts = allocate(millionths(case.inputs["fee"]), "EUR", Rule.PER_POST, _bearers(0, 0, 3))
    case.agrees(
        {
            "parts": [amount_text(part.amount, "EUR") for part in parts],
            "total": amount_text(sum(part.amount for part in parts), "EUR"),
        },
        case.expected,
    )
    assert parts[2].day == START + timedelta(days=3)


def test_days_are_divided_first_and_borne_by_who_is_out() -> None:
    days = [START + timedelta(days=n) for n in range(3)]
    parts = allocate(millionths("0.10"), "EUR", Rule.PER_DAY, _bearers(0, 2), days)
    assert [(part.id, part.day.day, amount_text(part.amount, "EUR")) for part in parts] == [
        ("p0", 1, "0.04"),
        ("p0", 2, "0.03"),
        ("p0", 3, "0.02"),
        ("p1", 3, "0.01"),
    ]
    early = allocate(millionths("1"), "EUR", Rule.PER_DAY, _bearers(9, 9), days[:1])
    assert [amount_text(part.amount, "EUR") for part in early] == ["0.50", "0.50"]


def test_weights() -> None:
    parts = allocate(millionths("100"), "JPY", Rule.WEIGHTS, _bearers(0, 0, 0, weights=[2, 1, 0]))
    assert [amount_text(part.amount, "JPY") for part in parts] == ["67", "33", "0"]
    with pytest.raises(ValueError, match="bears"):
        allocate(1, "EUR", Rule.PER_POST, [])
    with pytest.raises(ValueError, match="bears"):
        allocate(1, "EUR", Rule.PER_DAY, _bearers(0))
    assert named(Rule.WEIGHTS) == "weights@1"


@given(st.integers(1, 10**9), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_parts_add_up_in_whole_minor_units(minors: int, posts: int, days: int, currency: str) -> None:
    amount, unit = minors * minor_unit(currency), minor_unit(currency)
    bearers = _bearers(*range(posts))
    for rule in (Rule.PER_POST, Rule.PER_DAY):
        parts = allocate(amount, currency, rule, bearers, [START + timedelta(days=n) for n in range(days)])
        assert sum(part.amount for part in parts) == amount
        assert all(part.amount % unit == 0 and part.amount >= 0 for part in parts)
