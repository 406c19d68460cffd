"""Models, customers and maturity over HTTP: what is refused, what an empty campaign says, and that nobody is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest_asyncio

from service import ids
from service.registry import sources
from tests.integration.api.arena import Arena, clock, day
from tests.integration.api.furniture import read_all, workspace_of
from tests.integration.api.office import open_office


@pytest_asyncio.fixture
async def arena(database_url: str) -> AsyncIterator[Arena]:
    async with open_office(database_url, clock()) as office:
        yield Arena(office, await office.workspace())


async def test_questions_about_conversions(arena: Arena) -> None:
    await arena.name("c")
    path = f"/v1/campaigns/{arena.ids['c']}"
    for query, pointer, code in (
        ("attribution?models=linear,best", "?models", "unknown_model"),
        ("attribution?models=custom", "?weights", "missing"),
        ("attribution?models=linear&weights=1,2", "?weights", "unused"),
        ("attribution?models=custom&weights=1,x", "?weights", "bad_weights"),
        ("attribution?models=custom&weights=-1", "?weights", "bad_weights"),
        ("attribution?models=custom&weights=nan", "?weights", "bad_weights"),
        ("attribution?models=custom&weights=0,0", "?weights", "bad_weights"),
        ("attribution?click_days=91", "?click_days", "less_than_equal"),
        ("attribution?half_life_days=0", "?half_life_days", "greater_than"),
        ("customers?window_days=0", "?window_days", "greater_than_equal"),
        ("customers?range=never", "?range", "unknown_preset"),
        ("maturity?range=lifetime", "?range", "not_whole_days"),
        ("maturity?range=last_24h", "?range", "not_whole_days"),
    ):
        problem = await arena.desk.problem(422, "GET", f"{path}/{query}")
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (pointer, code), query
    assert "position" in (await arena.desk.problem(422, "GET", f"{path}/attribution?models=x"))["errors"][0]["allowed"]
    stranger = await arena.office.workspace("Other")
    for route in ("attribution", "customers", "maturity"):
        await stranger.problem(404, "GET", f"{path}/{route}")
        assert await arena.desk.get(f"{path}/{route}")


async def test_nobody_is_named(arena: Arena) -> None:
    await arena.name("c")
    options = {"currency": "EUR"}
    given = {"connector": "standard_webhooks", "name": "Shop", "platform": "shop", "options": options}
    source = await arena.desk.post("/v1/sources", given)
    said = [
        {"type": "subject", "subject": "L", "subject_type": "link", "utm_campaign": "c"},
        {"type": "click", "id": "k", "at": f"{day(-38)}T10:00:00Z", "subject": "L", "subject_type": "link"},
        {"type": "order", "id": "o", "at": f"{day(-37)}T10:00:00Z", "value": "12.34"},
    ]
    for item in said[1:]:
        item["customer"] = "ann@example.org"
    body = {"type": "tallybook.batch", "timestamp": f"{day(-36)}T00:00:00Z", "data": {"items": said}}
    await _land(arena, source["id"], body)
    await read_all(arena.office)
    path = f"/v1/campaigns/{arena.ids['c']}"
    models = await arena.desk.get(f"{path}/attribution")
    assert {one["campaign"]["value"]["EUR"] for one in models["data"]} == {"12.34"}
    customers = await arena.desk.get(f"{path}/customers")
    assert (customers["customers_new"], customers["customers_returning"]) == (1, 0)
    mature = await arena.desk.get(f"{path}/maturity")
    assert (mature["conversions"], mature["curve"]["reason"]) == (1, "too_few_conversions")
    for answer in (models, customers, mature):
        assert "ann" not in json.dumps(answer).replace("channel", "")


async def _land(arena: Arena, source: str, body: object) -> None:
    """Keep a delivery as its connector would have."""
    services = arena.office.services
    async with services.db.workspace(workspace_of(arena.desk)) as connection:
        row = await sources.load(connection, workspace_of(arena.desk), ids.read("source", source))
    await services.lander.land(row, key="one", body=json.dumps(body).encode())
