"""Who is credited with a conversion: the order of the rules, windows, and amounts that add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import MICRO, Conversion, DropReason, Touchpoint
from service.kpi.attribution import Windows
from service.ledger.journeys import Choice, Event, Touch, choose, credits_of
from service.ledger.readings import Visit
from service.ledger.series import Ref
from service.pipeline.normalise import MAX_ID, normalise

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
REF = Ref(UUID(int=9), NOON)
OWN = UUID(int=100)


def touch(number: int, days_ago: float, kind: str = "click", external_id: str = "", **visit: Any) -> Touch:
    return Touch(
        key=bytes([number]),
        kind=kind,
        at=NOON - timedelta(days=days_ago),
        observed_at=NOON,
        subject_id=UUID(int=number),
        external_id=external_id or f"l{number}",
        platform="links",
        source_id=UUID(int=1),
        visit=Visit(**visit),
        ref=REF,
    )


def sold(kind: str = "order", basis: str = "none", value: int | None = 10 * MICRO, **visit: Any) -> Event:
    return Event(
        key=b"e",
        kind=kind,
        at=NOON,
        observed_at=NOON,
        subject_id=OWN,
        external_id="own",
        basis=basis,
        sale=b"s",
        series_id=1,
        currency="EUR",
        goal="",
        value=value,
        first_order=None,
        cancelled=False,
        source_id=UUID(int=2),
        visit=Visit(**visit),
        ref=REF,
    )


HERS: dict[str, Any] = {"customer": b"c"}
SPRING: dict[str, Any] = {"utm_campaign": "spring"}


@pytest.mark.parametrize(
    ("event", "touches", "rule", "credited"),
    [
        (sold(basis="subject", **HERS), [touch(1, 1, **HERS)], "subject", OWN),
        (sold(basis="promo_code", **HERS, click=b"k"), [touch(1, 1, **HERS, click=b"k")], "promo_code", OWN),
        (sold(click=b"k", **HERS), [touch(1, 3, click=b"k"), touch(2, 1, **HERS)], "click_id", UUID(int=1)),
        (sold(**HERS), [touch(1, 3, **HERS), touch(2, 1, **HERS)], "customer", UUID(int=2)),
        (sold(**HERS), [touch(1, 3, **HERS), touch(2, 0.5, "view", **HERS)], "customer", UUID(int=1)),
        (sold(**HERS), [touch(2, 0.5, "view", **HERS)], "customer", UUID(int=2)),
        (sold(**HERS), [touch(1, 7.01, **HERS), touch(2, 1.01, "view", **HERS)], "none", OWN),
        (sold(**HERS), [touch(1, -0.01, **HERS)], "none", OWN),
        (sold(**HERS), [touch(1, 1, external_id="unattributed", **HERS)], "none", OWN),
        (sold(**HERS), [touch(1, 1, customer=b"d")], "none", OWN),
        (sold(), [touch(1, 1)], "none", OWN),
        (sold(basis="utm_campaign", **HERS, **SPRING), [touch(1, 1, **HERS)], "utm_campaign", OWN),
        (sold(basis="utm_campaign", **HERS, **SPRING), [touch(1, 1, **HERS, **SPRING)], "customer", UUID(int=1)),
        (
            sold(basis="platform_campaign", **HERS, platform_campaign="7"),
            [touch(1, 1, **HERS, platform_campaign="7"), touch(2, 0.1, **HERS, platform_campaign="8")],
            "customer",
            UUID(int=1),
        ),
    ],
)
def test_the_rules_in_their_order(event: Event, touches: list[Touch], rule: str, credited: UUID) -> None:
    for order in (touches, touches[::-1]):
        assert choose(event, order, {}) == Choice(
            rule=rule,
            shares=((credited, Fraction(1), None if credited == OWN else bytes([credited.int])),),
        )


def test_touches_of_one_instant_are_told_apart_by_what_they_are() -> None:
    """Our ids tell which was named first, which must not decide."""
    touches = [touch(1, 1, external_id="b", **HERS), touch(2, 1, external_id="a", **HERS)]
    for order in (touches, touches[::-1]):
        assert choose(sold(**HERS), order, {}).shares[0][0] == UUID(int=1)


def test_a_window_is_that_of_the_touched_subject() -> None:
    touches = [touch(1, 20, **HERS), touch(2, 3, **HERS)]
    windows = {UUID(int=1): Windows(click_days=30, view_days=1), UUID(int=2): Windows(click_days=2, view_days=1)}
    assert choose(sold(**HERS), touches, windows).shares[0][0] == UUID(int=1)


@given(
    st.integers(0, 10**12),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.sampled_from(["order", "refund", "conversion"]),
)
def test_parts_add_up_in_minor_units(value: int, weights: list[int], kind: str) -> None:
    shares = tuple((UUID(int=place), Fraction(weight), None) for place, weight in enumerate(weights))
    found = credits_of(sold(kind, value=value), Choice(rule="customer", shares=shares))
    sums = {name: sum(one.metrics.get(name, 0) for one in found) for one in found for name in one.metrics}
    counts = {"order": {"orders": 1, "conversions": MICRO}, "refund": {"refunds": 1}}.get(kind, {"conversions": MICRO})
    assert sums == counts | {"conversion_value": -value if kind == "refund" else value}
    odd = [one for one in found if one.metrics["conversion_value"] % (MICRO // 100)]
    assert len(odd) <= 1


def test_values_that_are_too_long_lose_no_event() -> None:
    at = NOON - timedelta(days=1)
    long = Conversion(id="1", at=at, kind="order", value=1, currency="EUR", promo_code="x" * 9000)
    view = Touchpoint(id="2", at=at, kind="view", click_id="gclid:1", utm_campaign="y" * 300)
    normal = normalise([long, view], NOON)
    assert not normal.drops
    assert all(len(event.subject.external_id) <= MAX_ID for event in normal.events)
    assert {fact.name: len(fact.value) for fact in normal.facts} == {
        "promo_code": 4096,
        "utm_campaign": 300,
        "click_id": 5,
    }


def test_persons_do_not_show() -> None:
    normal = normalise([Touchpoint(id="2", at=NOON, customer="someone@example.org")], NOON)
    assert "someone" not in repr(normal.events)


def test_what_cannot_lead_anywhere_is_a_drop() -> None:
    normal = normalise(
        [Touchpoint(id="1", at=NOON, kind="view"), Conversion(id="2", at=NOON, kind="order", test=True)], NOON
    )
    assert [drop.reason for drop in normal.drops] == [DropReason.NOT_MAPPED, DropReason.TEST_EVENT]
