"""Strategies over HTTP."""

from __future__ import annotations

from tests.integration.api.office import Desk

BODY = {
    "name": "2026",
    "description": "A year.\nOf work.",
    "objectives": ["Be known", "Sell"],
    "starts": "2026-01-01",
    "ends": "2026-12-31",
}


async def test_a_strategy_lives(desk: Desk) -> None:
    made = await desk.post("/v1/strategies", BODY)
    assert {name: made[name] for name in BODY} == BODY
    assert await desk.get(f"/v1/strategies/{made['id']}") == made
    changed = await desk.patch(f"/v1/strategies/{made['id']}", {"objectives": ["Sell"], "ends": None})
    assert (changed["objectives"], changed["ends"], changed["starts"]) == (["Sell"], None, "2026-01-01")
    assert changed["updated_at"] >= made["updated_at"]
    assert (await desk.get("/v1/strategies"))["data"] == [changed]
    assert (await desk.ask("DELETE", f"/v1/strategies/{made['id']}")).status_code == 204
    await desk.problem(404, "GET", f"/v1/strategies/{made['id']}")


async def test_a_strategy_with_campaigns_stays(desk: Desk) -> None:
    made = await desk.post("/v1/strategies", {"name": "S"})
    campaign = {"name": "C", "kind": "broad", "starts": "2026-06-01", "ends": "2026-07-15", "strategy": made["id"]}
    assert (await desk.post("/v1/campaigns", campaign))["strategy"] == made["id"]
    await desk.problem(409, "DELETE", f"/v1/strategies/{made['id']}")


async def test_a_strategy_does_not_end_before_it_starts(desk: Desk) -> None:
    problem = await desk.problem(422, "POST", "/v1/strategies", BODY | {"ends": "2025-12-31"})
    assert problem["errors"][0]["pointer"] == "/ends"
    made = await desk.post("/v1/strategies", BODY)
    await desk.problem(422, "PATCH", f"/v1/strategies/{made['id']}", {"starts": "2027-01-01"})
    for day in ("2026-02-30", "1.1.2026", 20260101, "2026-01-01T00:00:00Z", "0001-01-01"):
        await desk.problem(422, "POST", "/v1/strategies", BODY | {"starts": day})


async def test_pages_follow_each_other_without_gap_or_overlap(desk: Desk) -> None:
    made = [await desk.post("/v1/strategies", {"name": f"S{number}"}) for number in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = await desk.get(f"/v1/strategies?limit=2{after}")
        seen += [one["id"] for one in page["data"]]
        if not page["page"]["has_more"]:
            break
        after = f"&after={page['page']['next']}"
    assert seen == [one["id"] for one in made]
    for query in ("limit=0", "limit=201", "limit=x", "after=cmp_1", "afer=1"):
        problem = await desk.problem(422, "GET", f"/v1/strategies?{query}")
        assert problem["errors"][0]["pointer"].startswith("?")
