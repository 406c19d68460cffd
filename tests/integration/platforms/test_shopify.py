"""Shopify from the fake shop, and from its signed pushes, to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import httpx
import pytest

from connectors.shopify import CONNECTOR
from tests.fakes.shopify import (
    APP_SECRET,
    SHOP,
    TOKEN,
    FakeShop,
    Order,
    Refund,
    escaped,
    refund_resource,
    resource,
    signed,
)
from tests.fakes.wire import transport
from tests.integration.platforms.road import Road, road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = {
    "account": SHOP,
    "credentials": {"access_token": TOKEN, "app_secret": APP_SECRET},
    "options": {"shop": SHOP},
}
ASKED = "orders,refunds,conversions,conversion_value"
LANDING = "/?utm_source=instagram&utm_medium=social&utm_campaign=spring&fbclid=IwAR1"


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 8, day, hour, minute, tzinfo=UTC)


def order(number: int, created: datetime, total: str, **more: Any) -> Order:
    return Order(number, created, total=total, landing=LANDING, **more)


async def push(way: Road, body: bytes, topic: str = "orders/updated") -> httpx.Response:
    answer = await way.push(body, signed(body, topic=topic))
    assert answer.status_code == 200, answer.text
    return answer


def books(orders: int | None, refunds: int | None, value: str | None) -> dict[str, Any]:
    return {"orders": orders, "refunds": refunds, "conversions": orders, "conversion_value": value}


async def booked_days(way: Road) -> dict[str, Any]:
    return {day: value for day, value in (await way.days("conversion_value")).items() if value is not None}


async def test_orders_are_fetched_refunded_and_counted_once(database_url: str) -> None:
    fake = FakeShop(now=NOW, page_size=2)
    fake.orders = [
        order(1, at(18, 9), "100.00"),
        order(2, at(18, 10), "49.90", codes=["ANNA10"]),
        order(3, at(19, 11), "20.10", test=True),
        order(4, at(19, 12), "70.00", state="pending", owed="70.00"),
        order(5, at(19, 13), "9.99", source_name="pos"),
    ]
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        assert await way.totals(ASKED) == books(2, None, "149.90")
        way.clock.forward(timedelta(minutes=1))
        await way.fetch()
        assert await way.totals(ASKED) == books(2, None, "149.90")
        # Paid, and refunded in two parts: one of them for the shipping alone.
        way.clock.forward(timedelta(hours=2))
        fake.now = way.clock.at
        fake.orders[3].state, fake.orders[3].owed, fake.orders[3].updated = "paid", "0.00", at(20, 12, 30)
        fake.orders[0].refund(Refund(11, at(20, 13), "30.00", worth="30.00"))
        fake.orders[0].refund(Refund(12, at(20, 13, 30), "4.95", adjusted="4.95"))
        await way.fetch()
        assert await way.totals(ASKED) == books(3, 2, "184.95")
        assert await booked_days(way) == {"2026-08-18": "149.90", "2026-08-19": "70.00", "2026-08-20": "-34.95"}


async def test_pushes_in_any_order_and_again_end_in_the_same_books(database_url: str) -> None:
    one = order(1, at(19, 9), "100.00", state="pending", owed="100.00")
    bodies = [escaped(resource(one))]
    one.state, one.owed, one.updated = "paid", "0.00", at(19, 10)
    bodies.append(escaped(resource(one)))
    one.refund(Refund(11, at(19, 11), "30.00", paid_in=("33.00", "USD"), worth="30.00"))
    bodies.append(escaped(resource(one)))
    one.refund(Refund(12, at(19, 12), "5.00", adjusted="5.00"))
    bodies.append(escaped(resource(one)))
    alone = escaped(refund_resource(one.refunds[0], one))
    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        for body in (bodies[3], bodies[0], bodies[2], bodies[1], bodies[3]):
            await push(way, body)
        await push(way, alone, "refunds/create")
        await push(way, bodies[1], "orders/paid")  # the same version once more, under another topic and id
        assert await way.totals(ASKED) == books(1, 2, "65.00")


@pytest.mark.parametrize("arrival", list(permutations(range(3)))[:4])
async def test_the_order_of_arrival_does_not_matter(database_url: str, arrival: tuple[int, ...]) -> None:
    one = order(1, at(19, 9), "100.00")
    bodies = [escaped(resource(one))]
    one.total, one.updated, one.state, one.owed = "120.00", at(19, 10), "partially_paid", "20.00"  # an item was added
    bodies.append(escaped(resource(one)))
    one.owed = "0.00"
    one.refund(Refund(11, at(19, 11), "50.00"))
    bodies.append(escaped(resource(one)))
    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        for number in arrival:
            await push(way, bodies[number])
        assert await way.totals(ASKED) == books(1, 1, "70.00")


async def test_a_push_and_the_fetch_after_it_are_one_order(database_url: str) -> None:
    fake = FakeShop(now=NOW, orders=[order(1, at(19, 9), "100.00"), order(2, at(19, 10), "50.00")])
    fake.orders[0].refund(Refund(11, at(19, 11), "10.00"))
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await push(way, escaped(resource(fake.orders[0])))
        assert await way.totals(ASKED) == books(1, 1, "90.00")
        await way.fetch()  # the push of the second was lost
        assert await way.totals(ASKED) == books(2, 1, "140.00")


async def test_a_cancelled_order_is_taken_back_and_a_refunded_one_is_not_taken_back_twice(database_url: str) -> None:
    one, two = order(1, at(18, 9), "100.00"), order(2, at(18, 10), "50.00")
    bodies = [escaped(resource(one)), escaped(resource(two))]
    one.cancelled = one.updated = at(19, 9)
    two.cancelled = at(19, 9)
    two.refund(Refund(21, at(19, 9), "50.00"), state="refunded")
    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        for body in (escaped(resource(one)), *bodies, escaped(resource(two))):
            await push(way, body)
        assert await way.totals(ASKED) == books(1, 1, "0.00")


async def test_a_refund_pushed_alone_is_booked_where_every_channel_counts(database_url: str) -> None:
    one = order(1, at(19, 9), "100.00")
    every = {**SOURCE, "options": {"shop": SHOP, "skip_sources": []}}
    async with road(database_url, CONNECTOR, NOW, source=every) as way:
        await push(way, escaped(resource(one)), "orders/paid")
        one.refund(Refund(11, at(19, 11), "25.50"))
        await push(way, escaped(refund_resource(one.refunds[0], one)), "refunds/create")
        assert await way.totals(ASKED) == books(1, 1, "74.50")
        await push(way, escaped(resource(one)))
        assert await way.totals(ASKED) == books(1, 1, "74.50")


async def test_an_order_at_the_edge_of_a_day_lies_in_the_local_day(database_url: str) -> None:
    """23:30 of the shop's offset on the 18th is half past six in the morning of the 19th in Berlin."""
    fake = FakeShop(
        now=NOW,
        orders=[
            order(1, at(19, 4, 30), "10.00"),
            order(
                2,
                at(
                    18,
                    21,
                    59,
                ),
                "20.00",
            ),
        ],
    )
    campaign = {"zone": "Europe/Berlin"}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=campaign) as way:
        await way.fetch()
        assert await booked_days(way) == {"2026-08-18": "20.00", "2026-08-19": "10.00"}


async def test_a_campaign_takes_the_orders_of_its_utm_campaign(database_url: str) -> None:
    fake = FakeShop(now=NOW, orders=[order(1, at(19, 9), "10.00"), Order(2, at(19, 10), total="20.00")])
    fake.orders[0].refund(Refund(11, at(19, 11), "1.00"))
    campaign = {"rules": [{"utm_campaign": "spring"}]}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=campaign) as way:
        await way.fetch()
        assert await way.totals(ASKED) == books(1, 1, "9.00")


async def test_a_forged_push_is_refused_and_books_nothing(database_url: str) -> None:
    body = escaped(resource(order(1, at(19, 9), "100.00")))
    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        forged = await way.push(body + b" ", signed(body))
        other = await way.push(body, signed(body, shop="other.myshopify.com"))
        assert (forged.status_code, other.status_code) == (401, 401)
        assert await way.totals(ASKED) == books(None, None, None)


async def test_an_uninstalled_app_asks_to_be_connected_again(database_url: str) -> None:
    fake = FakeShop(now=NOW, token="another")
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await push(way, escaped({"id": 1, "myshopify_domain": SHOP}), "app/uninstalled")
        pulled = await way.fetch()
        assert pulled[0].is_locked_out
