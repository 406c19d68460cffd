"""What is unusual about a campaign, and how it stands against its plan, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from service.access.keys import Scope
from service.context import fixed
from tests.golden.cases import CASES
from tests.integration.api.arena import NOW, Arena, Row, day
from tests.integration.api.furniture import read_all
from tests.integration.api.office import open_office

MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


@pytest_asyncio.fixture
async def arena(database_url: str) -> AsyncIterator[Arena]:
    async with open_office(database_url, fixed(MIDNIGHT)) as office:
        yield Arena(office, await office.workspace())


def days(values: list[int], last: int) -> list[Row]:
    """Return one row a day of impressions, the last of them on the day ``last``."""
    return [Row(value, day=day(last - len(values) + 1 + at)) for at, value in enumerate(values)]


async def signals(arena: Arena, name: str, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = await arena.desk.get(f"/v1/campaigns/{arena.ids[name]}/signals", params=asked)
    return found


async def test_spikes_shifts_and_swarms(arena: Arena) -> None:
    loud, usual, level, still = CASES["G34"].inputs
    drift = [100, 104, 96, 102, 98] * 4
    await arena.enter(
        {
            "loud": {"grams": days([*loud["history"], loud["observed"]], -1)},
            "usual": {"grams": days([*usual["history"], usual["observed"]], -1)},
            "level": {"grams": days([*level["history"], level["observed"]], -1)},
            "still": {"grams": days([*still["history"], still["observed"]], -1)},
            "flat": {"grams": days([5] * 12 + [40], -1)},
            "drift": {"grams": days([*drift, 106, 107, 106, 108, 107, 106], -1)},
            "weekly": {"grams": days([(50 if at % 7 > 4 else 10) + at % 3 for at in range(63)] + [50], -1)},
        }
    )
    answer = await signals(arena, "loud", metrics="impressions", range="last_7d_complete")
    (spike,) = answer["data"]
    expected = CASES["G34"].expected[0]
    got = {"median": spike["usual"], "mad": spike["detail"]["mad"], "robust_z": spike["score"]}
    CASES["G34"].agrees(got, expected)
    assert (spike["kind"], spike["label"], spike["observed"]) == ("spike", day(-1), loud["observed"])
    assert (await arena.desk.get(spike["evidence"]))["value"]["value"] == loud["observed"]
    watch = answer["meta"]["watched"]["impressions"]
    assert (watch["known"], watch["reason"]) == (7, None)
    assert 0 < watch["looked_at"] < 7  # the first days have too little history

    assert (await signals(arena, "usual", metrics="impressions", range="yesterday"))["data"] == []
    answer = await signals(arena, "level", metrics="impressions", range="yesterday")
    (steady,) = [one for one in answer["data"] if one["kind"] == "spike"]
    got = {"median": steady["usual"], "mad": steady["detail"]["mad"], "robust_z": steady["score"]}
    CASES["G34"].agrees(got | {"fallback": steady["method"]}, CASES["G34"].expected[2])
    # A probability of 0.38 is nothing to be told of.
    assert (await signals(arena, "still", metrics="impressions", range="yesterday"))["data"] == []
    (flat,) = (await signals(arena, "flat", metrics="impressions", range="yesterday"))["data"]
    assert (flat["method"], flat["score"]) == ("poisson_tail", None)
    assert flat["p"] < 1e-9
    drifted = await signals(arena, "drift", metrics="impressions", range="last_7d_complete")
    assert [one["kind"] for one in drifted["data"]] == ["shift"]
    assert "stayed above" in drifted["data"][0]["summary"]
    # As loud as every weekend, on a day that is no weekend.
    weekly = await signals(arena, "weekly", metrics="impressions", **{"from": day(-3), "to": day(-1)})
    assert weekly["meta"]["watched"]["impressions"]["seasonal"] == 3
    assert [(one["label"], one["kind"], one["detail"]["seasonal"]) for one in weekly["data"]] == [
        (day(-1), "spike", True)
    ]

    nothing = await signals(arena, "loud")
    assert nothing["meta"]["watched"]["conversions"]["reason"] == "not_reported"
    path = f"/v1/campaigns/{arena.ids['loud']}/signals"
    for query, pointer in (
        ("metrics=ctr", "?metrics/0"),
        ("range=last_24h", "?range"),
        ("range=lifetime", "?range"),
        ("granularity=hour&range=last_30d", "?range"),
        ("granularity=hour&range=yesterday&metrics=impressions", "?granularity"),
        ("granularity=week", "?granularity"),
        ("threshold=0", "?threshold"),
    ):
        problem = await arena.desk.problem(422, "GET", f"{path}?{query}")
        assert problem["errors"][0]["pointer"] == pointer, query


async def test_posts_that_gather(arena: Arena) -> None:
    """G36 as posts: an hour with 41 of them by nine authors, after days of a few an hour."""
    options = {
        "columns": {"likes": "Likes"},
        "id_column": "Id",
        "published_column": "At",
        "creator_column": "By",
        "utm_campaign_column": "Camp",
    }
    source = await arena.desk.post(
        "/v1/sources", {"connector": "files", "name": "f", "platform": "grams", "options": options}
    )
    await arena.name("tag")
    begin = MIDNIGHT - timedelta(days=3)
    quiet = [(begin + timedelta(hours=at), f"q{at}") for at in range(0, 60, 2)]
    swarm = [(begin + timedelta(hours=60, minutes=at), f"s{at % 9}") for at in range(41)]
    lines = [f"p{at},1,{when.isoformat()},{by},tag" for at, (when, by) in enumerate([*quiet, *swarm])]
    body = "Id,Likes,At,By,Camp\n" + "\n".join(lines) + "\n"
    await arena.desk.ask("POST", f"/v1/sources/{source['id']}/uploads?filename=a.csv", content=body.encode())
    await read_all(arena.office)
    answer = await signals(arena, "tag", range="last_7d_complete", metrics="likes")
    (found,) = [one for one in answer["data"] if one["kind"] == "swarm"]
    assert (found["observed"], found["detail"]["authors"]) == (41, 9)
    assert found["detail"]["author_ratio"] == pytest.approx(CASES["G36"].expected["author_ratio"])
    assert found["detail"]["concentrated"] is True
    assert found["p"] < 1e-6
    assert answer["meta"]["posts"] == 71


async def pacing(arena: Arena, name: str, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = await arena.desk.get(f"/v1/campaigns/{arena.ids[name]}/pacing", params=asked)
    return found


async def test_budget_and_goals(arena: Arena) -> None:
    """G33 with a flight of 31 days, of which 29 have passed at midnight."""
    case = CASES["G33"]
    spend = [Row(1000, 30, 3, "313.00" if at else "336.00", day=day(at - 29)) for at in range(29)]
    plan = {"starts": day(-29), "ends": day(1), "budget": case.inputs["budget"]}
    goals = [
        {"metric": "conversions", "target": "200"},
        {"metric": "ctr", "target": "0.02"},
        {"metric": "cpa", "target": "1"},
    ]
    await arena.enter({"g33": {"grams": spend}}, goals=goals, **plan)
    await arena.name("ahead", starts=day(3), ends=day(9), budget="100.00")
    await arena.enter(
        {"over": {"grams": [Row(10, 1, 1, "80.00", day=day(-20))]}}, starts=day(-30), ends=day(-10), budget="80.00"
    )
    answer = await pacing(arena, "g33")
    budget, conversions, ctr, cpa = answer["data"]
    time = answer["meta"]["time"]
    got = {
        "elapsed_days": time["elapsed"],
        "flight_days": time["total"],
        "expected_by_days": float(budget["expected"]),
        "pacing_by_days": budget["pacing"],
        "projected_total_by_days": float(budget["projection"]["linear"]),
        "remaining": float(budget["remaining"]),
        "required_per_day": float(budget["required"]),
    }
    # Money has six places, and a posting comes a microsecond after the one before.
    for name, value in got.items():
        assert value == pytest.approx(case.expected[name], abs=1e-5), name
    assert (budget["of"], budget["metric"], budget["actual"]["value"]) == ("budget", "cost", case.inputs["spend"])
    assert budget["verdict"] == "behind"
    low, total, high = (float(budget["projection"][key]) for key in ("low", "total", "high"))
    assert low < total < high < 10_000
    assert (budget["projection"]["by_weekday"], budget["projection"]["days"]) == (True, 29)
    assert (conversions["target"], conversions["actual"]["value"], conversions["verdict"]) == (200, 87, "behind")
    assert (ctr["verdict"], ctr["pacing"], ctr["projection"]) == ("met", None, None)
    assert (cpa["target"], cpa["verdict"]) == ("1.00", "missed")
    hours = await pacing(arena, "g33", basis="hours")
    assert hours["meta"]["time"]["elapsed"] == pytest.approx(29 * 24, abs=1e-6)

    (waiting,) = (await pacing(arena, "ahead"))["data"]
    assert (waiting["verdict"], waiting["reason"], waiting["pacing"]) == ("not_started", "flight_not_started", None)
    (ended,) = (await pacing(arena, "over"))["data"]
    assert (ended["verdict"], ended["pacing"], ended["required"]) == ("reached", 1.0, None)
    reader = await arena.office.caller(arena.desk, [Scope.KPIS_READ])
    blind = await reader.get(f"/v1/campaigns/{arena.ids['g33']}/pacing")
    assert (blind["data"][0]["actual"]["state"], blind["data"][0]["pacing"]) == ("suppressed", None)
    assert blind["data"][1]["pacing"] == conversions["pacing"]
    await arena.desk.problem(422, "GET", f"/v1/campaigns/{arena.ids['g33']}/pacing?basis=weeks")
    await arena.desk.problem(422, "GET", f"/v1/campaigns/{arena.ids['g33']}/pacing?timezone=Mars")
