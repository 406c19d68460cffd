"""Worked cases of attribution, pacing, tiers and changes, posed as data and asked over HTTP, to the digit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from connectors.contract import Conversion, Observation, SubjectRef, SubjectType, Touchpoint
from service import ids
from service.context import fixed
from service.db.embedded import Embedded
from tests.bookkeeping import Books, at, counter, seen
from tests.golden.cases import CASES
from tests.integration.api.office import open_office
from tests.integration.query.test_golden_cases import Case, Clock, cost, days
from tests.integration.query.world import copied

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOUGHT = 20
"""The day, counted from the first of June, on which somebody buys."""


class Posed(msgspec.Struct, frozen=True, kw_only=True):
    """The cases' books, and what was said of the pace on the days that G33 asks about."""

    case: Case
    early: Any
    by_days: Any
    by_hours: Any


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def posed(postgres: Embedded) -> AsyncIterator[Posed]:
    clock = Clock()
    context = msgspec.structs.replace(fixed(clock.now), now=lambda: clock.now)
    with copied(postgres, "t_golden_plans") as url:
        async with open_office(url, context) as office:
            clock.now = datetime.fromisoformat(CASES["G33"].inputs["not_started"]["as_of"])
            desk = await office.workspace("Golden")
            books = Books(office.services.db, context)
            books.workspace_id = ids.read("workspace", desk.workspace or "")
            case = Case(books=books, desk=desk, clock=clock)
            early, by_days, by_hours = await _paced(case)
            clock.now = at(61)
            yield Posed(case=case, early=early, by_days=by_days, by_hours=by_hours)


async def _paced(case: Case) -> list[Any]:
    given = CASES["G33"].inputs
    first, last = given["flight"]
    body = {"name": "g33", "kind": "broad", "starts": first, "ends": last, "budget": given["budget"]}
    more = {"zone": given["timezone"], "currency": "EUR", "rules": [{"platform": "g33"}]}
    path = f"/v1/campaigns/{(await case.desk.post('/v1/campaigns', body | more))['id']}/pacing"
    found = [await case.desk.get(path)]
    case.clock.now = datetime.fromisoformat(given["as_of"])
    source = await case.books.source("g33", tracks_from=datetime.fromisoformat(f"{first}T00:00:00Z"))
    await case.books.post(source, [_spent(given["spend"], date.fromisoformat(first), case.clock.now)])
    return [*found, *[await case.desk.get(path, params={"basis": basis}) for basis in ("days", "hours")]]


def _spent(amount: str, day: date, read: datetime) -> Observation:
    told = days("ad", day.isoformat(), read)
    return msgspec.structs.replace(cost(amount), window=told.window, observed_at=read)


async def test_g33_pacing_over_a_change_of_clocks(posed: Posed) -> None:
    golden = CASES["G33"]
    by_days, by_hours = posed.by_days["data"][0], posed.by_hours["data"][0]
    (early,) = posed.early["data"]
    assert {"pacing": early["pacing"], "reason": early["reason"]} == golden.expected["not_started"]
    got = {
        "flight_days": posed.by_days["meta"]["time"]["total"],
        "elapsed_days": posed.by_days["meta"]["time"]["elapsed"],
        "pacing_by_days": by_days["pacing"],
        "flight_hours": posed.by_hours["meta"]["time"]["total"],
        "elapsed_hours": posed.by_hours["meta"]["time"]["elapsed"],
        "pacing_by_hours": by_hours["pacing"],
        "remaining": float(by_days["remaining"]),
        "required_per_day": float(by_days["required"]),
    }
    golden.agrees(got, golden.expected)
    # Money has six places.
    for name, value in (
        ("expected_by_days", by_days["expected"]),
        ("expected_by_hours", by_hours["expected"]),
        ("projected_total_by_days", by_days["projection"]["linear"]),
    ):
        assert float(value) == pytest.approx(golden.expected[name], abs=1e-6), name


def _touched(touches: Any, who: str) -> list[Any]:
    """Return links with a touch each, at their ages before the purchase."""
    items: list[Any] = []
    for one in touches:
        link = SubjectRef(f"{who}-{one['id']}", SubjectType.LINK)
        items.append(msgspec.structs.replace(seen("x"), subject=link))
        when = at(BOUGHT - one["age_days"])
        items.append(Touchpoint(id=f"{who}-{one['id']}", at=when, kind=one["kind"], subject=link, customer=who))
    return items


def _order(value: str, who: str) -> Conversion:
    millionths = int(value.replace(".", "")) * 10_000
    return Conversion(id=who, at=at(BOUGHT), kind="order", value=millionths, currency="EUR", customer=who)


