"""Read tokens: for their campaigns and scopes, for minutes, with their key, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.access.keys import Scope
from service.app import openapi_document
from tests.integration.api.clock import Clock
from tests.integration.api.furniture import Things, furnish
from tests.integration.api.office import Desk, Office, open_office

_PRESETS = {"getKpiTimeseries", "getKpiBreakdown", "getKpiTop", "getKpiFunnel", "getKpiPulse"}
_CAMPAIGN = {"getCampaignKpis", "getKpiExplanation", "getCampaignFreshness", "getCampaignIntegrity"}
ALLOWED = _PRESETS | _CAMPAIGN | {"streamCampaign", "createStreamTicket"}
ROUTES = [
    (operation["operationId"], method.upper(), path)
    for path, operations in openapi_document()["paths"].items()
    for method, operation in operations.items()
    if "x-scopes" in operation
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def office(database_url: str, clock: Clock) -> AsyncIterator[Office]:
    async with open_office(database_url, clock.context) as opened:
        yield opened


@pytest_asyncio.fixture
async def things(office: Office, desk: Desk) -> Things:
    return await furnish(office, desk)


async def browser(desk: Desk, things: Things, **more: Any) -> Desk:
    made = await desk.post("/v1/tokens", {"campaigns": [things.campaign]} | more)
    return Desk(desk.app, made["token"], desk.workspace)


def kpis(campaign: str) -> str:
    return f"/v1/campaigns/{campaign}/kpis?range=last_7d_complete&metrics=likes,cost"


async def test_a_token_reads_its_campaign_without_costs(desk: Desk, things: Things) -> None:
    page = await browser(desk, things)
    answer = await page.get(kpis(things.campaign))
    assert answer["totals"]["cost"]["reason"] == "not_permitted"
    assert answer["totals"]["likes"]["provenance"] is None
    tag = (await page.ask("GET", kpis(things.campaign))).headers["etag"]
    assert (await page.ask("GET", kpis(things.campaign), headers={"if-none-match": tag})).status_code == 304
    rich = await browser(desk, things, scopes=["kpis:read", "costs:read", "provenance:read"])
    seen = (await rich.get(kpis(things.campaign)))["totals"]
    assert seen["cost"]["reason"] != "not_permitted"
    assert (await rich.ask("GET", seen["likes"]["provenance"])).status_code == 200


async def test_no_other_route_takes_one(desk: Desk, things: Things) -> None:
    page = await browser(desk, things)
    for name, method, path in ROUTES:
        address = path.replace("{campaign}", things.campaign).replace("{metric}", "likes")
        address = "/".join("x" if part.startswith("{") else part for part in address.split("/"))
        if name in ALLOWED:
            continue
        answer = await page.ask(method, address, {} if method in {"POST", "PATCH"} else None)
        assert answer.status_code == 403, (name, answer.text)


async def test_another_campaign_is_none(desk: Desk, things: Things) -> None:
    body = {"name": "Second", "kind": "broad", "starts": "2026-06-01", "ends": "2026-07-15"}
    second = await desk.post("/v1/campaigns", body)
    page = await browser(desk, things)
    told = {(await page.problem(404, "GET", kpis(one)))["detail"] for one in (second["id"], "cmp_" + "0" * 32, "cmp_x")}
    assert told == {"no such campaign"}


async def test_it_compares_with_its_own_past_alone(desk: Desk, things: Things) -> None:
    page = await browser(desk, things)
    assert (await page.ask("GET", kpis(things.campaign) + "&compare=previous_period")).status_code == 200
    for other in (things.campaign, "previous_flight", '{"campaign":"c"}'):
        await page.problem(403, "GET", kpis(things.campaign) + f"&compare={other}")


async def test_it_ends_by_the_clock(desk: Desk, things: Things, clock: Clock) -> None:
    page, brief = await browser(desk, things), await browser(desk, things, seconds=10)
    tag = (await page.ask("GET", kpis(things.campaign))).headers["etag"]
    clock.move(seconds=10)
    await brief.problem(401, "GET", kpis(things.campaign))
    clock.move(seconds=888)
    assert (await page.ask("GET", kpis(things.campaign), headers={"if-none-match": tag})).status_code == 304
    clock.move(seconds=2)
    answer = await page.ask("GET", kpis(things.campaign), headers={"if-none-match": tag})
    assert answer.status_code == 401


async def test_a_ticket_ends_by_the_clock_and_is_of_its_campaign(desk: Desk, things: Things, clock: Clock) -> None:
    page = await browser(desk, things)
    path = f"/v1/campaigns/{things.campaign}/stream"
    made = [await page.post(f"{path}/tickets", {}) for _ in range(2)]
    assert made[0]["expires_at"] == clock.said(seconds=60)
    stranger = Desk(desk.app, None)
    other = path.replace(things.campaign, "cmp_" + "0" * 32)
    await stranger.problem(404, "GET", f"{other}?ticket={made[0]['ticket']}")
    clock.move(seconds=60)
    await stranger.problem(401, "GET", f"{path}?ticket={made[1]['ticket']}")


async def test_it_ends_with_its_key(office: Office, desk: Desk, things: Things) -> None:
    made = await desk.post("/v1/keys", {"name": "backend", "scopes": ["kpis:read"]})
    backend = Desk(office.app, made["token"], desk.workspace)
    page = await browser(backend, things)
    tag = (await page.ask("GET", kpis(things.campaign))).headers["etag"]
    await desk.ask("DELETE", f"/v1/keys/{made['id']}")
    answer = await page.ask("GET", kpis(things.campaign), headers={"if-none-match": tag})
    assert answer.status_code == 401


async def test_a_key_gives_no_more_than_it_has(office: Office, desk: Desk, things: Things) -> None:
    reader = await office.caller(desk, [Scope.KPIS_READ])
    body: dict[str, Any] = {"campaigns": [things.campaign]}
    assert (
        "costs:read" in (await reader.problem(403, "POST", "/v1/tokens", body | {"scopes": ["costs:read"]}))["detail"]
    )
    for scope in ("admin", "registry:write"):
        await desk.problem(403, "POST", "/v1/tokens", body | {"scopes": [scope]})
    unknown = await desk.problem(422, "POST", "/v1/tokens", {"campaigns": ["cmp_" + "0" * 32]})
    assert unknown["errors"][0]["code"] == "unknown_id"
    wrongs: tuple[dict[str, Any], ...] = (
        {"seconds": 901},
        {"seconds": 9},
        {"campaigns": []},
        {"scopes": []},
        {"lasting": 1},
    )
    for wrong in wrongs:
        await desk.problem(422, "POST", "/v1/tokens", body | wrong)
    other = await office.workspace("Other")
    await other.problem(422, "POST", "/v1/tokens", body)


def decoded(token: str) -> dict[str, Any]:
    body = token.removeprefix("tbk_read_").partition(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def encoded(claims: Any, mac: str) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"tbk_read_{body}.{mac}"


async def test_no_claim_can_be_changed(office: Office, desk: Desk, things: Things) -> None:
    page = await browser(desk, things)
    token = page.token or ""
    claims, mac = decoded(token), token.partition(".")[2]
    assert encoded(claims, mac) == token
    other = await office.workspace("Other")
    theirs = await furnish(office, other)
    foreign = await browser(other, theirs)
    changes = [
        {"aud": "tallybook:write"},
        {"exp": claims["exp"] + 1},
        {"iat": claims["iat"] - 1},
        {"scp": ["kpis:read", "costs:read"]},
        {"cmp": [*claims["cmp"], "0" * 32]},
        {"wsp": decoded(foreign.token or "")["wsp"]},
        {"key": decoded(foreign.token or "")["key"]},
        {"alg": "none"},
    ]
    forged = [encoded(claims | change, mac) for change in changes]
    forged += [token[:-1], token + "=", token + "A", token.partition(".")[0], token.partition(".")[0] + ".", token * 9]
    forged += [encoded(claims, (foreign.token or "").partition(".")[2]), "tbk_read_", "tbk_read_.", "tbk_read_e30.e30"]
    for one in forged:
        await Desk(office.app, one).problem(401, "GET", kpis(things.campaign))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=200))
async def test_garbage_is_401(office: Office, text: str) -> None:
    answer = await Desk(office.app, "tbk_read_" + text).ask("GET", kpis("cmp_" + "0" * 32))
    assert answer.status_code == 401
