"""Conversions divided anew by readers, customers, and maturity: over books that are filled as workers fill them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest_asyncio

from connectors.contract import Conversion, SubjectRef, SubjectType, Touchpoint
from service.context import fixed
from service.db.engine import Database
from service.records import Rule
from service.reports.attribution import Model, campaign_attribution
from service.reports.campaign import campaign_kpis
from service.reports.customers import campaign_customers
from service.reports.maturity import campaign_maturity
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import Books, at, seen
from tests.golden.cases import CASES

NOTES = PlatformNotes(mappings={}, simulated=frozenset())
JUNE = Question(preset="flight")
CENT = 10_000
ALL = ("first", "last", "last_click_then_view", "linear", "position", "time_decay")


@pytest_asyncio.fixture
async def books(database: Database) -> AsyncIterator[Books]:
    made = Books(database)
    await made.open()
    yield made


async def ask(books: Books, report: Any, campaign: UUID, question: Question = JUNE, **more: Any) -> dict[str, Any]:
    async with books.database.snapshot(books.workspace_id) as connection:
        now = books.context.now()
        answer = await report(connection, books.workspace_id, campaign, question, NOTES, now, **more)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return decoded


def link(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.LINK)


def click(name: str, day: float, subject: str, customer: str, kind: str = "click") -> Touchpoint:
    return Touchpoint(id=name, at=at(day), kind=kind, subject=link(subject), customer=customer)


def order(name: str, day: float, value: int, customer: str | None = None, **more: Any) -> Conversion:
    given: dict[str, Any] = {"kind": "order", "value": value, "currency": "EUR"} | more
    return Conversion(id=name, at=at(day), customer=customer, **given)


async def test_models_side_by_side(books: Books) -> None:
    """G30 as touches on four links, of which the campaign has two."""
    source = await books.source()
    mine = await books.campaign([Rule(utm_campaign="mine")], click_days=30)
    await books.campaign([Rule(utm_campaign="theirs")], click_days=30)
    ages = [(one["id"], 20 - one["age_days"]) for one in CASES["G30"].inputs["touches"]]
    items: list[Any] = [
        msgspec.structs.replace(seen(name), subject=link(name), utm_campaign="mine" if name in "AC" else "theirs")
        for name, _ in ages
    ]
    items += [click(f"t{name}", day, name, "ann") for name, day in ages]
    items += [order("o", 20, 100_000_000, "ann"), order("lost", 21, 7_770_000), order("one", 21, 10 * CENT, "bob")]
    items += [click("tv", 20.9, "A", "bob", "view"), click("tb", 20.8, "D", "bob")]
    await books.post(source, items)
    refund = Conversion(
        id="r", at=at(25), kind="refund", value=30 * 1_000_000, currency="EUR", refund_of="o", customer="ann"
    )
    await books.post(source, [refund])

    answer = await ask(books, campaign_attribution, mine, model=Model(click_days=30, view_days=30))
    expected = CASES["G30"].expected
    named = {"first": "first", "last": "last", "linear": "linear", "position": "position_40_20_40"}
    named |= {"last_click_then_view": "last", "time_decay": "time_decay"}
    for one in answer["data"]:
        model = one["model"].removesuffix("@1")
        revenue = expected[named[model]]["revenue"]
        refunded = {"first": 30, "last": 0, "last_click_then_view": 0, "linear": 15, "position": 15, "time_decay": None}
        of_bob = {"first": 0, "last": 10, "last_click_then_view": 0, "linear": 5, "position": 5, "time_decay": None}
        if refunded[model] is not None:
            cents = Decimal(of_bob[model] or 0) / 100
            value = Decimal(revenue[0]) + Decimal(revenue[2]) - Decimal(refunded[model] or 0) + cents
            assert Decimal(one["campaign"]["value"].get("EUR", "0")) == value, model
        for name in ("conversions", "orders", "refunds"):
            parts = [one[place][name] for place in ("campaign", "elsewhere", "unattributed")]
            assert abs(sum(parts) - one["ledger"][name]) < 1e-9
        money = [Decimal(one[place]["value"].get("EUR", "0")) for place in ("campaign", "elsewhere", "unattributed")]
        assert sum(money) == Decimal(one["ledger"]["value"]["EUR"]) == Decimal("77.87")
        assert one["unattributed"]["value"] == {"EUR": "7.77"}
        assert one["booked"] is False
    assert [one["model"] for one in answer["data"]] == [f"{name}@1" for name in ALL]

    # As booked: the same windows as the books, and the same credits.
    plain = await ask(books, campaign_attribution, mine, model=Model(models=("last_click_then_view",)))
    kpis = await ask(books, campaign_kpis, mine, Question(metrics=("conversions", "conversion_value"), preset="flight"))
    (booked,) = plain["data"]
    assert booked["booked"] is True
    assert booked["campaign"]["value"].get("EUR") == kpis["totals"]["conversion_value"]["value"]
    assert booked["campaign"]["conversions"] == (kpis["totals"]["conversions"]["value"] or 0)
    narrow = await ask(books, campaign_attribution, mine, model=Model(models=("linear",), click_days=1))
    assert narrow["data"][0]["by_rule"] == {"customer": 2, "none": 1, "refund_of": 1}
    custom = await ask(
        books, campaign_attribution, mine, model=Model(models=("custom",), weights=(0, 1), click_days=30)
    )
    shares = {one["external_id"]: one["credit"]["value"] for one in custom["data"][0]["subjects"]}
    assert shares["C"] == {"EUR": "70.00"}

    # Known then: the refund was not.
    first = (await books.rows("select min(recorded_at) as at from postings where cause = 'deliveries'"))[0]["at"]
    then = await ask(
        books,
        campaign_attribution,
        mine,
        Question(preset="flight", as_of=first),
        model=Model(models=("last_click_then_view", "linear")),
    )
    assert [one["ledger"]["value"]["EUR"] for one in then["data"]] == ["107.87", "107.87"]
    assert then["data"][1]["ledger"]["refunds"] == 0


async def test_customers_and_maturity(books: Books) -> None:
    """G11 as orders: 240 new customers, 200 of them long enough ago, of whom 58 came back in time."""
    case = CASES["G11"].inputs
    source = await books.source()
    campaign = await books.campaign([Rule(utm_campaign="mine")])
    items: list[Any] = [msgspec.structs.replace(seen("L"), subject=link("L"), utm_campaign="mine")]
    young = case["acquired"] - case["acquired_with_full_window"]
    for n in range(case["acquired"]):
        day = 29 if n < young else 2
        items.append(order(f"o{n}", day, CENT, f"c{n}", subject=link("L")))
        if young <= n < young + case["repeat_within_window"]:
            items.append(order(f"again{n}", day + 20, CENT, f"c{n}"))
        elif n % 50 == 0 and n >= young:
            items.append(order(f"late{n}", day + 55, CENT, f"c{n}"))
    items += [order("before", -5, CENT, "old"), order("old", 3, CENT, "old", subject=link("L"))]
    items += [order("said", 3, CENT, "said", subject=link("L"), first_order=False)]
    items += [order("nobody", 3, CENT, None, subject=link("L"))]
    await books.post(source, items)
    # Forty-five days after the last June day: the thirty days of those of the 29th have not passed at day 58.
    books.context = fixed(at(58))
    answer = await ask(books, campaign_customers, campaign, window_days=case["window_days"])
    retained = answer["retention"]
    got = {
        "retention": retained["value"],
        "ci": [retained["interval"]["low"], retained["interval"]["high"]],
        "excluded_immature": retained["left_out"],
    }
    CASES["G11"].agrees(got, CASES["G11"].expected)
    assert (answer["customers"], answer["customers_new"], answer["customers_returning"]) == (242, 240, 2)
    assert (answer["orders"], answer["orders_without_customer"]) == (242, 1)
    assert [(one["month"], one["acquired"]) for one in answer["cohorts"]] == [("2026-06", 240)]
    assert "c0" not in str(answer)
    long = await ask(books, campaign_customers, campaign, window_days=90)
    assert (long["retention"]["value"], long["retention"]["reason"]) == (None, "no_mature_cohort")


async def test_maturity_is_learned_from_the_books(database: Database) -> None:
    """G42 as clicks and orders, its curve as a hundred conversions of before."""
    books = Books(database, fixed(at(0)))
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(utm_campaign="mine")], click_days=6)
    subject = msgspec.structs.replace(seen("L"), subject=link("L"), utm_campaign="mine")
    # What was booked long ago: a hundred conversions, known as many days after their clicks as the curve says.
    case, lags = CASES["G42"], list[int]()
    for age, share in case.inputs["share_arrived_by_age"].items():
        lags += [int(age)] * round(share * 100 - len(lags))
    for lag in sorted(set(lags)):
        items: list[Any] = [subject]
        for n in range(lags.count(lag)):
            items += [click(f"k{lag}-{n}", 2, "L", f"a{lag}-{n}"), order(f"p{lag}-{n}", 2 + lag, CENT, f"a{lag}-{n}")]
        books.context = fixed(at(2 + lag) + timedelta(hours=1), seed=lag + 10)
        await books.post(source, items)
    now = at(27) + timedelta(hours=2)
    books.context = fixed(now, seed=99)
    items = []
    for cohort in case.inputs["cohorts"]:
        day = 27 - cohort["age_days"]
        items += [click(f"n{day}-{n}", day, "L", f"b{day}-{n}") for n in range(cohort["clicks"])]
        items += [order(f"q{day}-{n}", day + 0.02, CENT, f"b{day}-{n}") for n in range(cohort["conversions"])]
    await books.post(source, items)
    answer = await ask(books, campaign_maturity, campaign, Question(range_from=at(21).date(), range_to=at(27).date()))
    assert answer["curve"]["learned_from"] == 100
    by_age = answer["curve"]["by_age"]
    assert {age: by_age[age] for age in case.inputs["share_arrived_by_age"]} == case.inputs["share_arrived_by_age"]
    got = {
        "raw_rate": answer["raw_rate"],
        "mature_only_rate": answer["mature_rate"],
        "effective_clicks": answer["effective_clicks"],
        "maturity_weighted_rate": answer["weighted_rate"],
        "rate_ci_poisson": [answer["interval"]["low"], answer["interval"]["high"]],
        "projected_final_conversions": answer["projected_conversions"],
        "maturity": answer["maturity"],
    }
    case.agrees(got, case.expected)
    assert set(got) == set(case.expected)
    # As known before anything was: the curve has nothing to learn from.
    early = await ask(
        books, campaign_maturity, campaign, Question(range_from=at(2).date(), range_to=at(3).date(), as_of=at(3))
    )
    assert (early["curve"]["by_age"], early["reason"]) == (None, "too_little_history")
    assert early["weighted_rate"] is None
