from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi import exchange, money
from service.kpi.measure import Reason

amounts = st.integers(-(10**16), 10**16)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any)
currencies = st.sampled_from(["EUR", "JPY", "KWD", "CLF", "USD"])


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (12_500_000, "EUR", "12.50"),
        (12_000_000, "JPY", "12"),
        (12_500_000, "JPY", "12.5"),
        (12_500_000, "KWD", "12.500"),
        (1, "EUR", "0.000001"),
        (-250_000, "EUR", "-0.25"),
        (0, "EUR", "0.00"),
        (0, "JPY", "0"),
        (9_223_372_036_854_775_807, "EUR", "9223372036854.775807"),
    ],
)
def test_amounts_print_exactly(amount: int, currency: str, text: str) -> None:
    assert money.amount_text(amount, currency) == text


@given(amounts, currencies)
def test_amounts_survive_the_border(amount: int, currency: str) -> None:
    assert money.millionths(money.amount_text(amount, currency)) == amount


@pytest.mark.parametrize("text", ["1.0000001", "ten", "", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        money.millionths(text)


@pytest.mark.parametrize(
    ("price", "currency", "text"),
    [
        (Fraction(5, 32), "EUR", "0.15625"),
        (Fraction(1, 3), "EUR", "0.333333"),
        (Fraction(1, 2_000_000), "EUR", "0.00"),  # half to even
        (Fraction(3, 2_000_000), "EUR", "0.000002"),
        (Fraction(-1, 3), "EUR", "-0.333333"),
        (Fraction(50), "JPY", "50"),
    ],
)
def test_prices_are_rounded_half_to_even_to_six_places(price: Fraction, currency: str, text: str) -> None:
    assert money.price_text(price, currency) == text


def test_limits_have_twelve_digits_and_no_exponent() -> None:
    assert money.limit_text(24.26734230801, "EUR") == "24.267342308"
    assert money.limit_text(1.5e-9, "EUR") == "0.0000000015"
    assert money.limit_text(3e15, "JPY") == "3000000000000000"
    assert money.limit_text(2.0, "EUR") == "2.00"


@given(amounts, weights, currencies)
def test_a_split_adds_up_and_prints_in_minor_units(amount: int, shares: list[int], currency: str) -> None:
    parts = money.split(amount, shares, currency)
    unit = money.minor_unit(currency)
    assert sum(parts) == amount
    assert sum(part % unit != 0 for part in parts) <= 1
    for part, share in zip(parts, shares, strict=True):
        assert abs(part - Fraction(amount * share, sum(shares))) < 2 * unit
        assert share or part == 0


@given(amounts, weights)
def test_a_negative_split_is_the_mirror_of_the_positive_one(amount: int, shares: list[int]) -> None:
    assert money.split(-amount, shares, "EUR") == [-part for part in money.split(amount, shares, "EUR")]


@given(st.integers(-(10**12), 10**12), weights)
def test_largest_remainder_is_within_one_of_the_quota(total: int, shares: list[int]) -> None:
    parts = money.largest_remainder(total, shares)
    assert sum(parts) == total
    assert all(abs(part - Fraction(total * share, sum(shares))) < 1 for part, share in zip(parts, shares, strict=True))


def test_what_is_below_the_minor_unit_stays_with_the_largest_weight() -> None:
    assert money.split(10_000_005, [1, 2, 2], "EUR") == [2_000_000, 4_000_005, 4_000_000]


@pytest.mark.parametrize("shares", [[], [0, 0], [-1, 2]])
def test_a_split_needs_weights(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        money.largest_remainder(10, shares)


def test_conversion_rounds_once_and_names_what_lacks_a_rate() -> None:
    table = exchange.Rates(to="EUR", day=date(2026, 3, 15), rates={"USD": Decimal("0.3333335")})
    both = exchange.convert([("USD", 1), ("USD", 2), ("EUR", 10)], table)
    assert both.amount == 11
    missing = exchange.convert([("USD", 1), ("CHF", 1)], table)
    assert (missing.amount, missing.reason, missing.detail) == (None, Reason.MISSING_FX_RATE, "CHF")
