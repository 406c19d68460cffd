"""Mistakes that well-known tools were caught in, as far as pure functions hold them off."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from service.errors import Invalid
from service.kpi.catalogue import CATALOGUE, resolve
from service.kpi.evaluate import evaluate
from service.kpi.members import member_sums
from service.kpi.pacing import elapsed_days
from service.kpi.periods import Flight
from service.kpi.periods import resolve as resolve_range
from service.kpi.tiers import Band, policy_of_bands

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


def test_seven_days_are_seven_days() -> None:
    for preset in ("last_7d", "last_7d_complete", "last_week"):
        assert len(resolve_range(preset, now=NOW, zone="Europe/Berlin").days) == 7


def test_a_ratio_has_its_brackets() -> None:
    sums = member_sums(["a"], {"conversion_value": [300_000_000], "spend_media": [100_000_000]})
    assert evaluate(resolve("roi_gross"), sums, currency="EUR").value == 2.0
    for kpi in CATALOGUE.values():
        if kpi.denominator is not None and kpi.offset:
            assert kpi.formula.startswith("("), kpi.slug


def test_pacing_is_not_off_by_a_day() -> None:
    flight = Flight(first=date(2026, 3, 1), last=date(2026, 3, 31))
    assert elapsed_days(flight, datetime(2026, 3, 29, 22, tzinfo=UTC), "Europe/Berlin") == 29
    assert elapsed_days(flight, datetime(2026, 3, 31, 22, tzinfo=UTC), "Europe/Berlin") == 31
    assert elapsed_days(flight, datetime(2026, 3, 1, 11, tzinfo=UTC), "Europe/Berlin") == Fraction(1, 2)


def test_a_table_of_tiers_has_no_holes() -> None:
    bands = [Band(tier="macro", lower=150_000, upper=1_500_000), Band(tier="mega", lower=5_000_000, upper=None)]
    with pytest.raises(Invalid, match="hole between 1500000 and 5000000"):
        policy_of_bands("collabment", 1, bands)
