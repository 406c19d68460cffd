"""Creators over HTTP, and what a changed profile does to campaigns that name its creator."""

from __future__ import annotations

from tests.integration.api.furniture import furnish, members
from tests.integration.api.office import Desk, Office

PROFILES = [{"platform": "chirper", "external_id": "ada"}, {"platform": "tiktok", "external_id": "7"}]


async def test_a_creator_lives(desk: Desk) -> None:
    made = await desk.post("/v1/creators", {"name": "Ada", "notes": "kind", "profiles": PROFILES})
    assert made["profiles"] == PROFILES
    assert await desk.get(f"/v1/creators/{made['id']}") == made
    changed = await desk.patch(f"/v1/creators/{made['id']}", {"profiles": PROFILES[:1]})
    assert (changed["profiles"], changed["name"], changed["notes"]) == (PROFILES[:1], "Ada", "kind")
    assert (await desk.get("/v1/creators"))["data"] == [changed]
    assert (await desk.ask("DELETE", f"/v1/creators/{made['id']}")).status_code == 204
    await desk.problem(404, "GET", f"/v1/creators/{made['id']}")
    await desk.post("/v1/creators", {"name": "Ada again", "profiles": PROFILES})


async def test_a_profile_belongs_to_one_creator(desk: Desk) -> None:
    first = await desk.post("/v1/creators", {"name": "Ada", "profiles": PROFILES})
    problem = await desk.problem(409, "POST", "/v1/creators", {"name": "Bob", "profiles": PROFILES[1:]})
    assert first["id"] in problem["detail"]
    assert [one["name"] for one in (await desk.get("/v1/creators"))["data"]] == ["Ada"]
    bob = await desk.post("/v1/creators", {"name": "Bob"})
    await desk.problem(409, "PATCH", f"/v1/creators/{bob['id']}", {"name": "Rob", "profiles": PROFILES})
    assert (await desk.get(f"/v1/creators/{bob['id']}"))["name"] == "Bob"


async def test_two_workspaces_may_know_the_same_profile(office: Office, desk: Desk) -> None:
    other = await office.workspace("Other")
    await desk.post("/v1/creators", {"name": "Ada", "profiles": PROFILES})
    await other.post("/v1/creators", {"name": "Ada", "profiles": PROFILES})


async def test_wrong_creators_are_refused(desk: Desk) -> None:
    for body, pointer in (
        ({"name": "A", "profiles": [{"platform": "Chirper", "external_id": "x"}]}, "/profiles/0/platform"),
        ({"name": "A", "profiles": [{"platform": "chirper", "external_id": ""}]}, "/profiles/0/external_id"),
        ({"name": "A", "profiles": [{"platform": "chirper", "external": "x"}]}, "/profiles/0/external_id"),
        ({"name": "A", "notes": None}, "/notes"),
    ):
        problem = await desk.problem(422, "POST", "/v1/creators", body)
        assert problem["errors"][0]["pointer"] == pointer


async def test_campaigns_that_name_a_creator_count_anew(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    creator = await desk.post("/v1/creators", {"name": "Ada"})
    body = {"name": "C", "kind": "micro", "starts": "2026-06-01", "ends": "2026-06-05"}
    campaign = await desk.post("/v1/campaigns", body | {"rules": [{"creator": creator["id"]}]})
    assert await members(desk, campaign["id"]) == []
    profile = {"platform": things.platform, "external_id": things.author}
    holder = next(one for one in (await desk.get("/v1/creators"))["data"] if profile in one["profiles"])
    await desk.ask("DELETE", f"/v1/creators/{holder['id']}")
    await desk.patch(f"/v1/creators/{creator['id']}", {"profiles": [profile]})
    assert things.subject in await members(desk, campaign["id"])
    await desk.ask("DELETE", f"/v1/creators/{creator['id']}")
    assert await members(desk, campaign["id"]) == []
