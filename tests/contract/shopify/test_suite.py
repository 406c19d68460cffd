"""The contract's own suite over the recordings, signed pushes and the fake shop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from connectors.contract import (
    Conversion,
    Delivery,
    Drop,
    DropReason,
    FetchKind,
    Item,
    RefreshHint,
    Task,
    WebhookRequest,
)
from connectors.shopify import CONNECTOR
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from tests.contract.shopify.desk import EVERYTHING, NOW, OPTIONS, RECORDINGS, SUBJECT, at, client, source, task
from tests.fakes.shopify import APP_SECRET, FakeShop, Order, Refund, signed

PAID = Conversion(
    id="820982911946154508",
    at=datetime(2026, 8, 19, 14, 31, 58, tzinfo=UTC),
    observed_at=datetime(2026, 8, 19, 14, 32, 1, tzinfo=UTC),
    kind="order",
    value=598_940_000,
    currency="USD",
    customer="115310627314723954",
    first_order=True,
    utm_campaign="spring",
    utm_source="instagram",
    utm_medium="social",
    utm_content="17895695668004550",
    click_id="fbclid:IwAR1",
    promo_code="ANNA10",
)
REFUNDED = Conversion(
    id="450789470",
    at=at(10),
    observed_at=at(14),
    kind="order",
    value=100_000_000,
    currency="EUR",
    customer="7",
    promo_code="ANNA10",
    click_id="gclid:Cj0K",
)


def refund(number: str, hour: int, value: int) -> Conversion:
    return Conversion(
        id=number,
        at=at(hour),
        observed_at=at(14),
        kind="refund",
        value=value,
        currency="EUR",
        refund_of="450789470",
        customer="7",
        promo_code="ANNA10",
        click_id="gclid:Cj0K",
    )


ITEMS: dict[str, tuple[Item, ...]] = {
    "order_paid": (PAID,),
    "order_refunded": (
        REFUNDED,
        refund("509562969", 12, 50_000_000),  # told as 55.00 dollars
        refund("509562970", 13, 5_000_000),
        Drop(reason=DropReason.NO_NUMBERS, row=3, detail="refunds.transactions"),  # the money is still on its way
        Drop(reason=DropReason.NOT_MAPPED, detail="discount_codes"),
    ),
    "order_cancelled": (
        Conversion(
            id="450789471",
            at=at(9),
            observed_at=at(9, 30),
            kind="order",
            value=20_000_000,
            currency="EUR",
            utm_campaign="spring",
            utm_source="tiktok",
            cancelled=True,
        ),
    ),
    "order_test": (
        Conversion(
            id="450789472", at=at(9), observed_at=at(9), kind="order", value=20_000_000, currency="EUR", test=True
        ),
    ),
    "order_pending": (Drop(reason=DropReason.NOT_MAPPED, detail="financial_status"),),
    "order_edited_before_payment": (
        Conversion(id="450789474", at=at(9), observed_at=at(11), kind="order", value=60_000_000, currency="EUR"),
        Drop(reason=DropReason.NO_NUMBERS, row=1, detail="refunds.transactions"),
    ),
    "order_2008": (Drop(reason=DropReason.NOT_MAPPED, detail="financial_status"),),  # authorised and no more
    "refund_created": (RefreshHint(subject=SUBJECT, reason="refunds/create"),),
    "order_edit": (RefreshHint(subject=SUBJECT, reason="orders/edited"),),
    "app_uninstalled": (RefreshHint(subject=SUBJECT, reason="the shop has changed or the app was uninstalled"),),
    "customers_redact": (Drop(reason=DropReason.NOT_MAPPED, detail="a request about personal data"),),
    "page_order_gone": (Drop(reason=DropReason.NOT_AVAILABLE, detail="order"),),
}
PAGES = {
    "page_orders": "orders",
    "page_without_customers": "orders",
    "page_refunds": "refunds",
    "page_order_gone": "refunds",
    "page_shop": "shop",
}
"""What each recorded page is; a recording that is not here is a push."""


def recordings() -> list[Recording]:
    found = [
        Recording(
            name=path.stem, delivery=delivery(path.read_bytes(), path.stem), options=OPTIONS, items=items(path.stem)
        )
        for path in sorted(RECORDINGS.glob("*.json"))
    ]
    alone = delivery((RECORDINGS / "refund_created.json").read_bytes(), "refund_created")
    return [*found, Recording(name="refund_created of every channel", delivery=alone, options=EVERYTHING)]


def items(name: str) -> tuple[Item, ...] | None:
    return ITEMS.get(name)


def delivery(body: bytes, name: str) -> Delivery:
    if name not in PAGES:
        return Delivery(channel="webhook", body=body, received_at=NOW)
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"page": PAGES[name]})


def pushed() -> Signed:
    body = (RECORDINGS / "order_paid.json").read_bytes()
    request = WebhookRequest(method="POST", headers=signed(body, APP_SECRET), query={}, body=body)
    return Signed(request=request, source=source(), now=NOW, headers=("x-shopify-hmac-sha256",))


def platform() -> FakeShop:
    """Return a new shop with five orders, two of them with refunds, over three pages."""
    orders = [Order(number, at(number), total="10.00") for number in range(1, 6)]
    orders[1].refund(Refund(21, at(8), "4.00"))
    orders[4].refund(Refund(51, at(9), "10.00"), state="refunded")
    return FakeShop(orders=orders, page_size=2)


def restated(after: timedelta) -> FakeShop:
    """Return the same shop a cycle later: an old order was cancelled, of another one more money went back."""
    fake = platform()
    fake.now += after
    fake.orders[0].cancelled = fake.orders[0].updated = at(13)
    fake.orders[1].refund(Refund(22, at(13), "2.00"))
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


RESTATED = {"orders", "reconcile"}


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind; of those that read orders, with what has changed a cycle later."""
    plain = pull(task(kind.name))
    if kind.name not in RESTATED:
        return plain
    return msgspec.structs.replace(plain, changed=lambda: client(restated(kind.every)))


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("orders", SUBJECT), "orders after a hint"),
]
PAIRS = (
    ("order_paid", "page_orders"),
    ("order_refunded", "page_refunds"),
)
"""A push, and a page that is fetched about the same."""
DELIVERIES = {one.name: one.delivery for one in recordings()}
AGREE = [
    Agreeing(name=f"{push} and {page}", first=DELIVERIES[push], second=DELIVERIES[page], options=OPTIONS)
    for push, page in PAIRS
]
SUITE = contract_suite(CONNECTOR, recordings(), signed=[pushed()], pulls=PULLS, agree=AGREE)


@pytest.mark.parametrize("check", SUITE, ids=str)
async def test_contract(check: Check) -> None:
    await check()
