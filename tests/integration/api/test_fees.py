"""Fees over HTTP: borne exactly, counted as cost, replaced and taken back, and proven like all else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from service.access.keys import Scope
from service.commands.verifying import prove
from service.context import Context, real
from service.registry import workspaces
from tests.golden.cases import CASES
from tests.integration.api.arena import Arena, Row, day
from tests.integration.api.furniture import read_all, workspace_of
from tests.integration.api.office import open_office

CONTEXT: Context = real()


@pytest_asyncio.fixture
async def arena(database_url: str) -> AsyncIterator[Arena]:
    # The clock goes on: a booking replaces the one that was made before it.
    async with open_office(database_url, CONTEXT) as office:
        yield Arena(office, await office.workspace())


async def book(arena: Arena, **fee: Any) -> dict[str, Any]:
    body = {"reference": "INV-1", "campaign": arena.ids["c"], "amount": CASES["G44"].inputs["fee"]} | fee
    found: dict[str, Any] = await arena.desk.post("/v1/fees", body, 202)
    await read_all(arena.office)
    return found


async def costs(arena: Arena) -> dict[str, Any]:
    path = f"/v1/campaigns/{arena.ids['c']}/kpis?metrics=fee_creator,cost_production,cost,cpc&range=lifetime"
    totals = (await arena.desk.get(path))["totals"]
    return {slug: metric["value"] for slug, metric in totals.items()}


async def test_a_fee_is_borne_exactly(arena: Arena) -> None:
    await arena.enter({"c": {"grams": [Row(100, 10, by="ann"), Row(100, 20, by="ann"), Row(100, 30, by="bea")]}})
    booked = await book(arena)
    assert [part["amount"] for part in booked["parts"]] == CASES["G44"].expected["parts"]
    assert (booked["amount"], booked["allocation"], booked["currency"]) == ("3141.59", "per_post@1", "EUR")
    (delivery,) = booked["deliveries"]
    outcome = await arena.desk.get(f"/v1/deliveries/{delivery}")
    assert outcome["fate"] == "posted"
    found = await costs(arena)
    assert (found["fee_creator"], found["cost"], found["cpc"]) == ("3141.59", "3141.59", "52.359833")

    seen = (await arena.desk.get("/v1/creators"))["data"]
    creator = next(one for one in seen if one["profiles"][0]["external_id"] == "ann")
    await book(arena, reference="INV-2", amount="10.01", creator=creator["id"])
    await book(arena, reference="FILM", amount="30", metric="cost_production")
    assert await costs(arena) | {"cpc": None} == {
        "fee_creator": "3151.60", "cost_production": "30.00", "cost": "3181.60", "cpc": None
    }  # fmt: skip
    listed = {one["reference"]: one for one in (await arena.desk.get("/v1/fees"))["data"]}
    assert {name: one["amount"] for name, one in listed.items()} == {
        "INV-1": "3141.59", "INV-2": "10.01", "FILM": "30.00"
    }  # fmt: skip
    assert [part["amount"] for part in listed["INV-2"]["parts"]] == ["5.01", "5.00"]

    # Again under the same reference: over days now, and of one creator. What it said of the others is taken back.
    again = await book(
        arena,
        amount="100",
        creator=creator["id"],
        allocation={"rule": "per_day"},
        **{"from": day(-20), "to": day(-18)},
    )
    assert (len(again["parts"]), again["taken_back"]) == (6, 3)
    assert sum(float(part["amount"]) for part in again["parts"]) == 100
    assert (await costs(arena))["fee_creator"] == "110.01"
    weights = {part["subject"]: weight for part, weight in zip(again["parts"], (3, 1), strict=False)}
    await book(arena, amount="8", allocation={"rule": "weights", "weights": weights})
    (heavy,) = (await arena.desk.get("/v1/fees?reference=INV-1"))["data"]
    assert [part["amount"] for part in heavy["parts"]] == ["6.00", "2.00"]
    gone = await book(arena, amount="0")
    assert (gone["parts"], gone["taken_back"]) == ([], 2)
    assert (await arena.desk.get("/v1/fees?reference=INV-1"))["data"] == []
    assert (await costs(arena))["fee_creator"] == "10.01"

    # What people booked says so wherever it is traced to.
    path = f"/v1/campaigns/{arena.ids['c']}/kpis/fee_creator/history?range=lifetime"
    causes = {cause for change in (await arena.desk.get(path))["data"] for cause in change["causes"]}
    assert causes == {"manual", "source_withdrew"}

    # A source of one's own is no rival: what is connected beside it counts.
    await arena.desk.post(f"/v1/sources/{arena.sources['grams']}/pause", status=200)
    more = {"connector": "standard_webhooks", "name": "More", "platform": "grams"}
    assert (await arena.desk.post("/v1/sources", more))["counts"] is True
    own = [one for one in (await arena.desk.get("/v1/sources"))["data"] if one["name"] == "Fees"]
    assert [(one["platform"], one["counts"]) for one in own] == [("grams", True)]
    parts = arena.office.services
    async with parts.db.snapshot(workspace_of(arena.desk)) as connection:
        home = await workspaces.get(connection, workspace_of(arena.desk))
    assert (await prove(parts, home)).total_differences == 0


async def test_fees_that_nobody_can_bear(arena: Arena) -> None:
    await arena.enter({"c": {"grams": [Row(100, 10, by="ann")]}})
    await arena.name("empty")
    stranger = await arena.desk.post("/v1/creators", {"name": "Zoe", "profiles": []})
    good = {"reference": "INV-1", "campaign": arena.ids["c"], "amount": "10"}
    nobody = "sub_" + "0" * 32
    weights = {nobody: 1}
    for wrong, pointer, code in (
        ({"amount": "10.005"}, "/amount", "below_minor_unit"),
        ({"amount": "-1"}, "/amount", None),
        ({"amount": 10}, "/amount", None),
        ({"currency": "XXX"}, "/currency", "unknown_currency"),
        ({"campaign": arena.ids["empty"]}, "/campaign", "no_posts"),
        ({"campaign": "cmp_" + "0" * 32}, "/campaign", "no_such_campaign"),
        ({"creator": stranger["id"]}, "/creator", "no_posts"),
        ({"creator": "crt_" + "0" * 32}, "/creator", "no_such_creator"),
        ({"allocation": {"rule": "per_day"}}, "/from", "missing"),
        ({"allocation": {"rule": "per_day"}, "from": day(-1), "to": day(2)}, "/to", "ahead"),
        ({"allocation": {"rule": "per_day"}, "from": day(-1), "to": day(-2)}, "/to", "range_reversed"),
        ({"from": day(-1)}, "/from", "not_allowed"),
        ({"allocation": {"rule": "fair"}}, "/allocation/rule", "not_allowed"),
        ({"allocation": {"rule": "weights"}}, "/allocation/weights", "missing"),
        (
            {"allocation": {"rule": "weights", "weights": weights}},
            f"/allocation/weights/{nobody}",
            "no_such_post",
        ),
        ({"allocation": {"weights": weights}}, "/allocation/weights", "not_allowed"),
        ({"metric": "spend_media"}, "/metric", "not_allowed"),
        ({"reference": "a b"}, "/reference", None),
    ):
        problem = await arena.desk.problem(422, "POST", "/v1/fees", good | wrong)
        assert problem["errors"][0]["pointer"] == pointer, wrong
        assert code is None or problem["errors"][0]["code"] == code, wrong
    reader = await arena.office.caller(arena.desk, [Scope.KPIS_READ])
    assert (await reader.ask("GET", "/v1/fees")).status_code == 403
    await arena.desk.post("/v1/fees", good, 202)
    await arena.desk.problem(503, "POST", "/v1/fees", good)  # the one before is not read yet
