"""Campaigns over HTTP: versions, rules, and who counts after each change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.api.furniture import furnish, members
from tests.integration.api.office import Desk, Office

BODY: dict[str, Any] = {"name": "Spring", "kind": "micro", "starts": "2026-06-01", "ends": "2026-06-05"}


async def test_a_campaign_lives_in_versions(office: Office) -> None:
    desk = await office.workspace(zone="Europe/Berlin", currency="JPY")
    made = await desk.post(
        "/v1/campaigns",
        BODY
        | {
            "budget": "1250.5",
            "margin": "0.35",
            "goals": [{"metric": "clicks", "target": "500"}, {"metric": "roi", "target": "-0.5"}],
            "tactics": ["giveaway"],
            "rules": [{"hashtag": "#Spring", "in_flight": True}],
        },
    )
    assert (made["zone"], made["currency"], made["version"]) == ("Europe/Berlin", "JPY", 1)
    assert (made["budget"], made["margin"]) == ("1250.5", "0.35")
    assert [goal["metric"] for goal in made["goals"]] == ["clicks_link", "roi_gross"]
    assert (made["rules"][0]["hashtag"], made["rules"][0]["in_flight"]) == ("spring", True)
    assert await desk.get(f"/v1/campaigns/{made['id']}") == made
    changed = await desk.patch(f"/v1/campaigns/{made['id']}", {"ends": "2026-06-07", "budget": None})
    assert changed == made | {"version": 2, "ends": "2026-06-07", "budget": None}
    assert await desk.patch(f"/v1/campaigns/{made['id']}", {"ends": "2026-06-07"}) == changed
    assert await desk.patch(f"/v1/campaigns/{made['id']}", {}) == changed


async def test_deleting_archives_and_can_be_taken_back(desk: Desk) -> None:
    made = await desk.post("/v1/campaigns", BODY)
    for _ in range(2):
        answer = await desk.ask("DELETE", f"/v1/campaigns/{made['id']}")
        assert answer.json() == made | {"version": 2, "archived": True}
    assert (await desk.get("/v1/campaigns"))["data"] == []
    assert len((await desk.get("/v1/campaigns?archived=only"))["data"]) == 1
    assert len((await desk.get("/v1/campaigns?archived=any"))["data"]) == 1
    back = await desk.patch(f"/v1/campaigns/{made['id']}", {"archived": False})
    assert back == made | {"version": 3}
    assert (await desk.get("/v1/campaigns"))["data"] == [back]


async def test_lists_are_narrowed(desk: Desk) -> None:
    strategy = (await desk.post("/v1/strategies", {"name": "S"}))["id"]
    micro = await desk.post("/v1/campaigns", BODY | {"strategy": strategy})
    broad = await desk.post("/v1/campaigns", BODY | {"kind": "broad"})
    for query, found in (
        ("kind=micro", [micro]),
        ("kind=broad", [broad]),
        (f"strategy={strategy}", [micro]),
        (f"kind=broad&strategy={strategy}", []),
        (f"after={micro['id']}", [broad]),
    ):
        assert (await desk.get(f"/v1/campaigns?{query}"))["data"] == found
    problem = await desk.problem(422, "GET", "/v1/campaigns?kind=mikro")
    assert (problem["errors"][0]["pointer"], problem["errors"][0]["did_you_mean"]) == ("?kind", "micro")
    await desk.problem(422, "GET", "/v1/campaigns?strategy=cmp_1")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "medium"}, "/kind"),
        ({"ends": "2026-05-31"}, "/ends"),
        ({"budget": 100}, "/budget"),
        ({"budget": "-1"}, "/budget"),
        ({"budget": "1e3"}, "/budget"),
        ({"budget": "0.1234567"}, "/budget"),
        ({"margin": "1.1"}, "/margin"),
        ({"zone": "Mars/Olympus"}, "/zone"),
        ({"currency": "XXX"}, "/currency"),
        ({"strategy": "stg_" + "0" * 32}, "/strategy"),
        ({"strategy": "stg_1"}, "/strategy"),
        ({"goals": [{"metric": "ctx", "target": "1"}]}, "/goals/0/metric"),
        ({"goals": [{"metric": "ctr", "target": "1"}, {"metric": "ctr", "target": "2"}]}, "/goals/1/metric"),
        ({"goals": [{"metric": "ctr", "target": "1,5"}]}, "/goals/0/target"),
        ({"rules": [{}]}, "/rules/0"),
        ({"rules": [{"hashtag": "two words"}]}, "/rules/0/hashtag"),
        ({"rules": [{"hashtag": "#"}]}, "/rules/0/hashtag"),
        ({"rules": [{"platform": "x"}, {"source": "src_" + "1" * 32}]}, "/rules/1/source"),
        ({"rules": [{"creator": "crt_" + "1" * 32}]}, "/rules/0/creator"),
        ({"rules": [{"subjects": ["sub_" + "1" * 32]}]}, "/rules/0/subjects/0"),
        ({"rules": [{"subjects": []}]}, "/rules/0/subjects"),
        ({"rules": [{"hashtags": "x"}]}, "/rules/0/hashtags"),
    ],
)
async def test_wrong_campaigns_are_refused(desk: Desk, change: dict[str, Any], pointer: str) -> None:
    problem = await desk.problem(422, "POST", "/v1/campaigns", BODY | change)
    assert problem["errors"][0]["pointer"] == pointer
    assert (await desk.get("/v1/campaigns?archived=any"))["data"] == []


async def test_a_rule_never_reaches_into_another_workspace(office: Office, desk: Desk) -> None:
    theirs = await furnish(office, await office.workspace("Other"))
    for rule in ({"source": theirs.source}, {"creator": theirs.creator}, {"subjects": [theirs.subject]}):
        problem = await desk.problem(422, "POST", "/v1/campaigns", BODY | {"rules": [rule]})
        assert problem["errors"][0]["code"] == "unknown_id"
    problem = await desk.problem(422, "POST", "/v1/campaigns", BODY | {"strategy": theirs.strategy})
    assert problem["errors"][0]["code"] == "unknown_id"


async def test_subjects_join_and_leave_by_the_rules(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    made = await desk.post("/v1/campaigns", BODY | {"rules": [{"subjects": [things.subject]}]})
    assert await members(desk, made["id"]) == [things.subject]
    await desk.patch(f"/v1/campaigns/{made['id']}", {"rules": []})
    assert await members(desk, made["id"]) == []
    await desk.patch(f"/v1/campaigns/{made['id']}", {"rules": [{"source": things.source}]})
    assert things.subject in await members(desk, made["id"])
    await desk.ask("DELETE", f"/v1/campaigns/{made['id']}")
    assert things.subject in await members(desk, made["id"])


async def test_many_changes_at_once_become_versions_in_a_row(desk: Desk) -> None:
    made = await asyncio.gather(*(desk.post("/v1/campaigns", BODY) for _ in range(4)))
    assert len({one["id"] for one in made}) == 4
    path = f"/v1/campaigns/{made[0]['id']}"
    changed = await asyncio.gather(*(desk.patch(path, {"name": f"N{number}"}) for number in range(6)))
    assert sorted(one["version"] for one in changed) == [2, 3, 4, 5, 6, 7]
    assert (await desk.get(path))["version"] == 7
