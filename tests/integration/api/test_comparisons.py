"""Campaigns against each other over HTTP: the golden comparisons posed as data, and what may not be compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.access.keys import Scope
from service.kpi.arms import COMPARABLE
from service.kpi.catalogue import CATALOGUE
from tests.golden.cases import CASES
from tests.integration.api.arena import Arena, Row, clock, day, posts
from tests.integration.api.office import Desk, open_office


@pytest_asyncio.fixture
async def arena(database_url: str) -> AsyncIterator[Arena]:
    async with open_office(database_url, clock()) as office:
        yield Arena(office, await office.workspace())


def one_post(given: dict[str, int]) -> dict[str, list[Row]]:
    return {"grams": posts([given["clicks"]], [given["impressions"]])}


async def versus(arena: Arena, a: str, b: str, metric: str = "ctr", **more: Any) -> dict[str, Any]:
    answer = await arena.desk.get(
        f"/v1/campaigns/{arena.ids[a]}/versus/{arena.ids[b]}", params={"metrics": metric} | more
    )
    found: dict[str, Any] = answer["data"][0]["metrics"][metric]
    return found


def limits(estimate: dict[str, Any]) -> list[float]:
    return [estimate["low"], estimate["high"]]


def codes(found: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in found["reasons"]]


ONE_LOOK = {"peeking": "false"}


G14, G15, G18, G19, G21 = (CASES[name] for name in ("G14", "G15", "G18", "G19", "G21"))


async def test_the_golden_comparisons(arena: Arena) -> None:
    await arena.enter(
        {
            "micro": one_post(G14.inputs["micro"]),
            "broad": one_post(G14.inputs["broad"]),
            "small": one_post(G15.inputs["micro"]),
            "few": {"grams": posts(G18.inputs["micro"]["clicks"], G18.inputs["micro"]["impressions"])},
            "many": {"grams": posts(G18.inputs["broad"]["clicks"], G18.inputs["broad"]["impressions"])},
            "near": {"grams": posts([200], [10_000])},
            "same": {"grams": posts([205], [10_000])},
            "cheap": {"grams": [Row(conversions=14, spend="400.00")]},
            "dear": {"grams": [Row(conversions=6, spend="520.00")]},
            "two_percent": {"grams": posts([20], [1000])},
            "and_a_half": {"grams": posts([25], [1000])},
            "nothing": {"grams": [Row(conversions=0, spend="100.00")]},
            "two": {"grams": posts([81], [87]), "toks": posts([192], [263])},
            "twice": {"grams": posts([234], [270]), "toks": posts([55], [80])},
            "elsewhere": {"tubes": posts([50], [900])},
            "split": {"ads": [Row(spend="400.00")], "grams": [Row(conversions=14)]},
            "cleft": {"ads": [Row(spend="520.00")], "grams": [Row(conversions=6)]},
        }
    )
    for check in (_one_look, _watched, _by_post, _equivalent, _costs, _platforms, _several):
        await check(arena)


async def _one_look(arena: Arena) -> None:
    found = await versus(arena, "micro", "broad", **ONE_LOOK)
    pooled = found["pooled"]
    got = {
        "diff": pooled["difference"]["value"],
        "diff_ci": limits(pooled["difference"]),
        "ratio": pooled["ratio"]["value"],
        "ratio_ci": limits(pooled["ratio"]),
        "p_two_sided": found["p_value"],
        "prob_micro_better_uniform_prior": found["chance_better"],
        "decision": found["verdict"],
    }
    G14.agrees(got, G14.expected)
    assert (found["decided_by"], pooled["difference"]["method"]) == ("pooled", "newcombe")
    assert "one_planned_look" in codes(found)
    worse = await versus(arena, "broad", "micro", **ONE_LOOK)
    assert (worse["verdict"], worse["p_value"]) == ("worse", found["p_value"])
    small = await versus(arena, "small", "broad", **ONE_LOOK)
    G15.agrees({"diff_ci": limits(small["pooled"]["difference"]), "decision": small["verdict"]}, G15.expected)

    unseen = await versus(arena, "and_a_half", "two_percent", **ONE_LOOK)
    assert unseen["verdict"] == "undecided"
    G21.agrees({"n_per_arm": unseen["still_needed"]["amount"] + 1000}, G21.expected)


async def _watched(arena: Arena) -> None:
    watched = await versus(arena, "micro", "broad")
    G19.agrees(
        {"ci_sequential": limits(watched["pooled"]["difference"]), "decision_sequential": watched["verdict"]},
        G19.expected,
    )
    assert "randomised" in watched["summary"]
    assert watched["still_needed"]["unit"] == "impressions"
    assert watched["still_needed"]["amount"] > 0
    sooner = await versus(arena, "micro", "broad", tuning_n=7200)
    assert sooner["pooled"]["difference"]["low"] > watched["pooled"]["difference"]["low"]


async def _by_post(arena: Arena) -> None:
    lifted = await versus(arena, "few", "many", **ONE_LOOK)
    assert lifted["clustered"] is True
    assert lifted["chance_better"] is None
    assert lifted["pooled"]["lift"]["method"] == "fieller"
    got = {"lift": lifted["pooled"]["lift"]["value"], "ci_fieller_normal": limits(lifted["pooled"]["lift"])}
    G18.agrees(got | {"ctr_micro": lifted["a"]["value"], "decision_delta": lifted["verdict"]}, G18.expected)


async def _equivalent(arena: Arena) -> None:
    """G46: two one-sided tests, whose p-value the unit tests compare with the library's."""
    margin = '{"ctr":{"absolute":0.005}}'
    alike = await versus(arena, "near", "same", margins=margin, **ONE_LOOK)
    assert (alike["verdict"], alike["margin"]["equivalent"]) == ("equivalent", True)
    assert (await versus(arena, "near", "same", **ONE_LOOK))["verdict"] == "undecided"
    strict = await versus(arena, "near", "same", margins='{"ctr":{"absolute":0.0001}}', **ONE_LOOK)
    assert (strict["verdict"], strict["margin"]["equivalent"]) == ("undecided", False)


