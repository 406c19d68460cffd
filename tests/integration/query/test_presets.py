"""Presets over the query, on the shared world."""

from __future__ import annotations

import pytest

from tests.integration.query.world import JUNE, World, table

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_course_of_time_has_every_bucket(world: World) -> None:
    path = f"/v1/campaigns/{world.broad}/kpis/timeseries"
    answer = await world.desk.get(path, params=JUNE | {"metrics": "impressions", "dimensions": "platform"})
    assert answer["meta"]["granularity"] == "day"
    assert answer["meta"]["total_rows"] == len(answer["data"]) == 60
    states = {
        row["metrics"]["impressions"]["state"] for row in answer["data"] if row["dimensions"]["platform"] == "tiktok"
    }
    assert states == {"missing"}


async def test_a_breakdown_begins_with_the_greatest(world: World) -> None:
    path = f"/v1/campaigns/{world.broad}/kpis/breakdown/content_type"
    answer = await world.desk.get(path, params=JUNE | {"metrics": "clicks,ctr"})
    assert list(table(answer, "clicks_link", "content_type").values()) == [100, 50, 45, None]
    wrong = await world.desk.problem(422, "GET", f"/v1/campaigns/{world.broad}/kpis/breakdown/contenttype")
    assert wrong["errors"][0]["did_you_mean"] == "content_type"


async def test_the_top_is_ranked_by_the_lower_limit(world: World) -> None:
    path = f"/v1/campaigns/{world.broad}/kpis/top"
    answer = await world.desk.get(path, params=JUNE | {"metrics": "ctr,impressions", "limit": "3"})
    lows = [row["metrics"]["ctr"]["interval"]["low"] for row in answer["data"]]
    assert len(lows) == 3
    assert lows == sorted(lows, reverse=True)
    assert answer["page"]["has_more"]
    sums = await world.desk.get(path, params=JUNE | {"metrics": "impressions", "limit": "1"})
    assert sums["data"][0]["metrics"]["impressions"]["value"] == 4000


async def test_the_funnel_leaves_out_what_nobody_reports(world: World) -> None:
    funnel = await world.desk.get(f"/v1/campaigns/{world.broad}/kpis/funnel", params=JUNE)
    assert [(one["metric"], one["after"], one["rate_metric"]) for one in funnel["stages"]] == [
        ("impressions", None, None),
        ("clicks_link", "impressions", "ctr"),
    ]
    assert funnel["missing"] == ["sessions", "conversions", "orders"]
    assert funnel["stages"][1]["rate"]["value"] == pytest.approx(195 / 11_200)


async def test_the_pulse_is_provisional_and_is_of_sums(world: World) -> None:
    pulse = await world.desk.get(f"/v1/campaigns/{world.broad}/kpis/pulse")
    assert pulse["provisional"]
    assert [window["minutes"] for window in pulse["windows"]] == [5, 15, 60]
    assert pulse["windows"][0]["metrics"]["impressions"]["value"]["value"] is None
    assert pulse["windows"][0]["completeness"] == 0
    assert set(pulse["lag"]) == {"instagram", "tiktok"}
    wrong = await world.desk.problem(422, "GET", f"/v1/campaigns/{world.broad}/kpis/pulse?metrics=clicks,reach")
    assert (wrong["errors"][0]["code"], wrong["errors"][0]["pointer"]) == ("not_additive", "?metrics/1")


async def test_freshness_says_how_far_behind_each_platform_is(world: World) -> None:
    told = await world.desk.get(f"/v1/campaigns/{world.broad}/freshness")
    assert [(one["platform"], one["members"], one["members_behind"]) for one in told["data"]] == [
        ("instagram", 7, 7),
        ("tiktok", 1, 1),
    ]
    assert told["data"][1]["age"] == 53 * 86_400
    assert told["oldest"] == "2026-06-09T00:00:00Z"


async def test_integrity_proves_the_sums_of_a_range(world: World) -> None:
    for params in (JUNE, {"range": "lifetime"}, JUNE | {"timezone": "Asia/Tokyo"}):
        proved = await world.desk.get(f"/v1/campaigns/{world.broad}/integrity", params=params)
        assert proved["holds"], proved
        names = {check["name"] for check in proved["checks"]}
        assert names >= {"tallies", "paid", "platforms", "credits"}
    proved = await world.desk.get(f"/v1/campaigns/{world.micro}/integrity", params=JUNE)
    assert {check["name"]: check["compared"] > 0 for check in proved["checks"]}["campaign_days"]
