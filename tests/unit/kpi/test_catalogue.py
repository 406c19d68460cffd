from __future__ import annotations

import pytest

from connectors.contract import METRICS, STORED
from service.errors import Invalid
from service.kpi.catalogue import ALIASES, CATALOGUE, REFUSED, Kind, UnknownKpi, resolve
from service.kpi.evaluate import evaluate
from service.kpi.explain import explain
from service.kpi.measure import Reason, reason_text, significant
from service.kpi.members import member_sums
from service.kpi.profiles import PROFILES


def test_every_metric_is_a_kpi() -> None:
    assert set(METRICS) <= set(CATALOGUE)
    for key, metric in METRICS.items():
        assert (CATALOGUE[key].kind is Kind.ADDITIVE) == metric.additive


def test_needs_are_stored_metrics() -> None:
    for kpi in CATALOGUE.values():
        assert kpi.needs
        assert set(kpi.needs) - {"followers_at_publish"} <= set(STORED), kpi.slug
    assert CATALOGUE["cpm"].needs == ("spend_media", "fee_creator", "cost_production", "impressions")


def test_definitions_are_named_with_their_version() -> None:
    assert CATALOGUE["ctr"].definition == "ctr@1"
    assert all(kpi.aggregate and kpi.nulls for kpi in CATALOGUE.values())


@pytest.mark.parametrize(
    ("alias", "slug"),
    [
        ("clicks", "clicks_link"),
        ("spend", "spend_media"),
        ("conversion_rate", "cvr_click"),
        ("engagement_rate", "er_impressions"),
        ("roi", "roi_gross"),
        ("ctr", "ctr"),
    ],
)
def test_aliases(alias: str, slug: str) -> None:
    assert resolve(alias).slug == slug


def test_aliases_and_refusals_point_to_kpis() -> None:
    assert set(ALIASES.values()) <= set(CATALOGUE)
    assert {slug for slugs in REFUSED.values() for slug in slugs} <= set(CATALOGUE)
    assert not set(REFUSED) & (set(CATALOGUE) | set(ALIASES))


def test_an_unknown_name_is_told_its_neighbours() -> None:
    with pytest.raises(UnknownKpi) as raised:
        resolve("impresions")
    assert isinstance(raised.value, Invalid)
    assert raised.value.nearest == "impressions"
    with pytest.raises(UnknownKpi) as nothing:
        resolve("zzzzzz")
    assert nothing.value.nearest is None


def test_vtr_alone_is_refused() -> None:
    with pytest.raises(UnknownKpi, match="different things") as raised:
        resolve("vtr")
    assert raised.value.nearest == "video_vtr"


def test_profiles_open_on_kpis() -> None:
    for profile in PROFILES.values():
        assert set(profile.headline + profile.secondary) <= set(CATALOGUE)


def test_explaining_a_value_in_words() -> None:
    sums = member_sums(["a", "b"], {"clicks_link": [42, None], "impressions": [1800, 100], "reach": [9, 8]})
    text = explain(resolve("ctr"), evaluate(resolve("ctr"), sums, currency=None))
    assert text.startswith("ctr@1 (Click-through rate) = clicks_link / impressions = 42 / 1800 = 0.0233333333333.")
    assert "95% interval (wilson): 0.0173084393776 to 0.0313884449251." in text
    assert "Known for 1 of 2 members." in text
    assert "between 9 and 17" in explain(resolve("reach"), evaluate(resolve("reach"), sums, currency=None))
    assert "unknown (no_cost)" in explain(resolve("cpc"), evaluate(resolve("cpc"), sums, currency="EUR"))
    paid = member_sums(["a"], {"spend_media": [350_000_000], "conversions": [7_000_000]})
    assert "= cost / conversions = 350.00 / 7 = 50.00 EUR." in explain(
        resolve("cpa"), evaluate(resolve("cpa"), paid, currency="EUR")
    )


def test_reasons_and_rounding() -> None:
    assert reason_text(Reason.MISSING_FX_RATE, "CHF") == "missing_fx_rate:CHF"
    assert reason_text(None, "CHF") is None
    assert significant(1 / 3) == 0.333333333333
    with pytest.raises(ValueError, match="finite"):
        significant(float("nan"))
