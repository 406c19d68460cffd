"""The contract's own suite over the recordings, a signed push and the fake Stripe."""

from __future__ import annotations

from dataclasses import replace

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
from connectors.signatures import TOLERANCE
from connectors.stripe import CONNECTOR
from connectors.stripe_events import ACCOUNT, StripeOptions
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite
from tests.contract.stripe.desk import NOW, OPTIONS, PAYMENTS, RECORDINGS, at, client, source, task
from tests.fakes.stripe import SECRET, FakeStripe, Payment, Refund, event, signed

PAID = Conversion(
    id="pi_3P",
    at=at(9, 31),
    observed_at=at(9, 31),
    kind="order",
    value=20_000_000,
    currency="EUR",
    customer="cus_9",
    click_id="ttclid:E.C.P.x",
    utm_source="tiktok",
    utm_campaign="spring",
)
REFUND = Conversion(
    id="re_1", at=at(12), observed_at=at(12), kind="refund", value=5_000_000, currency="EUR", refund_of="pi_3P"
)
CODED = Conversion(id="pi_4P", at=at(10), observed_at=at(10), kind="order", value=20_000_000, currency="EUR")
BY_SESSION = Drop(reason=DropReason.NOT_MAPPED, detail="counted by its session")
ITEMS: dict[str, tuple[Item, ...]] = {
    "session_paid": (PAID,),
    "session_with_code": (CODED, RefreshHint(subject=ACCOUNT, reason="a promotion code without its text")),
    "session_unpaid": (Drop(reason=DropReason.NOT_MAPPED, detail="payment_status"),),
    "event_session_unpaid": (Drop(reason=DropReason.NOT_MAPPED, detail="payment_status"),),
    "payment_succeeded": (BY_SESSION,),
    "charge_succeeded": (Drop(reason=DropReason.NOT_MAPPED, detail="counted by its payment"),),
    "refund_created": (REFUND,),
    "refund_failed": (msgspec.structs.replace(REFUND, observed_at=at(13), cancelled=True),),
    "charge_refunded": (RefreshHint(subject=ACCOUNT, reason="charge.refunded"),),
    "dispute_lost": (Drop(reason=DropReason.NOT_MAPPED, detail="dispute"),),
    "invoice_paid": (Drop(reason=DropReason.NOT_MAPPED, detail="invoice.paid"),),
    "event_plan_created": (Drop(reason=DropReason.UNKNOWN_TYPE, detail="type"),),
    "thin": (RefreshHint(subject=ACCOUNT, reason="a thin event"),),
    "page_session": (msgspec.structs.replace(CODED, observed_at=NOW, promo_code="ANNA10"),),
    "page_session_gone": (Drop(reason=DropReason.NOT_AVAILABLE, detail="session"),),
    "page_refunds": (
        msgspec.structs.replace(
            REFUND,
            observed_at=NOW,
            customer="cus_9",
            click_id="ttclid:E.C.P.x",
            utm_source="tiktok",
            utm_campaign="spring",
        ),
    ),
}
PAGES = {"page_events": "events", "page_refunds": "refunds", "page_session": "session", "page_session_gone": "session"}
IN_PAYMENTS: dict[str, tuple[Item, ...]] = {
    "payment_succeeded": (PAID,),
    "session_paid": (Drop(reason=DropReason.NOT_MAPPED, detail="counted by its payment"),),
    "event_charge_uncaptured": (Drop(reason=DropReason.NOT_MAPPED, detail="captured"),),
    "dispute_lost": (
        Conversion(
            id="du_1", at=at(14), observed_at=at(14), kind="refund", value=20_000_000, currency="EUR", refund_of="pi_3P"
        ),
    ),
}


def delivery(name: str) -> Delivery:
    body = (RECORDINGS / f"{name}.json").read_bytes()
    if name not in PAGES:
        return Delivery(channel="webhook", body=body, received_at=NOW)
    request = {"page": PAGES[name], "paid_at": str(int(at(10).timestamp()))}
    return Delivery(channel="fetch", body=body, received_at=NOW, request=request)


def recordings() -> list[Recording]:
    names = [path.stem for path in sorted(RECORDINGS.glob("*.json"))]
    payments = StripeOptions(counts="payments", disputes=True)
    return [
        *(Recording(name=name, delivery=delivery(name), options=OPTIONS, items=ITEMS.get(name)) for name in names),
        *(
            Recording(name=f"{name} where payments count", delivery=delivery(name), options=payments, items=items)
            for name, items in IN_PAYMENTS.items()
        ),
    ]


def pushed() -> Signed:
    body = (RECORDINGS / "session_paid.json").read_bytes()
    request = WebhookRequest(method="POST", headers=_without_v0(signed(body, NOW)), query={}, body=body)
    return Signed(request=request, source=source(), now=NOW, headers=("stripe-signature",), tolerance=TOLERANCE)


def _without_v0(headers: dict[str, str]) -> dict[str, str]:
    """Leave out what nothing stands on: a change there changes nothing."""
    return {**headers, "stripe-signature": headers["stripe-signature"].partition(",v0")[0]}


def platform() -> FakeStripe:
    """Return a new account with five payments, codes and refunds, over many pages."""
    payments = [Payment(str(number), at(number), code="ANNA10" if number % 2 else None) for number in range(1, 6)]
    payments[0].refunds = [Refund("re_1", at(8), 500), Refund("re_2", at(9), 500)]
    payments[3].refunds = [Refund("re_3", at(9), 2000)]
    return FakeStripe(payments=payments, page_size=2)


def restated(kind: FetchKind) -> FakeStripe:
    """Return the same account a cycle later: an old refund did not arrive, which is an event of its own."""
    fake = platform()
    fake.now += kind.every
    payment = fake.payments[0]
    failed = replace(payment.refunds[0], status="failed")
    if kind.name == "refunds":
        payment.refunds[0] = failed
    else:
        fake.more_events = [event("refund.failed", payment.refund(failed), at(13))]
    return fake


def pull(wanted: Task, name: str = "") -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


def cycle(kind: FetchKind) -> Pull:
    """Return a task of a kind, with what has changed a cycle later."""
    return msgspec.structs.replace(pull(task(kind.name)), changed=lambda: client(restated(kind)))


PULLS = [
    *map(cycle, CONNECTOR.capabilities.fetch),
    pull(task("events", ACCOUNT), "events after a hint"),
    pull(
        Task(kind="events", source=source(PAYMENTS)),
        "events where payments count",
    ),
]
PAIRS = (
    ("session_paid", "page_events"),
    ("refund_created", "page_refunds"),
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


def test_the_secret_is_taken_as_it_is_written() -> None:
    assert SECRET.startswith("whsec_")
