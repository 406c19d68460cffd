"""Tier policies, benchmarks, and who made a campaign: the golden tiers and ranking posed as data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from service.access.keys import Scope
from tests.golden.cases import CASES
from tests.integration.api.arena import NOW, Arena, clock
from tests.integration.api.furniture import read_all
from tests.integration.api.office import open_office

PUBLISHED = (NOW - timedelta(days=35)).isoformat()
POSTS = {
    "id_column": "Id",
    "columns": {"likes": "Likes", "comments": "Comments", "impressions": "Shown", "clicks_link": "Clicks"},
    "published_column": "At",
    "creator_column": "By",
    "utm_campaign_column": "Camp",
}
PROFILES = {
    "id_column": "Id",
    "subject_type": "profile",
    "columns": {"followers": "Followers"},
    "instant_column": "At",
}


@pytest_asyncio.fixture
async def arena(database_url: str) -> AsyncIterator[Arena]:
    async with open_office(database_url, clock()) as office:
        yield Arena(office, await office.workspace())


async def upload(arena: Arena, name: str, options: dict[str, Any], lines: list[str]) -> None:
    given = {
        "connector": "files",
        "name": name,
        "platform": "grams",
        "account": name,
        "options": options,
        "tracks_from": "2020-01-01T00:00:00Z",
    }
    source = await arena.desk.post("/v1/sources", given)
    path = f"/v1/sources/{source['id']}/uploads?filename=a.csv"
    answer = await arena.desk.ask("POST", path, content=("\n".join(lines) + "\n").encode())
    assert answer.status_code == 202, answer.text
    await read_all(arena.office)


async def crowd(arena: Arena, campaigns: dict[str, list[tuple[str, int, int, int, int]]], **levels: int) -> None:
    """Fill campaigns with posts (creator, likes, comments, impressions, clicks) of profiles with followers."""
    await arena.name(*campaigns)
    before = (NOW - timedelta(days=60)).isoformat()
    await upload(arena, "profiles", PROFILES, ["Id,Followers,At", *(f"{n},{f},{before}" for n, f in levels.items())])
    posts = [
        f"{name}-{at},{likes},{comments},{shown},{clicks},{PUBLISHED},{by},{name}"
        for name, given in campaigns.items()
        for at, (by, likes, comments, shown, clicks) in enumerate(given)
    ]
    await upload(arena, "posts", POSTS, ["Id,Likes,Comments,Shown,Clicks,At,By,Camp", *posts])


async def influencers(arena: Arena, name: str, **asked: Any) -> dict[str, Any]:
    path = f"/v1/campaigns/{arena.ids[name]}/influencers"
    found: dict[str, Any] = await arena.desk.get(path, params={"range": "lifetime"} | asked)
    return found


GOOD: dict[str, Any] = {"id": "mine", "tiers": [{"tier": "small", "lower": 0}, {"tier": "big", "lower": 1000}]}
RATES: dict[str, Any] = {
    "id": "market",
    "metric": "er_followers",
    "tier_policy": "brief_four_tier",
    "rates": CASES["G38"].inputs["benchmark_er_by_followers"],
    "source": "a study",
    "dated": "2026-01-31",
}


async def test_policies_are_data_with_versions(arena: Arena) -> None:
    ready = (await arena.desk.get("/v1/tier-policies"))["data"]
    by_name = {one["name"]: one for one in ready}
    for name, bands in CASES["G37"].inputs["policies"].items():
        one = by_name[f"{name}@1"]
        assert [[tier["tier"], tier["lower"]] for tier in one["tiers"]] == bands
        assert (one["below"], one["ready_made"], one["recorded_at"]) == ("below_nano", True, None)
        assert one["tiers"][-1]["upper"] is None
    first = await arena.desk.post("/v1/tier-policies", GOOD)
    assert (first["name"], first["below"], first["basis"]) == ("mine@1", "below_small", "followers_at_publish")
    second = await arena.desk.post("/v1/tier-policies", GOOD | {"basis": "followers_now", "platforms": ["grams"]})
    assert (second["version"], second["platforms"]) == (2, ["grams"])
    mine = [one["name"] for one in (await arena.desk.get("/v1/tier-policies"))["data"] if not one["ready_made"]]
    assert mine == ["mine@1", "mine@2"]
    newest = (await arena.desk.get("/v1/tier-policies?newest=true"))["data"]
    assert [one["name"] for one in newest if not one["ready_made"]] == ["mine@2"]

    # The bounds of a table found in the wild, which has a hole.
    bounds = ((2_500, 10_000), (10_000, 50_000), (50_000, 150_000), (150_000, 1_500_000), (5_000_000, None))
    wild = [{"tier": f"t{at}", "lower": low, "upper": high} for at, (low, high) in enumerate(bounds)]
    for tiers, code in (
        (wild, "tier_policy_hole"),
        ([wild[0], wild[1] | {"lower": 9_000}, wild[2] | {"upper": None}], "tier_policy_overlap"),
        ([{"tier": "a", "lower": 5}, {"tier": "b", "lower": 5}], "tier_policy_order"),
        ([{"tier": "a", "lower": 5}, {"tier": "a", "lower": 6}], "tier_policy_names"),
        (wild[:4], "tier_policy_closed"),
    ):
        problem = await arena.desk.problem(422, "POST", "/v1/tier-policies", GOOD | {"tiers": tiers})
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == ("/tiers", code)
    for more, pointer in (({"id": "five_tier"}, "/id"), ({"basis": "followers_at_contract"}, "/basis")):
        problem = await arena.desk.problem(422, "POST", "/v1/tier-policies", GOOD | more)
        assert problem["errors"][0]["pointer"] == pointer

    made = await arena.desk.post("/v1/benchmarks", RATES)
    assert (made["name"], made["base"], made["tier_policy"]) == (
        "market@1",
        "followers_at_publish",
        "brief_four_tier@1",
    )
    for wrong, pointer in (
        ({"metric": "ctr"}, "/metric"),
        ({"tier_policy": "six_tier"}, "/tier_policy"),
        ({"rates": {"huge": 0.1}}, "/rates/huge"),
        ({"rates": {"micro": 0}}, "/rates/micro"),
        ({"source": ""}, "/source"),
    ):
        problem = await arena.desk.problem(422, "POST", "/v1/benchmarks", RATES | wrong)
        assert problem["errors"][0]["pointer"] == pointer, wrong
    reader = await arena.office.caller(arena.desk, [Scope.REGISTRY_READ])
    assert (await reader.ask("POST", "/v1/tier-policies", GOOD)).status_code == 403
    stranger = await arena.office.workspace("Other")
    assert [one for one in (await stranger.get("/v1/tier-policies"))["data"] if not one["ready_made"]] == []


async def test_suspects_are_left_out_of_a_second_number_and_named(arena: Arena) -> None:
    """Both numbers: in rows, totals, buckets, columns and cells, under filters, paid apart, credited otherwise."""
    posts = [("real", 50, 5, 1000, 20), ("real", 70, 7, 1000, 30), ("bot", 900, 5, 500, 10), ("bot", 1, 0, 100, 1)]
    await crowd(arena, {"bought": posts, "clean": [("real", 50, 5, 1000, 20)]}, real=12_000, bot=20_000)
    scope = {"scope": {"campaigns": [arena.ids["bought"]]}, "range": "lifetime"}

    async def ask(*, suspects: bool = True, **body: Any) -> Any:
        given = {"metrics": ["impressions", "ctr", "reach"], "options": {"exclude_suspect": suspects}}
        return await arena.desk.post("/v1/kpis/query", scope | given | body, 200)

    def both(metrics: Any, slug: str = "impressions") -> tuple[Any, Any]:
        return metrics[slug]["value"], metrics[slug]["without_suspects"]["value"]

    plain, answer = await ask(suspects=False), await ask()
    assert "suspects" not in plain["meta"]
    assert "without_suspects" not in plain["totals"]["ctr"]
    assert {
        slug: {k: v for k, v in one.items() if k != "without_suspects"} for slug, one in answer["totals"].items()
    } == (plain["totals"])
    assert both(answer["totals"]) == (2600, 2000)
    assert both(answer["totals"], "ctr") == (pytest.approx(61 / 2600), 0.025)
    assert both(answer["totals"], "reach") == (None, None)
    rest = answer["totals"]["ctr"]["without_suspects"]
    assert (rest["members"], rest["numerator"], rest["state"]) == ({"known": 2, "total": 2}, 50, "ok")
    assert rest["interval"]["low"] < 0.025 < rest["interval"]["high"]
    (bot,) = answer["meta"]["suspects"]
    assert (bot["platform"], bot["profile"], bot["left_out"], len(bot["subjects"])) == ("grams", "bot", 2, 2)
    assert [reason["code"] for reason in bot["reasons"]] == ["engagements_exceed_views"]
    assert bot["score"] == 0.6
    (same,) = [row for row in (await influencers(arena, "bought"))["data"] if row["creator"] == "bot"]
    assert (same["suspicion"]["score"], same["suspicion"]["reasons"]) == (bot["score"], bot["reasons"])
    assert "followers_not_watched" in [warning["code"] for warning in answer["meta"]["warnings"]]

    by_profile = await ask(dimensions=["profile"], include=["totals"])
    assert {row["dimensions"]["profile"]: both(row["metrics"]) for row in by_profile["data"]} == {
        "grams:bot": (600, None),
        "grams:real": (2000, 2000),
    }
    assert by_profile["data"][1]["metrics"]["ctr"]["without_suspects"]["interval"] is None
    by_post = await ask(dimensions=["subject"], having=["gt", "impressions", 0])
    pairs = sorted((*both(row["metrics"]), *both(row["metrics"], "ctr")) for row in by_post["data"])
    assert pairs == [
        (100, None, 0.01, None),
        (500, None, 0.02, None),
        (1000, 1000, 0.02, 0.02),
        (1000, 1000, 0.03, 0.03),
    ]
    by_paid = await ask(dimensions=["paid"])
    assert [both(by_paid["totals"]), both(by_paid["data"][0]["metrics"])] == [(2600, 2000)] * 2
    only_bots = await ask(filters=["is", "profile", ["grams:bot"]])
    assert both(only_bots["totals"]) == (600, None)
    assert only_bots["meta"]["suspects"] == answer["meta"]["suspects"]
    no_bots = await ask(filters=["is", "profile", ["grams:real"]])
    assert (both(no_bots["totals"]), no_bots["meta"]["suspects"]) == ((2000, 2000), [])
    otherwise = await ask(metrics=["impressions", {"key": "cpa", "attribution": {"model": "linear"}}])
    assert both(otherwise["totals"]) == (2600, 2000)
    columns = await ask(dimensions=["profile"], format="columns")
    assert columns["data"]["metrics"]["impressions"]["without_suspects"] == [None, 2000]
    path = f"/v1/campaigns/{arena.ids['bought']}/kpis?range=lifetime&metrics=impressions&exclude_suspect=true"
    assert both((await arena.desk.get(path))["totals"]) == (2600, 2000)
    head, line = (await arena.desk.ask("GET", path + "&format=csv")).text.splitlines()
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert (cells["impressions"], cells["impressions_without_suspects"]) == ("2600", "2000")
    clean = await arena.desk.get(path.replace(arena.ids["bought"], arena.ids["clean"]))
    assert (both(clean["totals"]), clean["meta"]["suspects"]) == ((1000, 1000), [])
    days = f"{path.replace('range=lifetime', 'range=flight')}&granularity=day"
    assert all("without_suspects" in row["metrics"]["impressions"] for row in (await arena.desk.get(days))["data"])


async def test_who_made_a_campaign(arena: Arena) -> None:
    """G38 as posts; G43 as a lucky creator; a crowd that says nothing."""
    many = [("a", 10 * n, 0, 1000, n) for n in range(1, 32)]
    await crowd(
        arena,
        {
            "many": many,
            "mixed": [("a", 900, 0, 20_000, 300), ("b", 1400, 100, 30_000, 2), ("c", 5000, 200, 200_000, 4_000)],
            "other": [("a", 600, 0, 20_000, 600), ("c", 3000, 0, 200_000, 0), ("lucky", 3, 0, 10, 1)],
        },
        a=12_000, b=20_000, c=300_000,
    )  # fmt: skip
    await arena.desk.post("/v1/benchmarks", RATES)
    answer = await influencers(arena, "mixed", benchmark="market", against=arena.ids["other"])
    g38 = CASES["G38"]
    got = {
        "er": answer["index"]["rate"],
        "expected_engagements": answer["index"]["expected"],
        "index": answer["index"]["index"],
        "per_tier": {
            one["tier"]: {"er": one["index"]["rate"], "index": one["index"]["index"]} for one in answer["tiers"]
        },
    }
    g38.agrees({name: value for name, value in got.items() if name != "per_tier"}, g38.expected)
    for tier, one in got["per_tier"].items():
        g38.agrees(one, g38.expected["per_tier"][tier])
    assert (answer["meta"]["tier_policy"], answer["meta"]["benchmark"]["name"]) == ("brief_four_tier@1", "market@1")
    mix = answer["mix"]
    assert mix["difference"] == pytest.approx(7600 / 332_000 - 3600 / 312_000)
    assert mix["within"] + mix["mix"] == pytest.approx(mix["difference"])
    assert [row["creator"] for row in answer["data"]] == ["b", "a", "c"]  # 0.075 of either, but of more followers
    assert answer["data"][0]["ordered_by"] == answer["data"][0]["metrics"]["er_followers"]["interval"]["low"]

    lucky = await influencers(arena, "other", metrics="ctr")
    assert [row["creator"] for row in lucky["data"]] == ["a", "lucky", "c"]
    assert lucky["data"][1]["metrics"]["ctr"]["value"] > lucky["data"][0]["metrics"]["ctr"]["value"]
    by_click = await influencers(arena, "mixed", metrics="ctr,likes", tier_policy="four_tier")
    assert [row["creator"] for row in by_click["data"]] == ["c", "a", "b"]
    assert [row["tier"] for row in by_click["data"]] == ["macro", "micro", "micro"]
    assert (await influencers(arena, "other", range="flight"))["meta"]["warnings"][0]["code"] == "tier_unknown"

    await arena.desk.post("/v1/tier-policies", GOOD | {"platforms": ["toks"]})
    foreign = await influencers(arena, "mixed", tier_policy="mine", metrics="clicks,clicks_link")
    assert {row["tier"] for row in foreign["data"]} == {None}
    assert list(foreign["data"][0]["metrics"]) == ["clicks_link"]
    assert foreign["data"][0]["creator"] == "c"  # a count is ordered by itself

    suspects = await influencers(arena, "mixed", metrics="er_impressions", exclude_suspect="true")
    assert suspects["without_suspects"]["er_impressions"] == suspects["totals"]["er_impressions"]
    (silent,) = [row for row in suspects["data"] if row["creator"] == "a"]
    assert [reason["code"] for reason in silent["suspicion"]["reasons"]] == ["few_comments"]
    assert silent["suspicion"]["suspect"] is False

    (own,) = (await influencers(arena, "many", metrics="ctr"))["tiers"]
    assert own["quartiles"] == {"metric": "ctr", "posts": 31, "lower": 0.0085, "median": 0.016, "upper": 0.0235}
    assert all(one["quartiles"] is None for one in answer["tiers"])

    path = f"/v1/campaigns/{arena.ids['mixed']}/influencers"
    for query, pointer, code in (
        ("benchmark=market&metrics=er_reach", "?benchmark", "base_differs"),
        ("benchmark=market&tier_policy=five_tier", "?tier_policy", "policy_differs"),
        ("benchmark=markt", "?benchmark", "unknown_benchmark"),
        ("tier_policy=five_teir", "?tier_policy", "unknown_tier_policy"),
        ("metrics=er", "?metrics/0", "unknown_metric"),
    ):
        problem = await arena.desk.problem(422, "GET", f"{path}?range=lifetime&{query}")
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (pointer, code)
    assert problem["errors"][0]["did_you_mean"] is None or problem["errors"][0]["did_you_mean"].startswith("er")

    # What was known then stays, though there is a newer version now.
    pinned = answer["meta"]["as_of"]
    before = (await arena.desk.ask("GET", f"{path}?range=lifetime&benchmark=market&as_of={pinned}")).content
    await arena.desk.post("/v1/benchmarks", RATES | {"rates": {"micro": 0.5}})
    assert (await arena.desk.ask("GET", f"{path}?range=lifetime&benchmark=market&as_of={pinned}")).content == before
    now = await influencers(arena, "mixed", benchmark="market")
    assert (now["meta"]["benchmark"]["name"], now["index"]["covered"]) == ("market@2", 2)
    assert "tiers_without_benchmark" in [warning["code"] for warning in now["meta"]["warnings"]]
