"""What a key may ask, and from which pages: budgets and their headers, origins and preflights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from service.errors import Misconfigured
from service.settings import load
from tests.integration.api.clock import Clock
from tests.integration.api.office import Desk, Office, open_office

APP = "https://app.example"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def office(database_url: str, clock: Clock) -> AsyncIterator[Office]:
    more: Any = {"requests_per_minute": 6, "cors_origins": (APP, "http://localhost:5173")}
    async with open_office(database_url, clock.context, **more) as opened:
        yield opened


async def test_a_key_has_its_budget_and_gets_it_back(office: Office, desk: Desk, clock: Clock) -> None:
    for left in (5, 4, 3, 2, 1, 0):
        answer = await desk.ask("GET", "/v1/strategies")
        assert (answer.status_code, answer.headers["ratelimit-policy"]) == (200, '"default";q=6;w=60')
        assert answer.headers["ratelimit"] == f'"default";r={left};t={60 - 10 * left}'
    refused = await desk.ask("GET", "/v1/strategies")
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["retryable"]) == (429, "too-many-requests", True)
    assert refused.headers["retry-after"] == "10"
    assert refused.headers["ratelimit"] == '"default";r=0;t=60'
    clock.move(seconds=9)
    assert (await desk.ask("GET", "/v1/strategies")).status_code == 429
    clock.move(seconds=1)
    assert (await desk.ask("GET", "/v1/strategies")).status_code == 200
    assert (await office.instance.ask("GET", "/v1/workspaces")).status_code == 200
    assert "ratelimit" not in (await office.nobody.ask("GET", "/healthz")).headers


async def test_unchanged_answers_cost_too(desk: Desk) -> None:
    made = await desk.post(
        "/v1/campaigns", {"name": "C", "kind": "micro", "starts": "2026-01-01", "ends": "2026-02-01"}
    )
    path = f"/v1/campaigns/{made['id']}/kpis?range=flight"
    tag = (await desk.ask("GET", path)).headers["etag"]
    found = [(await desk.ask("GET", path, headers={"if-none-match": tag})).status_code for _ in range(5)]
    assert found == [304, 304, 304, 304, 429]


async def test_a_large_answer_costs_more(desk: Desk, clock: Clock) -> None:
    flight = {"name": "C", "kind": "micro", "starts": "2026-01-01", "ends": "2026-12-31"}
    made = await desk.post("/v1/campaigns", flight)
    path = f"/v1/campaigns/{made['id']}/kpis?range=flight&granularity=day&metrics=likes,ctr,cpa"
    answer = await desk.ask("GET", path)
    assert (answer.headers["x-query-cost"], answer.headers["ratelimit"][:14]) == ("3", '"default";r=2;')
    again = await desk.ask("GET", path, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.headers["x-query-cost"]) == (304, "1")
    clock.move(seconds=1)
    below = await desk.ask("GET", path)
    assert (below.status_code, below.headers["ratelimit"][:14]) == (200, '"default";r=0;')
    assert int((await desk.ask("GET", path)).headers["retry-after"]) > 10


@pytest.mark.parametrize("origin", [APP, "http://localhost:5173"])
async def test_a_configured_origin_is_named(desk: Desk, origin: str) -> None:
    answer = await desk.ask("GET", "/v1/strategies", headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    asked = {"origin": origin, "access-control-request-method": "GET"}
    preflight = await Desk(desk.app, None).ask("OPTIONS", "/v1/campaigns/x/kpis", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, origin)
    assert "If-None-Match" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers


@pytest.mark.parametrize(
    "origin",
    ["null", "*", "https://app.example.evil.example", "https://evil.example", "http://app.example", APP + ":444", ""],
)
async def test_no_other_origin_is(desk: Desk, origin: str) -> None:
    for method, more in (("GET", {}), ("OPTIONS", {"access-control-request-method": "GET"})):
        answer = await desk.ask(method, "/v1/strategies", headers={"origin": origin} | more)
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_problem_of_the_edge_has_its_origin_unless_it_is_no_browser(desk: Desk) -> None:
    answer = await desk.ask("GET", "/v1/nope", headers={"origin": APP})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (404, APP)


def test_origins_are_settings() -> None:
    assert load({"TALLYBOOK_CORS_ORIGINS": " https://a.example , http://localhost:5173"}).cors_origins == (
        "https://a.example",
        "http://localhost:5173",
    )
    for wrong in ("*", "null", "https://*.example", "https://a.example/", "a.example", "ftp://a.example"):
        with pytest.raises(Misconfigured, match="TALLYBOOK_CORS_ORIGINS"):
            load({"TALLYBOOK_CORS_ORIGINS": wrong})
