"""Mistakes that well-known tools were caught in, each held off by a test that names it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from service import plugins
from service.kpi.catalogue import CATALOGUE, Kind
from service.kpi.evaluate import evaluate
from service.kpi.members import member_sums
from tests.integration.query.world import JUNE, SHOWN, World, table

pytestmark = pytest.mark.asyncio(loop_scope="package")
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


async def test_views_are_never_counted_as_clicks(world: World) -> None:
    for connector in plugins.discover().connectors.values():
        for line in connector.metrics:
            if line.metric in {"clicks_link", "clicks_all"}:
                assert "view" not in line.wire.lower(), (connector.name, line.wire)
    answer = await world.ask(metrics=["views", "clicks", "ctr"], filters=["is", "platform", ["tiktok"]])
    assert [answer["totals"][slug]["value"] for slug in ("views", "clicks_link", "ctr")] == [900, None, None]


async def test_null_does_not_become_zero(world: World) -> None:
    answer = await world.ask(metrics=["saves", "impressions"], dimensions=["platform"])
    assert (answer["totals"]["saves"]["value"], answer["totals"]["saves"]["state"]) == (None, "missing")
    assert table(answer, "impressions", "platform")["tiktok"] is None


async def test_duplicate_source_fields_are_not_summed(world: World) -> None:
    organic = await world.ask(metrics=["impressions"], filters=["is_not", "paid", ["paid"]])
    assert organic["totals"]["impressions"]["value"] == sum(shown for shown, _ in SHOWN.values())


async def test_growth_is_dated_when_it_happened_and_not_to_the_publishing_day(world: World) -> None:
    answer = await world.ask(metrics=["impressions"], dimensions=["day"], filters=["is_not", "paid", ["paid"]])
    grown = {day: value for day, value in table(answer, "impressions", "day").items() if value}
    assert len(grown) > 5
    assert max(grown) > "2026-06-03"


async def test_a_trend_is_computed_and_not_a_constant(world: World) -> None:
    for first, last in (("2026-06-04", "2026-06-04"), ("2026-06-06", "2026-06-06"), ("2026-06-20", "2026-06-20")):
        answer = await world.ask(metrics=["impressions"], range={"from": first, "to": last}, compare="previous_period")
        value = answer["totals"]["impressions"]["value"]
        before, told = (
            answer["comparison"]["totals"]["impressions"]["value"],
            answer["totals"]["impressions"]["compare"],
        )
        expected = None if not before or value is None else pytest.approx(value / before - 1, rel=1e-9)
        assert told["pct"] == expected
        assert (told["reason"] is None) is (expected is not None)


async def test_a_rate_is_no_mean_of_daily_rates(world: World) -> None:
    answer = await world.ask(metrics=["ctr", "clicks", "impressions"], dimensions=["day"])
    rates = [value for value in table(answer, "ctr", "day").values() if value is not None]
    total = answer["totals"]
    assert total["ctr"]["value"] == pytest.approx(total["clicks_link"]["value"] / total["impressions"]["value"])
    assert total["ctr"]["value"] != pytest.approx(sum(rates) / len(rates), rel=1e-3)


async def test_followers_are_summed_neither_over_days_nor_over_accounts(world: World) -> None:
    assert CATALOGUE["followers"].kind is Kind.LEVEL
    two = member_sums(["a", "b"], {"followers": [100, 40]})
    value = evaluate(CATALOGUE["followers"], two, currency=None)
    assert (value.value, value.bounds and value.bounds.lower) == (None, 100)
    mistake = await world.refused(metrics=[{"key": "followers", "aggregation": "sum"}])
    assert (mistake["code"], mistake["allowed"]) == ("not_additive", ["last"])


async def test_reach_is_not_summed_over_posts(world: World) -> None:
    answer = await world.ask(metrics=["reach"], dimensions=["subject"], filters=["is", "content_type", ["reel"]])
    posts = [row["metrics"]["reach"]["value"] for row in answer["data"]]
    assert sorted(posts) == [500, 1000]
    assert answer["totals"]["reach"]["value"] is None
    assert answer["totals"]["reach"]["bounds"] == {"lower": 1000, "upper": 1500}


async def test_the_comparison_is_as_long_as_the_range(world: World) -> None:
    for body in ({"from": "2026-03-24", "to": "2026-03-30"}, {"from": "2026-06-01", "to": "2026-06-30"}):
        for to in ("previous_period", "previous_year"):
            answer = await world.ask(metrics=["impressions"], range=body, compare=to)
            mine, theirs = answer["meta"]["range"], answer["comparison"]["range"]
            days = [
                (date.fromisoformat(one["last_day"]) - date.fromisoformat(one["first_day"])).days
                for one in (mine, theirs)
            ]
            assert days[0] == days[1]
    assert (await world.refused(compare={"to": {"from": "2026-05-01", "to": "2026-05-31"}}))["code"] == "unequal_length"


def _length(told: Any) -> int:
    return (date.fromisoformat(told["last_day"]) - date.fromisoformat(told["first_day"])).days


async def test_gaps_are_filled_with_a_state_and_not_with_zero(world: World) -> None:
    answer = await world.ask(metrics=["impressions", "cost"], granularity="day", dimensions=["tier"])
    assert len(answer["data"]) == 30 * 4
    gaps = [row["metrics"]["impressions"] for row in answer["data"] if row["metrics"]["impressions"]["value"] is None]
    assert gaps
    assert {gap["state"] for gap in gaps} == {"missing"}
    ahead = await world.ask(metrics=["cost"], granularity="day", range={"from": "2026-08-02", "to": "2026-08-04"})
    assert {row["metrics"]["cost"]["state"] for row in ahead["data"]} == {"not_yet"}


async def test_an_error_is_never_in_a_200(world: World) -> None:
    body: dict[str, Any] = {"scope": {"campaigns": [world.broad]}, "metrics": ["nonsense"]}
    answer = await world.desk.ask("POST", "/v1/kpis/query", body)
    assert answer.status_code == 422
    assert "errors" not in await world.ask(metrics=["impressions"])


async def test_rows_are_not_cut_silently(world: World) -> None:
    answer = await world.ask(metrics=["impressions"], dimensions=["subject"], page={"limit": 3})
    assert (len(answer["data"]), answer["meta"]["total_rows"], answer["page"]["has_more"]) == (3, 8, True)


async def test_keys_are_slugs_and_not_display_labels(world: World) -> None:
    answer = await world.ask(metrics=["clicks", "engagement_rate"])
    assert list(answer["totals"]) == ["clicks_link", "er_impressions"]
    assert all(slug == slug.lower() and " " not in slug for slug in CATALOGUE)


async def test_totals_are_of_the_window_that_the_answer_names(world: World) -> None:
    day = await world.ask(metrics=["impressions"], range={"from": "2026-06-06", "to": "2026-06-06"})
    ever = await world.ask(metrics=["impressions"], range="lifetime")
    assert day["totals"]["impressions"]["value"] < ever["totals"]["impressions"]["value"]
    assert (day["meta"]["range"]["first_day"], day["meta"]["range"]["last_day"]) == ("2026-06-06", "2026-06-06")
    assert ever["meta"]["range"]["start"] is None


async def test_the_base_of_an_engagement_rate_is_the_same_on_every_network(world: World) -> None:
    answer = await world.ask(metrics=["er_impressions", "er_views"], dimensions=["platform"])
    assert table(answer, "er_impressions", "platform")["tiktok"] is None
    assert table(answer, "er_views", "platform") == {"instagram": None, "tiktok": 0.1}
    assert answer["meta"]["definitions"] == {"er_impressions": "er_impressions@1", "er_views": "er_views@1"}


async def test_numbers_are_numbers_and_only_money_is_text(world: World) -> None:
    told = await world.desk.get("/v1/metrics")
    keys = [one["key"] for one in told["data"] if one["asks_for"] is None]
    for begin in range(0, len(keys), 50):
        answer = await world.ask(metrics=keys[begin : begin + 50])
        for slug, metric in answer["totals"].items():
            if metric["value"] is not None:
                assert isinstance(metric["value"], str) is (metric["unit"] == "money"), slug
    text = await world.desk.get(f"/v1/campaigns/{world.broad}/kpis", params=JUNE | {"metrics": "impressions"})
    assert text["totals"]["impressions"]["value"] == 11_200