async def _models(posed: Posed, campaign: str, **asked: Any) -> dict[str, dict[str, Any]]:
    """Return the credit of every touched link under each model."""
    answer = await posed.case.desk.get(f"/v1/campaigns/{campaign}/attribution", params={"range": "lifetime"} | asked)
    return {
        one["model"].removesuffix("@1"): {
            subject["external_id"].rpartition("-")[2]: subject["credit"] for subject in one["subjects"]
        }
        for one in answer["data"]
    }


async def test_g30_one_conversion_under_five_models(posed: Posed) -> None:
    golden = CASES["G30"]
    given = golden.inputs
    items = [*_touched(given["touches"], "ann"), _order(given["value"], "ann")]
    campaign = await posed.case.post("g30", items)
    found = await _models(posed, campaign, click_days=30, half_life_days=given["half_life_days"])
    names = [one["id"] for one in given["touches"]]
    nothing = {"conversions": 0.0, "value": {"EUR": "0.00"}}
    for model, expected in golden.expected.items():
        credits_ = [found[{"position_40_20_40": "position"}.get(model, model)].get(name, nothing) for name in names]
        # What is booked of a conversion is millionths of it, which add up to the whole.
        shares = [one["conversions"] for one in credits_]
        assert shares == pytest.approx(expected["shares"], abs=1e-6), model
        assert round(sum(shares), 9) == 1
        assert [one["value"]["EUR"] for one in credits_] == expected["revenue"], model


async def test_g32_windows_and_a_click_before_a_later_view(posed: Posed) -> None:
    golden = CASES["G32"]
    given = golden.inputs
    rest = [one for one in given["touches"] if one["id"] not in {"T3", "T5"}]
    windows = {"click_days": given["click_window_days"], "view_days": given["view_window_days"]}
    found = {}
    for name, touches in (("g32", given["touches"]), ("g32b", rest)):
        items = [*_touched(touches, name), _order("10.00", name)]
        campaign = await posed.case.post(name, items)
        models = await _models(posed, campaign, **windows)
        (booked,) = (await posed.case.desk.get(f"/v1/campaigns/{campaign}/conversions?range=lifetime"))["data"]
        (credit,) = booked["credits"]
        last = next(iter(models["last_click_then_view"]))
        assert credit["external_id"].endswith(last)
        found[name] = {
            "eligible": sorted(models["linear"]),
            "first_touch": next(iter(models["first"])),
            "last_touch": last,
            "linear": {touch: one["conversions"] for touch, one in models["linear"].items()},
            "view_through": credit["touch"] == "view",
        }
    whole, without = found["g32"], found["g32b"]
    linear = whole.pop("linear")
    golden.agrees(whole, golden.expected)
    assert linear == pytest.approx(golden.expected["linear"], abs=1e-6)
    absent = {name: without[name] for name in ("last_touch", "view_through")}
    golden.agrees({"if_T3_and_T5_absent": absent}, golden.expected)


async def test_g37_one_count_of_followers_under_two_policies(posed: Posed) -> None:
    golden = CASES["G37"]
    items: list[Any] = []
    for place, followers in enumerate(golden.inputs["followers"]):
        known = {} if followers is None else {"followers_at_publish": followers}
        items += [seen(f"p{place}", published_at=at(), **known), counter(f"p{place}", at(1), likes=place + 1)]
    campaign = await posed.case.post("g37", items)
    for policy in golden.inputs["policies"]:
        answer = await posed.case.ask(
            campaign, "likes", dimensions=["subject", "tier"], options={"tier_policy": policy}
        )
        tiers = {row["metrics"]["likes"]["value"]: row["dimensions"]["tier"] for row in answer["data"]}
        golden.agrees({policy: [tiers[place] for place in sorted(tiers)]}, golden.expected)


async def test_g40_a_change_from_below_zero_is_no_percentage(posed: Posed) -> None:
    golden = CASES["G40"]
    (place,) = [i for i, pair in enumerate(golden.inputs) if pair["previous"] < 0]
    pair = golden.inputs[place]
    counted = [100, 100 + pair["previous"], 100 + pair["previous"] + pair["current"]]
    campaign = await posed.case.post("g40", [counter("p", at(day), likes=value) for day, value in enumerate(counted)])
    second = {"from": "2026-06-02", "to": "2026-06-02"}
    told = (await posed.case.total(campaign, "likes", range=second, compare="previous_period"))["compare"]
    golden.agrees({key: told[key] for key in ("abs", "pct", "reason")}, golden.expected[place])
