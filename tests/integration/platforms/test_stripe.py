"""Stripe from the fake account, and from its signed pushes, to the campaign's KPIs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import Conversion, Delivery, Item
from connectors.stripe import CONNECTOR
from tests.fakes.stripe import SECRET, TOKEN, FakeStripe, Payment, Refund, event, signed, written
from tests.fakes.wire import transport
from tests.integration.platforms.road import Road, road

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = {"account": "acct_1", "credentials": {"access_token": TOKEN, "webhook_secret": SECRET}}
ASKED = "orders,refunds,conversions,conversion_value"


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 8, day, hour, minute, tzinfo=UTC)


def books(orders: int | None, refunds: int | None, value: str | None) -> dict[str, Any]:
    return {"orders": orders, "refunds": refunds, "conversions": orders, "conversion_value": value}


async def push(way: Road, told: dict[str, Any]) -> None:
    body = written(told)
    answer = await way.push(body, signed(body, way.clock.at))
    assert answer.status_code == 200, answer.text


async def test_payments_are_listed_refunded_and_counted_once(database_url: str) -> None:
    fake = FakeStripe(now=NOW, page_size=2)
    fake.payments = [
        Payment("1", at(18, 9), 10_000),
        Payment("2", at(19, 9), 4_990, code="ANNA10"),
        Payment("3", at(19, 10), 700, status="unpaid"),
        Payment("4", at(19, 11), 999, livemode=False),
    ]
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE) as way:
        await way.fetch()
        assert await way.totals(ASKED) == books(2, None, "149.90")
        # The pushes of the same payments, charge and intent beside the session, change nothing.
        for told in fake.payments[0].events():
            await push(way, told)
        assert await way.totals(ASKED) == books(2, None, "149.90")
        way.clock.forward(timedelta(hours=7))
        fake.now = way.clock.at
        fake.payments[0].refunds = [Refund("re_1", at(20, 13), 3_000), Refund("re_2", at(20, 14), 495)]
        await way.fetch()
        assert await way.totals(ASKED) == books(2, 2, "114.95")
        found = {day: value for day, value in (await way.days("conversion_value")).items() if value is not None}
        assert found == {"2026-08-18": "100.00", "2026-08-19": "49.90", "2026-08-20": "-34.95"}


async def test_pushes_in_any_order_and_again_end_in_the_same_books(database_url: str) -> None:
    one = Payment("1", at(19, 9), 10_000, refunds=[Refund("re_1", at(19, 10), 3_000), Refund("re_2", at(19, 11), 500)])
    charge = one.charge(refunds={"data": [one.refund(refund) for refund in one.refunds]})
    events = [*one.events(), event("charge.refunded", charge, at(19, 11))]
    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        for number in (5, 4, 0, 2, 3, 1, 0, 5):
            await push(way, events[number])
        assert await way.totals(ASKED) == books(1, 2, "65.00")


async def test_a_newer_connector_reads_payments_anew(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is paid is read at half of its value, and one payment not at all; who paid stays a hash."""
    refunded = Payment("1", at(19, 9), 10_000, refunds=[Refund("re_1", at(19, 10), 3_000)])
    payments = [refunded, Payment("2", at(19, 11), 800)]
    charge = refunded.charge(refunds={"data": [refunded.refund(refunded.refunds[0])]})
    old = CONNECTOR.parse

    def newer(delivery: Delivery, options: Any) -> list[Item]:
        found: list[Item] = []
        for item in old(delivery, options):
            if not isinstance(item, Conversion):
                found.append(item)
            elif item.value != 8_000_000:
                found.append(msgspec.structs.replace(item, value=(item.value or 0) // 2, customer="somebody"))
        return found

    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        for payment in payments:
            for told in payment.events():
                await push(way, told)
        await push(way, event("charge.refunded", charge, at(19, 12)))
        assert await way.totals(ASKED) == books(2, 1, "78.00")
        with monkeypatch.context() as patched:
            patched.setattr(CONNECTOR, "parse", newer)
            patched.setattr(CONNECTOR, "version", "newer")
            await way.desk.post("/v1/deliveries/replay", {"since": "2020-01-01T00:00:00Z"}, 202)
            summary = await way.settle()
            assert (summary.dead, summary.postponed) == (0, 0)
            assert await way.totals(ASKED) == books(1, 1, "35.00")
            await way.desk.post("/v1/deliveries/replay", {"since": "2020-01-01T00:00:00Z"}, 202)
            assert (await way.settle()).entries == 0
        listed = (await way.desk.get(f"/v1/campaigns/{way.campaign}/conversions?range=lifetime"))["data"]
        assert sorted(one["value"] for one in listed) == ["-15.00", "50.00"]
        assert {one["cause"] for one in listed} == {"mapping_changed"}


async def test_a_debit_counts_on_the_day_its_money_came(database_url: str) -> None:
    """Just before and just after midnight in Berlin, which is 22:00 UTC in summer."""
    first, second = Payment("1", at(18, 21, 59), 1_000), Payment("2", at(18, 22), 2_000, status="unpaid")
    paid = Payment("2", at(18, 22), 2_000)
    campaign = {"zone": "Europe/Berlin"}
    async with road(database_url, CONNECTOR, NOW, source=SOURCE, campaign=campaign) as way:
        await push(way, first.events()[0])
        await push(way, second.events()[0])
        assert await way.totals(ASKED) == books(1, None, "10.00")
        await push(way, event("checkout.session.async_payment_succeeded", paid.session(), paid.paid))
        found = {day: value for day, value in (await way.days("conversion_value")).items() if value is not None}
        assert found == {"2026-08-18": "10.00", "2026-08-19": "20.00"}


async def test_a_campaign_takes_the_payments_of_its_utm_campaign(database_url: str) -> None:
    fake = FakeStripe(now=NOW, payments=[Payment("1", at(19, 9), 1_000, metadata={"utm_campaign": "spring"})])
    fake.payments += [Payment("2", at(19, 10), 2_000)]
    fake.payments[0].refunds = [Refund("re_1", at(19, 11), 100)]
    campaign = {"rules": [{"utm_campaign": "spring"}]}
    async with road(database_url, CONNECTOR, NOW, transport=transport(fake), source=SOURCE, campaign=campaign) as way:
        await way.fetch()
        assert await way.totals(ASKED) == books(1, 1, "9.00")


async def test_a_late_or_forged_push_is_refused(database_url: str) -> None:
    body = written(Payment("1", at(19, 9)).events()[0])
    async with road(database_url, CONNECTOR, NOW, source=SOURCE) as way:
        late = await way.push(body, signed(body, NOW - timedelta(seconds=301)))
        forged = await way.push(body + b" ", signed(body, NOW))
        assert (late.status_code, forged.status_code) == (401, 401)
        assert await way.totals(ASKED) == books(None, None, None)