async def _costs(arena: Arena) -> None:
    """G45: conversions per money, by the exact conditional method; of the cost the ratio is upside down."""
    cost = await versus(arena, "cheap", "dear", "cpa", **ONE_LOOK)
    assert cost["pooled"]["ratio"]["method"] == "exact_conditional"
    assert cost["p_value"] == pytest.approx(0.02240111416813221)
    assert limits(cost["pooled"]["ratio"]) == pytest.approx([1 / 9.630653458556557, 1 / 1.0950366780491168])
    assert (cost["better"], cost["verdict"]) == ("lower", "better")
    assert float(cost["pooled"]["difference"]["value"]) == pytest.approx(400 / 14 - 520 / 6)
    assert float(cost["pooled"]["difference"]["high"]) > float(cost["pooled"]["difference"]["value"])
    # Ads cost on one platform what is sold on another: platforms are no strata then.
    apart = await versus(arena, "split", "cleft", "cpa", **ONE_LOOK)
    assert (apart["p_value"], apart["decided_by"], apart["verdict"]) == (cost["p_value"], "pooled", "better")
    assert "costs_apart" in codes(apart)
    none = await versus(arena, "nothing", "dear", "cpa")
    assert (none["a"]["value"], none["a"]["reason"], none["verdict"]) == (None, "zero_denominator", "undecided")
    assert codes(none)[0] == "too_few_events"


async def _platforms(arena: Arena) -> None:
    """G20: pooled, a is worse; on each platform it is better, and so says the stratified view."""
    mixed = await versus(arena, "two", "twice", **ONE_LOOK)
    assert (mixed["decided_by"], mixed["reversed"]) == ("stratified", True)
    assert mixed["pooled"]["difference"]["value"] < 0 < mixed["stratified"]["view"]["difference"]["value"]
    table = mixed["stratified"]["mantel_haenszel"]
    assert table["risk_ratio"] == pytest.approx(1.0690001538676979)
    assert (table["statistic"], mixed["p_value"]) == pytest.approx((2.433855515576142, 0.11874052970979887))
    assert mixed["verdict"] == "undecided"
    assert codes(mixed)[:2] == ["limits_include_no_difference", "pooled_view_reversed"]
    assert [one["platform"] for one in mixed["stratified"]["platforms"]] == ["grams", "toks"]
    assert all(one["view"]["difference"]["value"] > 0 for one in mixed["stratified"]["platforms"])
    apart = await versus(arena, "micro", "elsewhere")
    assert (apart["verdict"], codes(apart)) == ("not_comparable", ["no_common_platform"])
    assert (await versus(arena, "micro", "elsewhere", strata="none"))["decided_by"] == "pooled"
    partly = await versus(arena, "micro", "two")
    assert partly["stratified"]["left_out"] == ["toks"]
    assert "platforms_left_out" in codes(partly)


