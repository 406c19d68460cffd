from __future__ import annotations

from fractions import Fraction

import pytest

from connectors.contract import METRICS, STORED
from service.errors import Invalid
from service.kpi.catalogue import (
    ALIASES,
    CATALOGUE,
    CONVENTIONS,
    NOT_KEPT,
    REFUSED,
    RETIRED,
    Kind,
    UnknownKpi,
    resolve,
)
from service.kpi.conventions import earned_media, voice_among
from service.kpi.definitions import Brands, RateCard, with_margin
from service.kpi.evaluate import evaluate
from service.kpi.explain import explain
from service.kpi.measure import Quality, Reason, State, reason_text, significant
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


@pytest.mark.parametrize(
    ("name", "code", "instead"),
    [
        ("vtr", "ambiguous_metric", ("video_vtr",)),
        ("plays", "retired_metric", ("views",)),
        ("retention", "not_kept", ()),
        ("emv", "card_needed", ()),
        ("share_of_voice", "card_needed", ()),
        ("tier_index", "card_needed", ()),
    ],
)
def test_names_that_are_refused_say_why(name: str, code: str, instead: tuple[str, ...]) -> None:
    with pytest.raises(UnknownKpi) as raised:
        resolve(name)
    assert (raised.value.code, raised.value.allowed) == (code, instead)
    assert {slug for names in RETIRED.values() for slug in names} <= set(CATALOGUE)
    assert not (set(NOT_KEPT) | set(RETIRED)) & (set(CATALOGUE) | set(CONVENTIONS))


def test_a_return_at_a_margin_waits_for_the_margin() -> None:
    sums = member_sums(["a"], {"spend_media": [1250_000_000], "conversion_value": [4375_500_000]})
    kpi = resolve("roi_margin")
    unknown = evaluate(kpi, sums, currency="EUR")
    assert (unknown.value, unknown.reason, unknown.state) == (None, Reason.MARGIN_UNKNOWN, State.MISSING)
    known = with_margin(kpi, 400_000)
    assert evaluate(known, sums, currency="EUR").value == 0.40016
    assert "= 0.4 * 4375.50 / 1250.00 - 1 = 0.40016" in explain(known, evaluate(known, sums, currency="EUR"))
    assert with_margin(resolve("roas"), 400_000) == resolve("roas")


def test_earned_media_names_its_card_and_what_is_missing() -> None:
    sums = member_sums(["a", "b"], {"likes": [100, 50], "comments": [3, None]})
    card = RateCard(id="dach@2", currency="EUR", rates={"likes": Fraction(1, 10), "saves": Fraction(1)})
    kpi = earned_media(card)
    value = evaluate(kpi, sums, currency="USD")
    assert (value.value, value.currency, value.quality) == ("15.00", "EUR", Quality.PARTIAL)
    assert kpi.definition == "emv@1 (dach@2)"
    assert "dach@2" in (value.note or "")
    assert "saves" in (value.note or "")
    nothing = earned_media(RateCard(id="x", currency="EUR", rates={"saves": Fraction(1)}))
    assert evaluate(nothing, sums, currency=None).reason is Reason.NOT_REPORTED
    with pytest.raises(Invalid, match="no count"):
        earned_media(RateCard(id="x", currency="EUR", rates={"reach": Fraction(1)}))


def test_share_of_voice_is_among_named_brands() -> None:
    sums = member_sums(["a", "b"], {"comments": [60, 40]})
    value = evaluate(
        voice_among(Brands(id="set@1", metric="comments", others={"x": 200, "y": 100})), sums, currency=None
    )
    assert (value.value, value.numerator, value.denominator) == (0.25, 100, 400)
    assert value.interval is not None
    assert value.interval.low == pytest.approx(0.2100, abs=1e-4)
    assert "set@1" in (value.note or "")
    with pytest.raises(Invalid, match="no count"):
        voice_among(Brands(id="x", metric="cost", others={}))


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
