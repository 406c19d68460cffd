"""The query grammar over HTTP, in a body and in a query string, on one world."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.access.keys import Scope
from tests.integration.query.world import JUNE, World, table

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ("platform", {"instagram": 11_200, "tiktok": None}),
        ("tier", {"macro": 2000, "micro": 5000, "nano": 3000, None: 1200}),
        ("profile", {"instagram:ada": 3000, "instagram:bob": 5000, "instagram:eve": 2000, None: 1200}),
        ("creator", {"instagram:ada": 3000, "instagram:bob": 5000, "instagram:eve": 2000, None: 1200}),
        ("content_type", {"carousel": 5000, "post": 3200, "profile": None, "reel": 3000}),
        ("paid", {"paid": 1200, None: 10_000}),
        ("hashtag", {"spring": 3000, "tea": 5000, None: 4200}),
        ("tactic", {"awareness": 11_200}),
    ],
)
async def test_every_dimension_has_its_rows(world: World, dimension: str, expected: dict[Any, Any]) -> None:
    answer = await world.ask(metrics=["impressions"], dimensions=[dimension])
    assert table(answer, "impressions", dimension) == expected
    assert answer["totals"]["impressions"]["value"] == 11_200
    codes = [warning["code"] for warning in answer["meta"]["warnings"]]
    assert codes == {"hashtag": ["rows_overlap"], "creator": ["undated_dimension"]}.get(dimension, [])


async def test_tiers_are_those_of_the_policy_that_is_named(world: World) -> None:
    for name in ("sizes", "sizes@1"):
        answer = await world.ask(metrics=["impressions"], dimensions=["tier"], options={"tier_policy": name})
        assert table(answer, "impressions", "tier") == {"big": 3000, "small": 7000, None: 1200}
        assert answer["meta"]["tier_policy"] == "sizes@1"
    big = ["is", "tier", ["big"]]
    narrow = await world.ask(metrics=["impressions"], filters=big, options={"tier_policy": "sizes"})
    assert narrow["totals"]["impressions"]["value"] == 3000


async def test_subjects_sources_campaigns_and_strategies_are_named_by_their_ids(world: World) -> None:
    for name, prefix, count in (("subject", "sub_", 8), ("source", "src_", 2), ("campaign", "cmp_", 1)):
        rows = table(await world.ask(metrics=["impressions"], dimensions=[name]), "impressions", name)
        assert len(rows) == count
        assert all(key.startswith(prefix) for key in rows)
    scope = {"strategy": world.strategy}
    answer = await world.ask(scope=scope, metrics=["impressions"], dimensions=["strategy"])
    assert table(answer, "impressions", "strategy") == {world.strategy: 11_200}


async def test_several_campaigns_are_over_distinct_subjects(world: World) -> None:
    both = {"campaigns": [world.broad, world.micro]}
    answer = await world.ask(scope=both, metrics=["impressions", "reach"], dimensions=["campaign"])
    assert table(answer, "impressions", "campaign") == {world.broad: 11_200, world.micro: 3000}
    assert answer["totals"]["impressions"]["value"] == 11_200
    assert answer["totals"]["reach"]["bounds"] == {"lower": 2000, "upper": None}
    assert "rows_overlap" in [warning["code"] for warning in answer["meta"]["warnings"]]
    assert answer["meta"]["scope"] == {"campaigns": sorted(both["campaigns"]), "strategy": None}
    tactics = await world.ask(scope={"strategy": world.strategy}, metrics=["impressions"], dimensions=["tactic"])
    expected = {"awareness": 11_200, "creators": 3000, "niche": 3000}
    assert table(tactics, "impressions", "tactic") == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["is", "platform", ["instagram"]], 11_200),
        (["is", "hashtag", "tea"], 5000),
        (["is", "hashtag", ["#Tea"]], 5000),
        (["is_not", "hashtag", ["tea"]], 6200),
        (["not", ["is", "hashtag", ["tea"]]], 6200),
        (["is_null", "hashtag"], 4200),
        (["gte", "followers_at_publish", 50_000], 7000),
        (["lt", "followers_at_publish", "2500"], 1000),
        (
            ["and", [["is", "tier", ["micro", "macro"]], ["contains", "profile", ["BOB"], {"case_sensitive": False}]]],
            5000,
        ),
        (["or", [["matches", "content_type", "^car.*l$"], ["is", "tier", ["nano"]]]], 8000),
        ([["is", "content_type", ["reel"]], ["is", "hashtag", ["tea"]]], 1000),
        (["contains_not", "content_type", ["ee"]], 8200),
        (["is", "paid", ["paid"]], 1200),
        (["is_not", "paid", ["paid"]], 10_000),
        (["is", "tactic", ["awareness"]], 11_200),
        (["is", "platform", ["elsewhere"]], None),
    ],
)
async def test_filters_narrow_rows_and_totals_alike(world: World, filters: list[Any], expected: int | None) -> None:
    answer = await world.ask(metrics=["impressions"], filters=filters)
    assert answer["totals"]["impressions"]["value"] == expected
    assert [row["metrics"]["impressions"]["value"] for row in answer["data"]] == [expected]
    text = await world.desk.get(
        f"/v1/campaigns/{world.broad}/kpis", params=JUNE | {"metrics": "impressions", "filters": json.dumps(filters)}
    )
    assert text["totals"] == answer["totals"]


async def test_rows_are_chosen_ordered_and_paged_by_what_they_say(world: World) -> None:
    asked: dict[str, Any] = {
        "metrics": ["ctr", "impressions"],
        "dimensions": ["subject"],
        "having": [["gte", "impressions", 1000]],
    }
    by_limit = await world.ask(**asked, order=[["ctr", "desc", {"by": "lower_limit"}]])
    rates = [row["metrics"]["ctr"]["value"] for row in by_limit["data"]]
    lows = [row["metrics"]["ctr"]["interval"]["low"] for row in by_limit["data"]]
    assert lows == sorted(lows, reverse=True)
    assert rates[0] == 0.04
    assert len(rates) == 6
    assert by_limit["totals"]["impressions"]["value"] == 11_200
    pages, after = [], None
    while True:
        page = await world.ask(**asked, order=[["ctr", "asc"]], page={"limit": 4, "after": after})
        pages += [row["metrics"]["ctr"]["value"] for row in page["data"]]
        assert page["meta"]["total_rows"] == 6
        assert page["totals"] == by_limit["totals"]
        after = page["page"]["next"]
        assert page["page"]["has_more"] is (after is not None)
        if after is None:
            break
    assert pages == sorted(rates)
    none = await world.ask(metrics=["impressions"], dimensions=["platform"], order=[["impressions", "asc"]])
    assert [row["metrics"]["impressions"]["value"] for row in none["data"]] == [11_200, None]


async def test_followers_are_of_the_profile_that_they_belong_to(world: World) -> None:
    answer = await world.ask(metrics=["follower_growth", "impressions"], dimensions=["profile"])
    assert table(answer, "follower_growth", "profile") == {
        "instagram:ada": 50,
        "instagram:bob": None,
        "instagram:eve": None,
        None: None,
    }


async def test_days_are_filled_and_order_keeps_time_in_a_group(world: World) -> None:
    answer = await world.ask(
        metrics=["impressions"], granularity="day", dimensions=["platform"], order=["impressions"], page={"limit": 45}
    )
    days = [(row["dimensions"]["platform"], row["dimensions"]["day"]) for row in answer["data"]]
    assert days[0] == ("instagram", "2026-06-01")
    assert days[29:31] == [("instagram", "2026-06-30"), ("tiktok", "2026-06-01")]
    assert answer["meta"]["total_rows"] == 60
    rest = await world.ask(
        metrics=["impressions"],
        granularity="day",
        dimensions=["platform"],
        order=["impressions"],
        page={"limit": 45, "after": answer["page"]["next"]},
    )
    assert rest["data"][0]["dimensions"] == {"day": "2026-06-16", "platform": "tiktok"}
    assert (len(rest["data"]), rest["page"]["has_more"]) == (15, False)
    best = await world.ask(
        metrics=["impressions"], dimensions=["day"], order=[["impressions", "desc"]], page={"limit": 1}
    )
    assert table(best, "impressions", "day") == {"2026-06-04": 2500}
    assert best["page"]["has_more"]


@pytest.mark.parametrize(
    ("range_", "grain", "first"),
    [
        ({"from": "2026-06-01", "to": "2026-06-30"}, "day", "2026-06-01"),
        ({"from": "2026-01-01", "to": "2026-06-30"}, "week", "2025-12-29"),
        ({"from": "2025-01-01", "to": "2026-06-30"}, "month", "2025-01-01"),
        ({"from": "2026-06-05", "to": "2026-06-06"}, "day", "2026-06-05"),
        ({"from": "2026-06-12", "to": "2026-06-12"}, "hour", "2026-06-12T00:00+02:00"),
        ({"preset": "lifetime"}, "total", None),
    ],
)
async def test_auto_takes_the_grain_that_the_range_and_its_sources_bear(
    world: World, range_: dict[str, str], grain: str, first: str | None
) -> None:
    answer = await world.ask(metrics=["impressions"], range=range_, granularity="auto")
    assert answer["meta"]["granularity"] == grain
    assert answer["data"][0]["dimensions"].get(grain) == first


async def test_weeks_may_begin_on_sunday(world: World) -> None:
    asked: dict[str, Any] = {"metrics": ["impressions"], "granularity": "week"}
    monday = await world.ask(**asked)
    sunday = await world.ask(**asked, options={"week_starts": "sunday"})
    assert monday["data"][0]["dimensions"] == {"week": "2026-06-01"}
    assert sunday["data"][0]["dimensions"] == {"week": "2026-05-31"}
    assert sunday["data"][0]["partial"]
    for answer in (monday, sunday):
        assert sum(row["metrics"]["impressions"]["value"] or 0 for row in answer["data"]) == 11_200


async def test_what_an_answer_is_compared_with(world: World) -> None:
    week = {"from": "2026-06-08", "to": "2026-06-14"}
    asked: dict[str, Any] = {"metrics": ["impressions"], "range": week}
    previous = await world.ask(**asked, compare="previous_period")
    assert (previous["comparison"]["range"]["first_day"], previous["comparison"]["to"]) == (
        "2026-06-01",
        "previous_period",
    )
    stated = await world.ask(**asked, compare={"to": {"from": "2026-06-01", "to": "2026-06-07"}})
    assert stated["comparison"]["totals"] == previous["comparison"]["totals"]
    year = await world.ask(**asked, compare={"to": "previous_year"})
    assert year["comparison"]["range"]["first_day"] == "2025-06-09"
    dates = await world.ask(**asked, compare={"to": "previous_year", "same_weekdays": False})
    assert dates["comparison"]["range"]["first_day"] == "2025-06-08"
    flight = await world.ask(metrics=["impressions"], range="flight", compare="previous_flight")
    assert flight["comparison"]["to"] == world.earlier
    assert flight["comparison"]["range"]["first_day"] == "2026-05-01"
    assert flight["comparison"]["range"]["last_day"] == "2026-05-30"
    other = await world.ask(metrics=["impressions"], dimensions=["tier"], compare={"to": {"campaign": world.micro}})
    compared = {row["dimensions"]["tier"]: row["metrics"]["impressions"]["compare"] for row in other["data"]}
    assert compared["nano"] == {"value": 3000, "abs": 0, "pct": 0.0, "reason": None}
    assert compared["macro"]["reason"] == "missing_previous"
    assert other["comparison"]["totals"]["impressions"]["value"] == 3000


async def test_money_is_converted_at_stated_rates_or_not_at_all(world: World) -> None:
    answer = await world.ask(
        metrics=["cost", "cpc"], currency="USD", exchange={"rates": {"EUR": "1.1"}, "day": "2026-06-30"}
    )
    assert (answer["totals"]["cost"]["value"], answer["totals"]["cost"]["currency"]) == ("22.00", "USD")
    assert answer["meta"]["exchange"] == {"to": "USD", "day": "2026-06-30", "rates": {"EUR": "1.1"}}
    mistake = await world.refused(metrics=["cost"], currency="USD")
    assert (mistake["code"], mistake["pointer"], mistake["allowed"]) == ("missing_rate", "/currency", ["EUR"])
    hourly = await world.ask(metrics=["cost"], timezone="UTC", currency="USD", exchange={"rates": {"EUR": "1.1"}})
    assert hourly["totals"]["cost"]["value"] == "22.00"


async def test_figures_of_the_askers_own_are_named(world: World) -> None:
    options = {
        "rate_card": {"id": "dach@1", "currency": "EUR", "rates": {"likes": "0.10"}},
        "brands": {"id": "teas@2", "metric": "comments", "counts": {"other": 825}},
    }
    answer = await world.ask(metrics=["emv", "share_of_voice", "roas"], options=options)
    totals = answer["totals"]
    assert (totals["emv"]["value"], totals["share_of_voice"]["value"]) == ("44.00", 0.175)
    assert answer["meta"]["definitions"] == {
        "emv": "emv@1 (dach@1)",
        "share_of_voice": "share_of_voice@1 (teas@2)",
        "roas": "roas@1",
    }
    assert (await world.refused(metrics=["emv"]))["code"] == "card_needed"
    margin = await world.ask(world.micro, metrics=["roi_margin"])
    assert margin["totals"]["roi_margin"]["reason"] != "margin_unknown"
    assert (await world.ask(metrics=["roi_margin"]))["totals"]["roi_margin"]["reason"] == "margin_unknown"


async def test_columns_hold_what_rows_hold(world: World) -> None:
    asked: dict[str, Any] = {"metrics": ["ctr", "reach"], "dimensions": ["platform"], "compare": "previous_period"}
    rows, columns = await world.ask(**asked), await world.ask(**asked, format="columns")
    assert columns["data"]["dimensions"] == {"platform": ["instagram", "tiktok"]}
    for slug in ("ctr", "reach"):
        told = columns["data"]["metrics"][slug]
        assert told["value"] == [row["metrics"][slug]["value"] for row in rows["data"]]
        assert told["state"] == [row["metrics"][slug]["state"] for row in rows["data"]]
    assert columns["data"]["metrics"]["ctr"]["low"][0] == rows["data"][0]["metrics"]["ctr"]["interval"]["low"]
    assert columns["totals"] == rows["totals"]
    assert columns["meta"] | {"query": None} == rows["meta"] | {"query": None}


async def test_the_echo_of_a_query_asks_the_same(world: World) -> None:
    asked: dict[str, Any] = {
        "metrics": ["clicks", {"key": "ctr", "aggregation": "ratio_of_sums"}],
        "dimensions": ["tier"],
        "filters": ["is", "platform", ["instagram"]],
        "having": ["gt", "clicks", 5],
        "order": ["ctr", "asc"],
        "include": ["totals", "total_rows"],
    }
    first = await world.ask(**asked)
    again = await world.desk.post("/v1/kpis/query", first["meta"]["query"], 200)
    assert again == first
    assert list(first["totals"]) == ["clicks_link", "ctr"]
    assert first["totals"]["ctr"]["interval"] is None
    assert first["totals"]["ctr"]["coverage"] is None
    words = {"metrics": "clicks,ctr", "dimensions": "tier", "order": '["ctr","asc"]', "include": "totals,total_rows"}
    more = {"filters": '["is","platform",["instagram"]]', "having": '["gt","clicks",5]'}
    text = await world.desk.get(f"/v1/campaigns/{world.broad}/kpis", params=JUNE | words | more)
    assert text["data"] == first["data"]


async def test_as_of_pins_every_widget_of_a_page(world: World) -> None:
    now = await world.ask(metrics=["impressions"], dimensions=["platform", "hashtag", "content_type"])
    pinned = await world.ask(
        metrics=["impressions"], dimensions=["platform", "hashtag", "content_type"], as_of=now["meta"]["as_of"]
    )
    assert pinned["data"] == now["data"]
    postings = await world.books.rows("select recorded_at from postings order by posting")
    early = postings[-2]["recorded_at"].isoformat().replace("+00:00", "Z")
    then = await world.ask(metrics=["impressions"], dimensions=["paid"], as_of=early)
    assert table(then, "impressions", "paid") == {"paid": 1200, None: 10_000}
    assert "tiktok" not in then["meta"]["freshness"]


async def test_a_query_leaves_in_any_form_and_not_again_while_nothing_changed(world: World) -> None:
    body: dict[str, Any] = {"scope": {"campaigns": [world.broad]}, "range": JUNE, "metrics": ["impressions", "ctr"]}
    body |= {"dimensions": ["platform"], "options": {"interval": {"method": "none"}}}
    first = await world.desk.ask("POST", "/v1/kpis/query", body)
    assert [row["metrics"]["ctr"]["interval"] for row in first.json()["data"]] == [None, None]
    again = await world.desk.ask("POST", "/v1/kpis/query", body, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    columns = await world.desk.ask(
        "POST", "/v1/kpis/query", body | {"format": "columns"}, headers={"if-none-match": first.headers["etag"]}
    )
    assert columns.status_code == 200
    csv = await world.desk.ask("POST", "/v1/kpis/query", body, headers={"accept": "text/csv"})
    lines = csv.text.splitlines()
    assert lines[0].startswith("platform,partial,impressions,")
    assert lines[1].startswith("instagram,false,11200,")
    undated = await world.desk.ask("POST", "/v1/kpis/query", body | {"dimensions": ["creator"]})
    assert (undated.status_code, "etag" in undated.headers) == (200, False)


async def test_costs_are_hidden_from_whoever_may_not_see_them(world: World) -> None:
    reader = await world.office.caller(world.desk, [Scope.KPIS_READ])
    body = {"scope": {"campaigns": [world.broad]}, "range": JUNE, "metrics": ["cost", "clicks"], "order": [["cost"]]}
    answer = await reader.post("/v1/kpis/query", body, 200)
    assert answer["totals"]["cost"]["state"] == "suppressed"
    hidden = await reader.post("/v1/kpis/query", body | {"having": [["gte", "cost", 1]]}, 200)
    assert hidden["data"] == []


async def test_the_dictionary_lists_what_may_be_asked(world: World) -> None:
    told = await world.desk.get("/v1/metrics")
    by_key = {one["key"]: one for one in told["data"]}
    assert by_key["ctr"]["aggregation"] == "ratio_of_sums"
    assert by_key["reach"]["additive"] == {"time": False, "posts": False, "platforms": False}
    assert by_key["emv"]["asks_for"] == "options.rate_card"
    assert "tier" in by_key["cpa"]["dimensions"]
    assert {one["key"] for one in told["refused"]} >= {"vtr", "plays", "retention"}
    keys = [key for key, one in by_key.items() if one["asks_for"] is None]
    answer = await world.ask(metrics=keys[:50])
    assert list(answer["totals"]) == keys[:50]
