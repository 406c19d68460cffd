"""Writes that are sent again: done once, answered alike, and never for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from service.access.keys import Scope
from tests.integration.api.clock import Clock
from tests.integration.api.furniture import workspace_of
from tests.integration.api.office import Desk, Office, open_office

BODY = {"name": "Spring"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def office(database_url: str, clock: Clock) -> AsyncIterator[Office]:
    async with open_office(database_url, clock.context) as opened:
        yield opened


async def send(desk: Desk, name: str, body: Any = None, path: str = "/v1/strategies") -> httpx.Response:
    return await desk.ask("POST", path, BODY if body is None else body, headers={"idempotency-key": name})


async def count(desk: Desk) -> int:
    return len((await desk.get("/v1/strategies"))["data"])


async def test_the_same_again_is_done_once(desk: Desk) -> None:
    first = await send(desk, "a")
    again = await send(desk, "a")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await count(desk) == 1
    assert (await send(desk, "b")).json()["id"] != first.json()["id"]
    assert await count(desk) == 2


async def test_another_request_under_the_name_is_422(desk: Desk) -> None:
    await send(desk, "a")
    for path, body in (("/v1/strategies", {"name": "Autumn"}), ("/v1/creators", BODY), ("/v1/strategies?x=1", BODY)):
        answer = await send(desk, "a", body, path)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "idempotency_key_reused"
    assert await count(desk) == 1


async def test_while_it_is_under_way_it_is_409(office: Office, desk: Desk) -> None:
    answers = await asyncio.gather(*(send(desk, "a") for _ in range(6)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 201
    assert set(statuses) <= {201, 409}
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 409} <= {"1"}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await count(desk) == 1


async def test_a_name_is_of_its_key_and_its_workspace(office: Office, desk: Desk) -> None:
    colleague = await office.caller(desk, [Scope.REGISTRY_WRITE])
    other = await office.workspace("Other")
    found = [(await send(one, "a")).json()["id"] for one in (desk, colleague, other)]
    assert len(set(found)) == 3


async def test_what_was_refused_may_be_tried_again(desk: Desk) -> None:
    assert (await send(desk, "a", {"name": ""})).status_code == 422
    assert (await send(desk, "a", {"name": ""})).status_code == 422
    assert (await send(desk, "a")).status_code == 201


async def test_after_a_day_a_name_is_free(desk: Desk, clock: Clock) -> None:
    first = await send(desk, "a")
    clock.move(hours=23, minutes=59)
    assert (await send(desk, "a")).content == first.content
    clock.move(minutes=2)
    assert (await send(desk, "a")).json()["id"] != first.json()["id"]


async def test_what_a_dead_process_left_is_taken_over(office: Office, desk: Desk, clock: Clock) -> None:
    await send(desk, "a")
    async with office.services.db.workspace(workspace_of(desk)) as connection:
        await connection.execute(sa.text("update idempotency_keys set status = null, body = null"))
    assert (await send(desk, "a")).status_code == 409
    clock.move(minutes=16)
    assert (await send(desk, "a")).status_code == 201


async def test_secrets_in_answers_are_kept_sealed(office: Office, desk: Desk) -> None:
    made = await send(desk, "a", {"name": "k", "scopes": ["kpis:read"]}, "/v1/keys")
    assert (await send(desk, "a", {"name": "k", "scopes": ["kpis:read"]}, "/v1/keys")).content == made.content
    async with office.services.db.workspace(workspace_of(desk)) as connection:
        kept = (await connection.execute(sa.text("select * from idempotency_keys"))).one()
    assert made.json()["token"].encode() not in kept.body
    assert b"token" not in kept.body
    assert kept.name_hash != b"a"


async def test_names_that_are_none(office: Office, desk: Desk) -> None:
    for name in ("", "x" * 256, "a\tb"):
        answer = await send(desk, name)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "header:Idempotency-Key"
    assert (await send(desk, "x" * 255)).status_code == 201
    assert (await send(office.instance, "a", {"name": "W"}, "/v1/workspaces")).status_code == 422
    assert (await send(office.nobody, "a")).status_code == 401
    assert (await send(desk, "a", {"name": "x" * 2_000_000})).status_code == 413