async def _several(arena: Arena) -> None:
    """G22: what is asked at once is claimed with all of it in mind."""
    names = ["micro", "small", "few", "near", "same"]
    asked = {
        "campaigns": [arena.ids[name] for name in names],
        "base": arena.ids["broad"],
        "metrics": ["ctr"],
        "options": {"peeking": False, "false_discovery_rate": 0.01},
    }
    answer = await arena.desk.post("/v1/comparisons", asked, status=200)
    tests = [pair["metrics"]["ctr"] for pair in answer["data"]]
    assert answer["meta"]["claims"] == 5
    ordered = sorted(tests, key=lambda one: one["p_value"])
    assert [one["p_adjusted"] for one in ordered] == sorted(one["p_adjusted"] for one in tests)
    assert ordered[-1]["p_adjusted"] == ordered[-1]["p_value"]
    assert all(one["p_adjusted"] >= one["p_value"] for one in tests)
    micro = tests[0]
    assert micro["verdict"] == ("better" if micro["p_adjusted"] <= 0.01 else "undecided")
    hidden = [one for one in tests if "not_after_correction" in codes(one)]
    assert all(one["verdict"] == "undecided" for one in hidden)
    await _asked_again(arena, asked)


async def _asked_again(arena: Arena, body: dict[str, Any]) -> None:
    """A page that is opened again sends the tag: 304 while nothing was posted and the question is the same."""

    async def ask(tag: str, desk: Desk = arena.desk, **more: Any) -> httpx.Response:
        return await desk.ask("POST", "/v1/comparisons", json=body | more, headers={"if-none-match": tag})

    first = await ask("none")
    tag = first.headers["etag"]
    assert (first.status_code, first.headers["cache-control"]) == (200, "private, max-age=15")
    again = await ask(tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    others: list[dict[str, Any]] = [
        {"metrics": ["cpa"]},
        {"base": body["campaigns"][0], "campaigns": [body["base"]]},
        {"options": {}},
    ]
    for more in others:
        assert (await ask(tag, **more)).status_code == 200
    poor = await arena.office.caller(arena.desk, [Scope.KPIS_READ])
    assert (await ask(tag, poor)).status_code == 200
    stranger = await arena.office.workspace("Stranger")
    assert (await ask(tag, stranger)).status_code == 422
    wrong = await arena.desk.problem(422, "POST", "/v1/comparisons", body | {"metrics": ["ctrr"]})
    assert wrong["errors"][0]["pointer"] == "/metrics/0"
    await arena.enter({"late": one_post({"clicks": 1, "impressions": 10})})
    fresh = await ask(tag)
    assert (fresh.status_code, fresh.json()["data"]) == (200, first.json()["data"])
    assert fresh.headers["etag"] != tag


async def test_what_may_not_be_compared(arena: Arena) -> None:
    row = {"grams": [Row(1000, 30, 3, "90.00")]}
    await arena.enter({"a": row, "b": row})
    await arena.enter({"dollars": row}, currency="USD")
    await arena.enter({"wide": row}, click_days=30)
    await arena.enter({"running": row}, starts=day(-2), ends=day(7))
    await arena.enter({"empty": {}})
    every = [slug for slug, kpi in CATALOGUE.items() if kpi.kind in COMPARABLE]
    for at in range(0, len(every), 20):
        asked = {"campaigns": [arena.ids["a"]], "base": arena.ids["b"], "metrics": every[at : at + 20]}
        (pair,) = (await arena.desk.post("/v1/comparisons", asked, status=200))["data"]
        assert set(pair["metrics"]) == set(every[at : at + 20])
        assert {one["verdict"] for one in pair["metrics"].values()} <= {"undecided", "not_comparable"}
    dollars = await versus(arena, "a", "dollars", "cpa")
    assert dollars["verdict"] == "not_comparable"
    assert "currency_differs" in codes(dollars)
    wide = await versus(arena, "a", "wide", "cvr_click")
    assert codes(wide) == ["attribution_differs"]
    assert (await versus(arena, "a", "wide", "ctr"))["verdict"] == "undecided"
    assert codes(await versus(arena, "a", "empty")) == ["no_data"]

    answer = await arena.desk.get(f"/v1/campaigns/{arena.ids['a']}/versus/{arena.ids['running']}")
    (pair,) = answer["data"]
    assert pair["part"] == "days 1 to 2 of both flights"
    assert [pair[side]["range"]["last_day"] for side in "ab"] == [day(-39), day(-1)]
    assert list(pair["metrics"]) == ["ctr", "cvr_click", "cpa", "roi_gross", "roas"]
    full = await versus(arena, "a", "running", align="full")
    assert {"one_window_is_open", "range_part_differs"} <= set(codes(full))
    pinned = answer["meta"]["as_of"]
    paths = [f"/v1/campaigns/{arena.ids['a']}/versus/{arena.ids['b']}?as_of={pinned}"] * 2
    first, second = [(await arena.desk.ask("GET", path)).content for path in paths]
    assert first == second
    answered = await arena.desk.ask("GET", paths[0])
    again = {"if-none-match": answered.headers["etag"]}
    assert (await arena.desk.ask("GET", paths[0], headers=again)).status_code == 304
    other = await arena.desk.ask("GET", paths[0] + "&peeking=false", headers=again)
    assert (other.status_code, other.headers["etag"] == again["if-none-match"]) == (200, False)
    for report in ("signals", "pacing", "influencers", "attribution", "customers", "maturity"):
        path = f"/v1/campaigns/{arena.ids['a']}/{report}"
        named = {"if-none-match": (await arena.desk.ask("GET", path)).headers["etag"]}
        assert (await arena.desk.ask("GET", path, headers=named)).status_code == 304, report

    reader = await arena.office.caller(arena.desk, [Scope.KPIS_READ])
    blind = await reader.get(f"/v1/campaigns/{arena.ids['a']}/versus/{arena.ids['b']}?metrics=cpa,ctr")
    assert codes(blind["data"][0]["metrics"]["cpa"]) == ["not_permitted"]
    assert blind["data"][0]["metrics"]["cpa"]["a"]["value"] is None
    assert blind["data"][0]["metrics"]["ctr"]["verdict"] == "undecided"


async def test_questions_that_mean_nothing(arena: Arena) -> None:
    await arena.name("a", "b")
    path = f"/v1/campaigns/{arena.ids['a']}/versus/{arena.ids['b']}"
    for query, pointer, code in (
        ("metrics=impressions", "?metrics/0", "not_comparable"),
        ("metrics=ctr,vtr", "?metrics/1", "ambiguous_metric"),
        ("margins={", "?margins", "malformed"),
        ('margins={"ctr":{}}', "?margins/ctr", "bad_margin"),
        ('margins={"ctr":{"absolute":-1}}', "?margins/ctr/absolute", "malformed"),
        ('margins={"crt":{"absolute":1}}', "?margins/crt", "unknown_metric"),
        ('metrics=ctr&margins={"cpa":{"relative":0.1}}', "?margins/cpa", "not_asked"),
        ("range=last_7", "?range", "unknown_preset"),
        ("strata=country", "?strata", "not_allowed"),
        ("peek=1", "?peek", "unknown_field"),
    ):
        problem = await arena.desk.problem(422, "GET", f"{path}?{query}")
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (pointer, code), query
    assert "ctr" in (await arena.desk.problem(422, "GET", f"{path}?metrics=likes"))["errors"][0]["allowed"]
    same = await arena.desk.problem(422, "GET", f"/v1/campaigns/{arena.ids['a']}/versus/{arena.ids['a']}")
    assert same["errors"][0]["code"] == "same_campaign"
    await arena.desk.problem(404, "GET", f"/v1/campaigns/{arena.ids['a']}/versus/cmp_{'0' * 32}")
    stranger = await arena.office.workspace("Other")
    await stranger.problem(404, "GET", path)
    theirs = await stranger.post("/v1/campaigns", {"name": "x", "kind": "micro", "starts": day(-9), "ends": day(-5)})
    for address in (f"{arena.ids['a']}/versus/{theirs['id']}", f"{theirs['id']}/versus/{arena.ids['a']}"):
        await arena.desk.problem(404, "GET", f"/v1/campaigns/{address}")
    for garbage in ("x", "%00", "cmp_", arena.ids["b"].upper()):
        await arena.desk.problem(404, "GET", f"/v1/campaigns/{arena.ids['a']}/versus/{garbage}")

    good = {"campaigns": [arena.ids["a"]], "base": arena.ids["b"]}
    for more, pointer in (
        ({"metrics": ["ctr", "likes"]}, "/metrics/1"),
        ({"range": {"preset": "someday"}}, "/range/preset"),
        ({"range": {"from": "2026-06-01"}}, "/range/to"),
        ({"base": arena.ids["a"]}, "/base"),
        ({"campaigns": ["cmp_" + "0" * 32]}, "/campaigns/0"),
        ({"options": {"margins": {"ctr": {}}}}, "/options/margins/ctr"),
        ({"metrics": ["ctr"], "options": {"margins": {"cpa": {"relative": 0.1}}}}, "/options/margins/cpa"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"campaigns": []}, "/campaigns"),
    ):
        problem = await arena.desk.problem(422, "POST", "/v1/comparisons", good | more)
        assert problem["errors"][0]["pointer"] == pointer, more
