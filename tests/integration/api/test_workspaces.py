"""Workspaces over HTTP: made by the instance, kept by themselves."""

from __future__ import annotations

import pytest

from service.access.keys import Scope
from tests.integration.api.office import Desk, Office


async def test_the_instance_makes_a_workspace_with_its_first_key(office: Office) -> None:
    made = await office.instance.post("/v1/workspaces", {"name": "Acme", "zone": "Europe/Berlin", "currency": "CHF"})
    assert made["id"].startswith("wsp_")
    assert (made["name"], made["zone"], made["currency"]) == ("Acme", "Europe/Berlin", "CHF")
    first = Desk(office.app, made["key"]["token"], made["id"])
    own = await first.get(f"/v1/workspaces/{made['id']}")
    assert own == {name: value for name, value in made.items() if name != "key"}
    listed = await first.get("/v1/keys")
    assert [(key["id"], key["scopes"]) for key in listed["data"]] == [(made["key"]["id"], ["admin"])]


async def test_a_workspace_key_makes_no_workspace(desk: Desk) -> None:
    problem = await desk.problem(403, "POST", "/v1/workspaces", {"name": "Other"})
    assert problem["code"] == "forbidden"


@pytest.mark.parametrize(
    ("body", "pointer", "meant"),
    [
        ({"name": "A", "zone": "Europe/Berln"}, "/zone", "Europe/Berlin"),
        ({"name": "A", "currency": "EUP"}, "/currency", None),
        ({"name": ""}, "/name", None),
        ({"name": "a\u0000"}, "/name", None),
        ({"name": 7}, "/name", None),
        ({"name": "A", "zon": "UTC"}, "/zon", "zone"),
    ],
)
async def test_a_wrong_workspace_is_refused(office: Office, body: object, pointer: str, meant: str | None) -> None:
    problem = await office.instance.problem(422, "POST", "/v1/workspaces", body)
    assert problem["errors"][0]["pointer"] == pointer
    if meant is not None:
        assert problem["errors"][0]["did_you_mean"] == meant


async def test_the_instance_lists_all_page_by_page_and_a_workspace_itself(office: Office) -> None:
    desks = [await office.workspace(name) for name in ("A", "B", "C")]
    first = await office.instance.get("/v1/workspaces?limit=2")
    assert [one["name"] for one in first["data"]] == ["A", "B"]
    assert first["page"] == {"next": desks[1].workspace, "has_more": True}
    second = await office.instance.get(f"/v1/workspaces?limit=2&after={first['page']['next']}")
    assert [one["name"] for one in second["data"]] == ["C"]
    assert second["page"] == {"next": None, "has_more": False}
    own = await desks[1].get("/v1/workspaces")
    assert [one["name"] for one in own["data"]] == ["B"]


async def test_a_workspace_changes_itself_and_nobody_else(office: Office, desk: Desk) -> None:
    other = await office.workspace("Other")
    changed = await desk.patch(f"/v1/workspaces/{desk.workspace}", {"name": "New", "zone": "Asia/Tokyo"})
    assert (changed["name"], changed["zone"], changed["currency"]) == ("New", "Asia/Tokyo", "EUR")
    await desk.problem(404, "PATCH", f"/v1/workspaces/{other.workspace}", {"name": "Stolen"})
    await office.instance.problem(403, "PATCH", f"/v1/workspaces/{desk.workspace}", {"name": "Stolen"})
    problem = await desk.problem(422, "PATCH", f"/v1/workspaces/{desk.workspace}", {"name": None})
    assert problem["errors"][0]["pointer"] == "/name"
    reader = await office.caller(desk, [Scope.REGISTRY_READ])
    await reader.problem(403, "PATCH", f"/v1/workspaces/{desk.workspace}", {"name": "X"})


async def test_a_failed_creation_leaves_nothing(office: Office) -> None:
    await office.instance.problem(422, "POST", "/v1/workspaces", {"name": "A", "zone": "Nowhere"})
    assert (await office.instance.get("/v1/workspaces"))["data"] == []
