"""The trails of a number over HTTP: linked from the answer, proven down to the bytes, closed to whom it is."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from service.access.keys import Scope
from tests.integration.api.furniture import FILE, Things, furnish, read_all
from tests.integration.api.office import Desk, Office

TRAILS = ("history", "provenance", "explain")


@pytest.fixture
async def things(office: Office, desk: Desk) -> Things:
    return await furnish(office, desk)


def address(things: Things, metric: str, trail: str) -> str:
    return f"/v1/campaigns/{things.campaign}/kpis/{metric}/{trail}"


async def test_from_the_answer_to_the_bytes(desk: Desk, things: Things) -> None:
    answer = await desk.get(f"/v1/campaigns/{things.campaign}/kpis?metrics=likes,engagements&range=lifetime")
    for slug, metric in answer["totals"].items():
        assert metric["provenance"] == answer["data"][0]["metrics"][slug]["provenance"]
        proof = await desk.get(metric["provenance"])
        assert proof["value"]["value"] == metric["value"] == 7
        assert sum(one["contribution"] for one in proof["data"]) == 7
        assert proof["meta"]["as_of"] == answer["meta"]["as_of"]
        assert [one["contribution"] for one in proof["data"]] == [4, 3]
        (delivery,) = proof["deliveries"]
        assert delivery["id"] == things.delivery
        assert (delivery["source"], delivery["connector"], delivery["kept"]) == (things.source, "files", True)
        assert delivery["connector_version"]
        body = await desk.ask("GET", delivery["body"])
        assert body.content == FILE
        assert hashlib.sha256(body.content).hexdigest() == delivery["body_sha256"]


@pytest.mark.parametrize(
    "asked",
    [
        {"range": "lifetime"},
        {"range": "last_7d"},
        {"range": "last_24h"},
        {"from": "2026-06-01", "to": "2026-06-30", "timezone": "Asia/Kolkata"},
        {"from": "2026-06-01", "to": "2026-06-03", "granularity": "day", "compare": "previous_period"},
        {"from": "2026-06-01T05:30:00Z", "to": "2026-06-03T05:30:00+02:00"},
    ],
)
async def test_every_link_answers_with_its_number(desk: Desk, things: Things, asked: dict[str, str]) -> None:
    answer = await desk.get(f"/v1/campaigns/{things.campaign}/kpis", params=asked | {"metrics": "likes"})
    values = [answer["totals"]["likes"], *(row["metrics"]["likes"] for row in answer["data"])]
    if answer["comparison"]:
        values.append(answer["comparison"]["totals"]["likes"])
    for value in values:
        proof = await desk.get(value["provenance"])
        assert proof["value"]["value"] == value["value"]
        assert proof["meta"]["as_of"] == answer["meta"]["as_of"]


async def test_links_are_for_keys_that_may_follow_them(office: Office, desk: Desk, things: Things) -> None:
    reader = await office.caller(desk, [Scope.KPIS_READ])
    path = f"/v1/campaigns/{things.campaign}/kpis?metrics=likes&range=lifetime"
    assert (await reader.get(path))["totals"]["likes"]["provenance"] is None
    grouped = await desk.get(path + "&dimensions=platform")
    assert grouped["data"][0]["metrics"]["likes"]["provenance"] is None
    assert grouped["totals"]["likes"]["provenance"] is not None
    for trail, status in zip(TRAILS, (403, 403, 200), strict=True):
        assert (await reader.ask("GET", address(things, "likes", trail))).status_code == status
    auditor = await office.caller(desk, [Scope.PROVENANCE_READ])
    for trail, status in zip(TRAILS, (200, 200, 403), strict=True):
        assert (await auditor.ask("GET", address(things, "likes", trail))).status_code == status


async def test_equal_requests_are_equal_bytes(office: Office, desk: Desk, things: Things) -> None:
    pinned = (await desk.get(f"/v1/campaigns/{things.campaign}/kpis?range=lifetime"))["meta"]["as_of"]
    paths = [address(things, "likes", trail) + f"?range=lifetime&as_of={pinned}" for trail in TRAILS]
    paths.append(f"/v1/campaigns/{things.campaign}/kpis?range=lifetime&as_of={pinned}")
    before = [(await desk.ask("GET", path)).content for path in paths]
    more = b"Id,By,Likes,Shown\np3,eve,9,900\n"
    await desk.ask("POST", f"/v1/sources/{things.source}/uploads?filename=b.csv", content=more)
    await read_all(office)
    assert [(await desk.ask("GET", path)).content for path in paths] == before
    now = await desk.get(address(things, "likes", "history") + "?range=lifetime")
    assert [change["new"]["value"] for change in now["data"]] == [7, 16]
    assert now["data"][0]["deliveries"] == [things.delivery]


async def test_pages_and_their_edges(desk: Desk, things: Things) -> None:
    path = address(things, "likes", "provenance") + "?range=lifetime&limit=1"
    first = await desk.get(path)
    second = await desk.get(f"{path}&after={first['page']['next']}")
    assert first["page"]["has_more"] is True
    assert second["page"] == {"next": None, "has_more": False}
    assert [first["data"][0]["contribution"], second["data"][0]["contribution"]] == [4, 3]
    for after in ("x", "1.2", "1.2.x", "-1.2.sub_x", "1.\u00b2.sub_x"):
        problem = await desk.problem(422, "GET", path, params={"range": "lifetime", "after": after})
        assert problem["errors"][0]["pointer"] == "?after"
    for after in ("x", "-1", str(2**63)):
        await desk.problem(422, "GET", address(things, "likes", "history"), params={"after": after})


@pytest.mark.parametrize("trail", TRAILS)
async def test_what_cannot_be_asked(desk: Desk, things: Things, trail: str) -> None:
    def mistake(problem: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = problem["errors"][0]
        return found

    path = address(things, "likes", trail)
    unknown = mistake(await desk.problem(422, "GET", address(things, "lkes", trail)))
    assert (unknown["pointer"], unknown["code"], unknown["did_you_mean"]) == ("path:metric", "unknown_metric", "likes")
    both = mistake(await desk.problem(422, "GET", path + "?range=today&from=2026-06-01&to=2026-06-02"))
    assert both["code"] == "conflicting_ranges"
    assert mistake(await desk.problem(422, "GET", path + "?granularity=day"))["code"] == "unknown_field"
    await desk.problem(410, "GET", path + "?as_of=1999-01-01T00:00:00Z")
    await desk.problem(404, "GET", address(things, "likes", trail).replace(things.campaign, "cmp_" + "0" * 32))
    alias = await desk.get(address(things, "clicks", trail))
    assert alias["metric"] == "clicks_link"


async def test_an_explanation_is_a_sentence_with_its_numbers(desk: Desk, things: Things) -> None:
    told = await desk.get(address(things, "er_impressions", "explain") + "?range=lifetime&level=0.9")
    assert "= engagements / impressions = 7 / 300 = 0.0233333333333" in told["text"]
    assert told["interval"]["level"] == 0.9
    assert [(one["role"], one["metric"], one["total"]) for one in told["inputs"] if one["total"]] == [
        ("numerator", "likes", 7),
        ("denominator", "impressions", 300),
    ]
    assert told["definition"] == "er_impressions@1"
    assert json.dumps(told["meta"]["range"])
