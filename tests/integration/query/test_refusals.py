"""What a query is refused for: where the mistake is, what would be right, and never more than a 422 or a 413."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.query.world import JUNE, World

pytestmark = pytest.mark.asyncio(loop_scope="package")

DEEP: Any = ["is", "platform", ["x"]]
for _ in range(8):
    DEEP = ["not", DEEP]


@pytest.mark.parametrize(
    ("body", "code", "pointer", "right"),
    [
        ({"metrix": ["ctr"]}, "unknown_field", "/metrix", "metrics"),
        ({"metrics": ["impresions"]}, "unknown_metric", "/metrics/0", "impressions"),
        ({"metrics": ["ctr", "vtr"]}, "ambiguous_metric", "/metrics/1", "video_vtr"),
        ({"metrics": ["plays"]}, "retired_metric", "/metrics/0", "views"),
        ({"metrics": ["retention"]}, "not_kept", "/metrics/0", None),
        ({"metrics": [{"key": "reach", "aggregation": "sum"}]}, "not_additive", "/metrics/0/aggregation", "bounds"),
        (
            {"metrics": [{"key": "ctr", "aggregation": "mean"}]},
            "impossible_aggregation",
            "/metrics/0/aggregation",
            "ratio_of_sums",
        ),
        ({"metrics": [{"key": "ctr", "aggregaton": "x"}]}, "unknown_field", "/metrics/0/aggregaton", "aggregation"),
        ({"range": "last_7"}, "unknown_preset", "/range", "last_7d"),
        ({"range": {"from": "2026-06-01"}}, "open_range", "/range/to", None),
        ({"range": {"from": "2026-06-01", "to": "2026-06-01T00:00:00Z"}}, "mixed_range", "/range/to", None),
        ({"range": {"from": "2026-06-03", "to": "2026-06-01"}}, "range_reversed", "/range/to", None),
        ({"range": {"from": "2026-06-03", "to": "2026-06-31"}}, "bad_date", "/range/to", None),
        (
            {"range": {"preset": "today", "from": "2026-06-01", "to": "2026-06-02"}},
            "conflicting_ranges",
            "/range",
            None,
        ),
        ({"timezone": "Europe/Berln"}, "unknown_zone", "/timezone", "Europe/Berlin"),
        ({"granularity": "dy"}, "not_allowed", "/granularity", "day"),
        ({"granularity": "hour"}, "coarser_source", "/granularity", "day"),
        ({"granularity": "day", "range": "lifetime"}, "no_grid", "/granularity", None),
        ({"granularity": "hour", "dimensions": ["day"]}, "conflicting_grain", "/granularity", "day"),
        ({"dimensions": ["influencer_tier"]}, "not_allowed", "/dimensions/0", "tier"),
        ({"filters": ["is", "platfrom", ["x"]]}, "unknown_dimension", "/filters/1", "platform"),
        ({"filters": ["equals", "platform", ["x"]]}, "unknown_operator", "/filters/0", None),
        ({"filters": ["and", [["is", "tier", ["nana"]]]]}, "not_allowed", "/filters/1/0/2", "nano"),
        ({"filters": ["gte", "platform", 3]}, "unfitting_operator", "/filters/0", "is"),
        ({"filters": ["matches", "platform", ["(a"]]}, "bad_pattern", "/filters/2", None),
        ({"filters": ["is", "platform", []]}, "bad_filter", "/filters/2", None),
        ({"filters": ["is", "platform", ["x"], {"case": True}]}, "unknown_field", "/filters/3", "case_sensitive"),
        ({"filters": {"is": "platform"}}, "bad_filter", "/filters", None),
        ({"having": ["gte", "impresions", 3]}, "unknown_dimension", "/having/1", "impressions"),
        ({"having": ["gte", "impressions", "many"]}, "bad_filter", "/having/2", None),
        ({"order": [["ctr", "down"]]}, "not_allowed", "/order/0/1", None),
        ({"order": ["ctr", "desc", {"by": "lower_limits"}]}, "not_allowed", "/order/2/by", "lower_limit"),
        ({"order": ["tier"]}, "unknown_metric", "/order/0", None),
        ({"compare": "previous_perod"}, "not_allowed", "/compare/to", "previous_period"),
        ({"compare": {"to": "previous_period", "align": "elapsd"}}, "not_allowed", "/compare/align", "elapsed"),
        ({"compare": {"too": "previous_period"}}, "unknown_field", "/compare/too", "to"),
        ({"compare": {"to": {"campain": "cmp_1"}}}, "unknown_field", "/compare/to/campain", "campaign"),
        ({"compare": {"to": {"from": "2026-05-01", "to": "2026-05-08"}}}, "unequal_length", "/compare/to", None),
        ({"compare": "previous_period", "range": "lifetime"}, "no_previous", "/compare", None),
        ({"include": ["total"]}, "not_allowed", "/include/0", "totals"),
        ({"page": {"after": "nonsense"}}, "bad_cursor", "/page/after", None),
        ({"page": {"limit": 0}}, "greater_than_equal", "/page/limit", None),
        ({"currency": "EUX"}, "unknown_currency", "/currency", None),
        ({"currency": "USD", "metrics": ["cost"]}, "missing_rate", "/currency", "EUR"),
        ({"exchange": {"rates": {"EUR": "1.1"}}}, "missing", "/currency", None),
        ({"currency": "USD", "exchange": {"rates": {"EUR": "-1"}}}, "bad_rate", "/exchange/rates/EUR", None),
        (
            {"options": {"tier_policy": "brief_for_tier"}},
            "unknown_tier_policy",
            "/options/tier_policy",
            "brief_four_tier",
        ),
        ({"options": {"interval": {"method": "bayes"}}}, "not_allowed", "/options/interval/method", "auto"),
        ({"options": {"coverage": "strickt"}}, "not_allowed", "/options/coverage", "strict"),
        (
            {"options": {"rate_card": {"id": "a", "currency": "EUR", "rates": {"reach": "1"}}}},
            "not_a_count",
            "/options/rate_card/rates",
            "likes",
        ),
        (
            {"options": {"benchmark": {"id": "a", "rates": {"mikro": "0.1"}}}},
            "unknown_tier",
            "/options/benchmark/rates",
            "micro",
        ),
        ({"scope": {}}, "bad_scope", "/scope", None),
        ({"as_of": "2026-09-01T00:00:00Z"}, "as_of_ahead", "/as_of", None),
        ({"format": "rowz"}, "not_allowed", "/format", "rows"),
    ],
)
async def test_a_mistake_has_its_place_and_what_would_be_right(
    world: World, body: dict[str, Any], code: str, pointer: str, right: str | None
) -> None:
    mistake = await world.refused(**({"metrics": ["impressions"]} | body))
    assert (mistake["code"], mistake["pointer"]) == (code, pointer)
    if right is not None:
        assert right in (mistake["did_you_mean"], *mistake["allowed"])


@pytest.mark.parametrize(
    "body",
    [
        {"filters": DEEP},
        {"filters": ["or", [["is", "platform", ["x"]]] * 51]},
        {"filters": ["is", "platform", ["x"] * 201]},
        {"filters": ["is", "platform", ["x" * 301]]},
        {"metrics": ["ctr"] * 51},
        {"dimensions": ["tier"] * 5},
        {"order": [["impressions"]] * 6},
        {"range": {"from": "1990-01-01", "to": "2099-12-31"}, "granularity": "day"},
        {
            "metrics": ["ctr"] * 30,
            "range": {"from": "2026-01-01", "to": "2026-06-30"},
            "dimensions": ["day", "subject"],
        },
    ],
)
async def test_what_is_too_deep_or_too_wide_is_413(world: World, body: dict[str, Any]) -> None:
    asked = {"scope": {"campaigns": [world.broad]}, "range": JUNE, "metrics": ["impressions"]} | body
    if "subject" in body.get("dimensions", []):
        told = (await world.desk.get("/v1/metrics"))["data"]
        asked["metrics"] = [one["key"] for one in told if one["asks_for"] is None][:50]
    problem = await world.desk.problem(413, "POST", "/v1/kpis/query", asked)
    assert problem["code"] == "too-large"


async def test_a_query_string_is_refused_like_a_body(world: World) -> None:
    path = f"/v1/campaigns/{world.broad}/kpis"
    for params, code, pointer, right in (
        ({"metrics": "impresions"}, "unknown_metric", "?metrics/0", "impressions"),
        ({"metric": "ctr"}, "unknown_field", "?metric", "metrics"),
        ({"filters": "[is"}, "malformed_json", "?filters", None),
        ({"filters": '["is","platfrom","x"]'}, "unknown_dimension", "?filters/1", "platform"),
        ({"compare": '{"too":"x"}'}, "unknown_field", "?compare/too", "to"),
        ({"options": '{"coverag":"strict"}'}, "unknown_field", "?options/coverag", "coverage"),
        ({"granularity": "dya"}, "not_allowed", "?granularity", "day"),
    ):
        problem = await world.desk.problem(422, "GET", path, params=params)
        (mistake,) = problem["errors"]
        assert (mistake["code"], mistake["pointer"]) == (code, pointer)
        assert mistake["did_you_mean"] == right


async def test_pages_belong_to_their_query(world: World) -> None:
    page = await world.ask(metrics=["impressions"], dimensions=["subject"], page={"limit": 2})
    after = page["page"]["next"]
    other = await world.refused(metrics=["ctr"], dimensions=["subject"], page={"limit": 2, "after": after})
    assert (other["code"], other["pointer"]) == ("other_query", "/page/after")


async def test_a_body_that_is_no_query_is_a_problem(world: World) -> None:
    for content in (b"[" * 100_000, b'{"scope": NaN}', b"null", b"[]", b'{"scope": {"campaigns": ["cmp_x"]}}'):
        headers = {"content-type": "application/json"}
        answer = await world.desk.ask("POST", "/v1/kpis/query", content=content, headers=headers)
        assert answer.status_code in (400, 422), content[:40]
        assert json.loads(answer.content)["errors"] is not None
    unknown = {"scope": {"campaigns": ["cmp_" + "0" * 32]}, "metrics": ["ctr"]}
    await world.desk.problem(404, "POST", "/v1/kpis/query", unknown)
    await world.desk.problem(404, "POST", "/v1/kpis/query", {"scope": {"strategy": "stg_" + "0" * 32}})
    stranger = await world.office.workspace("Stranger")
    await stranger.problem(404, "POST", "/v1/kpis/query", {"scope": {"campaigns": [world.broad]}})
