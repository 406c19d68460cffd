"""Sources over HTTP: connected, never shown, rotated, paused; and which of two counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.signatures import sign_standard_webhooks
from service import ids
from service.records import SourceState
from service.registry import sources, workspaces
from tests.integration.api.furniture import furnish, read_all, workspace_of
from tests.integration.api.office import Desk, Office

SHOP = {"connector": "standard_webhooks", "name": "Shop", "platform": "shop"}
CHIRPER = {"connector": "chirper", "name": "Brand", "account": "42", "credentials": {"access_token": "t0ken-of-42"}}
EVENT = b'{"type":"tallybook.click","timestamp":"%s","data":{"id":"c-1","at":"%s"}}'


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - signatures are fresh by the real clock


async def push(desk: Desk, path: str, secret: str, message: str = "m-1") -> int:
    stamp = now().isoformat().encode()
    body = EVENT % (stamp, stamp)
    headers = sign_standard_webhooks(secret, message, now(), body)
    return (await Desk(desk.app, None).ask("POST", path, content=body, headers=headers)).status_code


async def test_a_webhook_source_gets_an_address_and_a_key_once(desk: Desk) -> None:
    made = await desk.post("/v1/sources", SHOP)
    assert made["webhook_path"].startswith("/v1/webhooks/")
    assert len(made["webhook_path"].rpartition("/")[2]) == 43
    assert made["secret"].startswith("whsec_")
    assert (made["platform"], made["has_secret"], made["counts"], made["state"]) == ("shop", True, True, "active")
    assert made["missing_credentials"] == []
    assert await push(desk, made["webhook_path"], made["secret"]) == 200
    shown = str(await desk.get(f"/v1/sources/{made['id']}")) + str(await desk.get("/v1/sources"))
    assert made["secret"] not in shown
    assert made["webhook_path"] not in shown
    assert (await desk.get(f"/v1/sources/{made['id']}"))["freshness"]["waiting"] == 1


async def test_a_given_key_is_kept_and_none_is_made(desk: Desk) -> None:
    secret = "whsec_" + "QUFB" * 10
    made = await desk.post("/v1/sources", SHOP | {"credentials": {"webhook_secret": secret}})
    assert (made["secret"], made["has_secret"], made["has_credentials"]) == (None, True, False)
    assert await push(desk, made["webhook_path"], secret) == 200


async def test_a_platform_source_names_what_is_missing(office: Office, desk: Desk) -> None:
    made = await desk.post(
        "/v1/sources", CHIRPER | {"options": {"region": "us"}, "tracks_from": "2026-01-01T00:00:00Z"}
    )
    assert (made["platform"], made["secret"], made["missing_credentials"]) == ("chirper", None, ["app_secret"])
    assert (made["options"], made["tracks_from"]) == ({"region": "us", "limit": 50}, "2026-01-01T00:00:00Z")
    parts = office.services
    async with parts.db.workspace(workspace_of(desk)) as connection:
        row = await sources.load(connection, workspace_of(desk), ids.read("source", made["id"]))
        vault = await workspaces.open_vault(connection, workspace_of(desk), parts.vault)
        stored = str((await connection.exec_driver_sql("select * from sources")).all())
    opened = sources.contract_source(row, vault, parts.connectors["chirper"])
    assert opened.credentials == {"access_token": "t0ken-of-42"}
    assert opened.options.region == "us"
    assert "t0ken-of-42" not in stored


@pytest.mark.parametrize(
    ("body", "pointer", "meant"),
    [
        (SHOP | {"connector": "chirpr"}, "/connector", "chirper"),
        ({"connector": "standard_webhooks", "name": "S"}, "/platform", None),
        (SHOP | {"platform": "A b"}, "/platform", None),
        (CHIRPER | {"platform": "other"}, "/platform", None),
        (CHIRPER | {"options": {"regio": "eu"}}, "/options/regio", "region"),
        (CHIRPER | {"options": {"limit": "many"}}, "/options/limit", None),
        (SHOP | {"options": {"zone": "Mars"}}, "/options", None),
        (SHOP | {"connector": "files", "options": {"columns": {"lykes": "A"}}}, "/options", None),
        (SHOP | {"connector": "files", "options": {"columns": {"likes": 7}}}, "/options/columns", None),
        (CHIRPER | {"credentials": {"acces_token": "x"}}, "/credentials/acces_token", "access_token"),
        (CHIRPER | {"credentials": {"access_token": ""}}, "/credentials/access_token", None),
        (CHIRPER | {"credentials": {"access_token": 7}}, "/credentials/access_token", None),
        (CHIRPER | {"tracks_from": "2026-01-01"}, "/tracks_from", None),
        (CHIRPER | {"counts": True}, "/counts", None),
    ],
)
async def test_wrong_sources_are_refused(desk: Desk, body: dict[str, Any], pointer: str, meant: str | None) -> None:
    problem = await desk.problem(422, "POST", "/v1/sources", body)
    assert problem["errors"][0]["pointer"].startswith(pointer)
    if meant is not None:
        assert problem["errors"][0]["did_you_mean"] == meant
    assert (await desk.get("/v1/sources"))["data"] == []


@pytest.mark.parametrize(
    "value", [b'"\\ud800"', b'"a\\u0000"', b"NaN", b"[[NaN]]", b'{"\\ud800": 1}', b'{"\\u0000": 1}']
)
async def test_options_that_cannot_be_stored_are_refused(desk: Desk, value: bytes) -> None:
    body = b'{"connector": "chirper", "name": "C", "options": {"region": %s}}' % value
    headers = {"content-type": "application/json"}
    problem = await desk.problem(422, "POST", "/v1/sources", content=body, headers=headers)
    assert problem["errors"][0]["pointer"].startswith("/options")


async def test_the_first_active_source_of_an_account_counts(office: Office, desk: Desk) -> None:
    async def counts(**more: Any) -> bool:
        made = await desk.post("/v1/sources", CHIRPER | more)
        return bool(made["counts"])

    assert await counts(account="1")
    assert not await counts(account="1")
    assert await counts(account="2")
    assert not await counts(account="")
    other = await office.workspace("Other")
    assert (await other.post("/v1/sources", CHIRPER | {"account": "1"}))["counts"]


async def test_an_unnamed_account_stands_for_all(desk: Desk) -> None:
    assert (await desk.post("/v1/sources", SHOP))["counts"]
    assert not (await desk.post("/v1/sources", SHOP | {"account": "7"}))["counts"]
    assert (await desk.post("/v1/sources", SHOP | {"platform": "other"}))["counts"]


async def test_of_many_sources_connected_at_once_one_counts(desk: Desk) -> None:
    made = await asyncio.gather(*(desk.post("/v1/sources", CHIRPER) for _ in range(5)))
    assert sorted(one["counts"] for one in made) == [False, False, False, False, True]


async def test_a_paused_source_gives_way_and_waits_for_its_turn(desk: Desk) -> None:
    first = await desk.post("/v1/sources", CHIRPER)
    paused = await desk.post(f"/v1/sources/{first['id']}/pause", status=200)
    assert paused["state"] == "paused"
    second = await desk.post("/v1/sources", CHIRPER)
    assert second["counts"]
    problem = await desk.problem(409, "POST", f"/v1/sources/{first['id']}/resume")
    assert second["id"] in problem["detail"]
    await desk.post(f"/v1/sources/{second['id']}/pause", status=200)
    assert (await desk.post(f"/v1/sources/{first['id']}/resume", status=200))["state"] == "active"
    assert (await desk.post(f"/v1/sources/{first['id']}/resume", status=200))["state"] == "active"


async def test_keys_overlap_when_they_turn(desk: Desk) -> None:
    made = await desk.post("/v1/sources", SHOP)
    turned = await desk.post(f"/v1/sources/{made['id']}/rotate-secret", {"overlap_seconds": 60}, status=200)
    assert turned["secret"] != made["secret"]
    assert await push(desk, made["webhook_path"], turned["secret"], "m-2") == 200
    assert await push(desk, made["webhook_path"], made["secret"], "m-3") == 200
    given = "whsec_" + "QkJC" * 10
    body = {"secret": given, "overlap_seconds": 0}
    assert await desk.post(f"/v1/sources/{made['id']}/rotate-secret", body, status=200) == {"secret": None}
    desk.app.state.addresses = type(desk.app.state.addresses)()
    assert await push(desk, made["webhook_path"], given, "m-4") == 200
    assert await push(desk, made["webhook_path"], made["secret"], "m-5") == 401
    assert await push(desk, made["webhook_path"], turned["secret"], "m-6") == 401
    for overlap in (-1, 31 * 86_400, "60", 1.5):
        path = f"/v1/sources/{made['id']}/rotate-secret"
        await desk.problem(422, "POST", path, {"overlap_seconds": overlap})


async def test_an_address_turns_at_once(desk: Desk) -> None:
    made = await desk.post("/v1/sources", SHOP)
    turned = await desk.post(f"/v1/sources/{made['id']}/rotate-address", status=200)
    assert await push(desk, made["webhook_path"], made["secret"]) == 404
    assert await push(desk, turned["webhook_path"], made["secret"]) == 200


async def test_a_source_changes(office: Office, desk: Desk) -> None:
    made = await desk.post("/v1/sources", CHIRPER)
    path = f"/v1/sources/{made['id']}"
    changed = await desk.patch(path, {"name": "New", "options": {"limit": 5}, "credentials": {"access_token": None}})
    assert (changed["name"], changed["options"], changed["has_credentials"]) == (
        "New",
        {"region": "eu", "limit": 5},
        False,
    )
    parts = office.services
    async with parts.db.workspace(workspace_of(desk)) as connection:
        source_id = ids.read("source", made["id"])
        state = SourceState.NEEDS_REAUTH
        await sources.set_state(connection, workspace_of(desk), source_id, state, parts.context, "expired")
    shown = await desk.get(path)
    assert (shown["state"], shown["state_detail"]) == ("needs_reauth", "expired")
    woken = await desk.patch(path, {"credentials": {"access_token": "fresh"}})
    assert (woken["state"], woken["state_detail"], woken["has_credentials"]) == ("active", "", True)
    for body, pointer in (
        ({"credentials": {"app_secret": "x"}}, "/credentials/app_secret"),
        ({"credentials": {"other": "x"}}, "/credentials/other"),
        ({"options": {"x": 1}}, "/options/x"),
        ({"account": "43"}, "/account"),
        ({"name": None}, "/name"),
    ):
        assert (await desk.problem(422, "PATCH", path, body))["errors"][0]["pointer"] == pointer


async def test_how_far_a_source_is(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    far = (await desk.get(f"/v1/sources/{things.source}"))["freshness"]
    assert far["posted_at"] is not None
    assert (far["fetched_at"], far["waiting"]) == (None, 0)
    upload = await desk.ask("POST", f"/v1/sources/{things.source}/uploads", content=b"Id,By,Likes,Shown\np9,ada,1,1\n")
    assert upload.status_code == 202
    assert (await desk.get("/v1/sources"))["data"][0]["freshness"]["waiting"] == 1
    await read_all(office)
    assert (await desk.get("/v1/sources"))["data"][0]["freshness"]["waiting"] == 0
