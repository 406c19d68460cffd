"""Keys over HTTP: made, shown once, ended at once; and what every refused key is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from service.access import keys
from service.access.keys import Scope
from service.context import Context, real
from service.db.tables import key_routes
from service.errors import NotFound
from tests.integration.api.office import Desk, Office, open_office


async def test_a_key_is_shown_once(desk: Desk) -> None:
    made = await desk.post("/v1/keys", {"name": "Reader", "scopes": ["kpis:read", "registry:read"]})
    assert made["token"].startswith(made["prefix"])
    again = await desk.get(f"/v1/keys/{made['id']}")
    assert "token" not in again
    assert made["token"] not in str(await desk.get("/v1/keys"))
    assert again["scopes"] == ["kpis:read", "registry:read"]
    assert (again["expires_at"], again["revoked_at"]) == (None, None)


async def test_a_revoked_key_ends_at_once(office: Office, desk: Desk) -> None:
    reader = await office.caller(desk, [Scope.REGISTRY_READ])
    await reader.get("/v1/campaigns")
    key = (await desk.get("/v1/keys"))["data"][-1]["id"]
    for _ in range(2):
        assert (await desk.ask("DELETE", f"/v1/keys/{key}")).status_code == 204
    await reader.problem(401, "GET", "/v1/campaigns")
    assert (await desk.get(f"/v1/keys/{key}"))["revoked_at"] is not None


async def test_a_revoked_key_stays_refused_where_its_route_comes_back(office: Office, desk: Desk) -> None:
    made = await desk.post("/v1/keys", {"name": "X", "scopes": ["registry:read"]})
    async with office.services.db.control() as connection:
        found = sa.select(key_routes).where(key_routes.c.key_hash == keys.digest(made["token"]))
        route = dict((await connection.execute(found)).mappings().one())
    await desk.ask("DELETE", f"/v1/keys/{made['id']}")
    async with office.services.db.control() as connection:
        await connection.execute(key_routes.insert().values(route))
    await Desk(office.app, made["token"]).problem(401, "GET", "/v1/campaigns")


async def test_a_key_expires(database_url: str) -> None:
    clock = [datetime.now(UTC)]  # noqa: TID251 - partitions of the test database are those of today
    made = real()
    context = Context(now=lambda: clock[0], new_id=made.new_id, token=made.token, uniform=made.uniform)
    async with open_office(database_url, context) as office:
        desk = await office.workspace()
        ends = (clock[0] + timedelta(hours=1)).isoformat()
        body = {"name": "Short", "scopes": ["registry:read"], "expires_at": ends}
        short = Desk(office.app, (await desk.post("/v1/keys", body))["token"])
        await short.get("/v1/campaigns")
        clock[0] += timedelta(hours=1)
        await short.problem(401, "GET", "/v1/campaigns")
        problem = await desk.problem(422, "POST", "/v1/keys", body)
        assert problem["errors"][0]["pointer"] == "/expires_at"


async def test_every_refused_key_is_told_the_same(office: Office, desk: Desk) -> None:
    unknown = keys.mint(real())
    broken = unknown[:-1] + ("a" if unknown[-1] != "a" else "b")
    told = set()
    for token in (None, "", "x", unknown, broken, "tbk_live_", "ü" * 3):
        headers = {} if token is None else {"authorization": f"Bearer {token}".encode()}
        answer = await office.nobody.ask("GET", "/v1/campaigns", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        told.add((answer.json()["detail"], answer.json()["code"]))
    assert len(told) == 1
    basic = await office.nobody.ask("GET", "/v1/campaigns", headers={"authorization": f"Basic {desk.token}"})
    assert basic.status_code == 401


async def test_wrong_scopes_are_refused_with_the_right_one(desk: Desk) -> None:
    problem = await desk.problem(422, "POST", "/v1/keys", {"name": "X", "scopes": ["kpi:read"]})
    mistake = problem["errors"][0]
    assert mistake["pointer"] == "/scopes/0"
    assert mistake["did_you_mean"] == "kpis:read"
    assert "admin" in mistake["allowed"]
    await desk.problem(422, "POST", "/v1/keys", {"name": "X", "scopes": []})
    for expires in ("2027-01-01T00:00:00", 1_900_000_000, "tomorrow", "9999-12-31T23:59:59-12:00"):
        body = {"name": "X", "scopes": ["admin"], "expires_at": expires}
        assert (await desk.problem(422, "POST", "/v1/keys", body))["errors"][0]["pointer"] == "/expires_at"


async def test_an_instance_key_keeps_workspaces_only_and_can_be_revoked(office: Office) -> None:
    problem = await office.instance.problem(403, "GET", "/v1/campaigns")
    assert "workspace" in problem["detail"]
    principal = await keys.authenticate(office.services.db, office.instance.token, office.services.context)
    async with office.services.db.control() as connection:
        await keys.revoke_instance(connection, principal.key_id)
    await office.instance.problem(401, "GET", "/v1/workspaces")
    async with office.services.db.control() as connection:
        try:
            await keys.revoke_instance(connection, principal.key_id)
        except NotFound:
            return
    raise AssertionError("a second revocation found a key")


async def test_no_key_is_stored(office: Office, desk: Desk) -> None:
    assert desk.token is not None
    principal = await keys.authenticate(office.services.db, desk.token, office.services.context)
    assert principal.workspace_id is not None
    async with office.services.db.workspace(principal.workspace_id) as connection:
        rows = [str(row) for row in await connection.exec_driver_sql("select * from api_keys")]
        rows += [str(row) for row in await connection.exec_driver_sql("select * from key_routes")]
    assert rows
    assert not any(desk.token[15:] in row for row in rows)
