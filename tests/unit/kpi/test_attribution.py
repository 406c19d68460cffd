from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi.attribution import Attributed, Model, Touch, TouchKind, Windows, attribute

touch_lists = st.lists(st.tuples(st.sampled_from(list(TouchKind)), st.floats(-1, 12, allow_nan=False)), max_size=8).map(
    lambda pairs: [Touch(id=f"T{i}", kind=kind, age_days=age) for i, (kind, age) in enumerate(pairs)]
)


def _touch(name: str, age: float, kind: TouchKind = TouchKind.CLICK) -> Touch:
    return Touch(id=name, kind=kind, age_days=age)


def _shares(found: Attributed) -> list[float]:
    return [credit.share for credit in found.credits]


@given(touch_lists, st.sampled_from(list(Model)), st.integers(-(10**12), 10**12), st.randoms())
def test_credits_add_up_and_do_not_depend_on_order(
    touches: list[Touch],
    model: Model,
    amount: int,
    chance: st.randoms,  # type: ignore[valid-type]
) -> None:
    found = attribute(touches, model, amount=amount)
    credited = sum(credit.conversions for credit in found.credits)
    assert credited + found.unattributed_conversions == 1_000_000
    assert sum(credit.amount for credit in found.credits) + found.unattributed_amount == amount
    assert {credit.touch for credit in found.credits} | set(found.excluded) == {touch.id for touch in touches}
    assert attribute(touches[::-1], model, amount=amount) == found


def test_without_an_eligible_touch_everything_is_unattributed() -> None:
    found = attribute([_touch("old", 30)], Model.LINEAR, amount=500)
    assert found.credits == ()
    assert (found.unattributed_conversions, found.unattributed_amount) == (1_000_000, 500)
    assert not found.view_through


@pytest.mark.parametrize(
    ("ages", "shares"), [([1.0], [1.0]), ([2.0, 1.0], [0.5, 0.5]), ([3.0, 2.0, 1.0], [0.4, 0.2, 0.4])]
)
def test_position_with_few_touches(ages: list[float], shares: list[float]) -> None:
    touches = [_touch(str(i), age) for i, age in enumerate(ages)]
    assert _shares(attribute(touches, Model.POSITION)) == shares


def test_windows_include_their_edges() -> None:
    touches = [_touch("edge", 7.0), _touch("now", 0.0), _touch("view", 1.0, TouchKind.VIEW)]
    assert not attribute(touches, Model.LINEAR).excluded


def test_a_click_beats_a_later_view_only_where_the_model_says_so() -> None:
    touches = [_touch("click", 5.0), _touch("view", 0.5, TouchKind.VIEW)]
    assert _shares(attribute(touches, Model.LAST)) == [1.0, 0.0]
    assert _shares(attribute(touches, Model.LAST_ANY)) == [0.0, 1.0]


def test_a_model_of_ones_own() -> None:
    touches = [_touch("a", 3.0), _touch("b", 1.0)]
    found = attribute(touches, lambda seen, _: [Fraction(1 + i) for i in range(len(seen))], amount=100_000_000)
    assert [credit.amount for credit in found.credits] == [33_330_000, 66_670_000]


def test_thirds_of_a_conversion_add_up() -> None:
    touches = [_touch(str(i), float(i)) for i in range(3)]
    assert [credit.conversions for credit in attribute(touches, Model.LINEAR).credits] == [333_334, 333_333, 333_333]


def test_a_very_short_half_life_does_not_divide_by_zero() -> None:
    windows = Windows(half_life_days=0.0001)
    assert _shares(attribute([_touch("a", 6.0), _touch("b", 5.0)], Model.TIME_DECAY, windows=windows)) == [0.0, 1.0]


def test_refunds_are_credited_like_orders() -> None:
    touches = [_touch("a", 3.0), _touch("b", 1.0), _touch("c", 0.5)]
    order = attribute(touches, Model.LINEAR, amount=100_000_000)
    refund = attribute(touches, Model.LINEAR, amount=-100_000_000)
    assert [credit.amount for credit in refund.credits] == [-credit.amount for credit in order.credits]
