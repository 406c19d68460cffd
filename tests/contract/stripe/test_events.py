"""Payments and refunds as events: what counts, what it is worth, and where it came from."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import BadPayload, Conversion, Outcome, RefreshHint, Secret, SignatureInvalid, WebhookRequest
from connectors.stripe import CONNECTOR
from connectors.stripe_events import StripeOptions
from tests.contract.reading import conversions, drops, only
from tests.contract.stripe.desk import NOW, PAYMENTS, at, parsed, pushed, source
from tests.fakes.stripe import Payment, Refund, event, signed, written


def payment(**more: Any) -> Payment:
    return Payment("1", at(9), **more)


def session(paid: Payment, kind: str = "checkout.session.completed", **changes: Any) -> dict[str, Any]:
    return event(kind, {**paid.session(), **changes}, paid.paid, livemode=paid.livemode)


# ------------------------------------------------------------------------------------------------ what counts


@pytest.mark.parametrize(
    ("status", "counts"), [("paid", True), ("no_payment_required", True), ("unpaid", False), (None, False)]
)
def test_complete_is_not_paid(status: str | None, counts: bool) -> None:
    items = pushed(session(payment(), payment_status=status))
    assert bool(conversions(items)) is counts
    assert drops(items) == ([] if counts else [("not_mapped", "payment_status")])


def test_a_payment_that_comes_days_later_counts_when_it_comes() -> None:
    waiting = payment(status="unpaid")
    assert conversions(pushed(session(waiting))) == []
    paid = Payment("1", at(9, day=20))
    found = only(pushed(session(paid, "checkout.session.async_payment_succeeded")))
    assert (found.id, found.at) == ("pi_1", at(9, day=20))
    failed = pushed(session(payment(status="unpaid"), "checkout.session.async_payment_failed"))
    assert drops(failed) == [("not_mapped", "checkout.session.async_payment_failed")]


@pytest.mark.parametrize("options", [StripeOptions(), PAYMENTS])
def test_the_events_of_one_payment_are_one_order(options: StripeOptions) -> None:
    found = [item for told in payment().events() for item in conversions(pushed(told, options))]
    assert [(item.kind, item.id, item.value) for item in found] == [("order", "pi_1", 20_000_000)]


def test_a_charge_counts_only_where_nothing_else_tells_of_it() -> None:
    told = event("charge.succeeded", payment().charge(payment_intent=None), at(9))
    assert only(pushed(told, PAYMENTS)).id == "ch_1"
    assert drops(pushed(told)) == [("not_mapped", "counted by its payment")]
    held = event("charge.succeeded", payment().charge(payment_intent=None, captured=False), at(9))
    assert drops(pushed(held, PAYMENTS)) == [("not_mapped", "captured")]


def test_a_subscription_goes_by_its_session_and_renewals_do_not_count() -> None:
    assert only(pushed(session(payment(mode="subscription")))).id == "cs_live_1"
    assert drops(pushed(session(payment(mode="setup")))) == [("not_mapped", "payment_status")]
    renewal = event("payment_intent.succeeded", {**payment().payment_intent(), "invoice": "in_1"}, at(9))
    assert drops(pushed(renewal, PAYMENTS)) == [("not_mapped", "invoice")]


def test_the_test_mode_says_so() -> None:
    one = payment(livemode=False, refunds=[Refund("re_1", at(10), 500)])
    found = [item for told in one.events() for item in conversions(pushed(told))]
    assert [(item.kind, item.test) for item in found] == [("order", True), ("refund", True)]


def test_events_of_connected_accounts_are_left_out_unless_asked_for() -> None:
    told = {**session(payment()), "account": "acct_2"}
    assert drops(pushed(told)) == [("conflict", "account")]
    assert only(pushed(told, StripeOptions(connected_account="acct_2"))).id == "pi_1"
    assert drops(pushed(session(payment()), StripeOptions(connected_account="acct_2"))) == [("conflict", "account")]


# ------------------------------------------------------------------------------------------------ money


@pytest.mark.parametrize(
    ("currency", "amount", "value"),
    [
        ("eur", 2000, 20_000_000),
        ("usd", 1, 10_000),
        ("jpy", 2000, 2_000_000_000),
        ("krw", 5, 5_000_000),
        ("kwd", 1234, 1_234_000),
        ("tnd", 5, 5_000),
        ("isk", 500, 5_000_000),
        ("huf", 500, 5_000_000),
        ("eur", 0, 0),
    ],
)
def test_the_smallest_unit_of_a_currency(currency: str, amount: int, value: int) -> None:
    found = only(pushed(session(payment(currency=currency, amount=amount))))
    assert (found.value, found.currency) == (value, currency.upper())


@pytest.mark.parametrize(
    ("changes", "drop"),
    [
        ({"amount_total": "2000"}, ("bad_number", "amount_total")),
        ({"amount_total": 20.5}, ("bad_number", "amount_total")),
        ({"amount_total": True}, ("bad_number", "amount_total")),
        ({"amount_total": -1}, ("out_of_range", "amount_total")),
        ({"amount_total": 2**62}, ("out_of_range", "amount_total")),
        ({"currency": None}, ("bad_currency", "currency")),
        ({"currency": "EUR"}, ("bad_currency", "currency")),
        ({"id": None, "payment_intent": None}, ("missing_id", "id")),
        ({"id": 7, "payment_intent": None}, ("malformed", "id")),
    ],
)
def test_a_session_that_cannot_be_read_is_a_drop(changes: dict[str, Any], drop: tuple[str, str]) -> None:
    assert drops(pushed(session(payment(), **changes))) == [drop]


def test_a_session_without_money_counts() -> None:
    found = only(pushed(session(payment(), payment_status="no_payment_required", amount_total=None, currency=None)))
    assert (found.value, found.currency) == (None, None)


@pytest.mark.parametrize(
    ("created", "drop"),
    [
        (None, ("missing_time", "created")),
        ("1772444000", ("bad_time", "created")),
        (-5, ("bad_time", "created")),
        (2**70, ("bad_time", "created")),
        (10**15, ("bad_time", "created")),
        (int(NOW.timestamp()) + 301, ("future_time", "created")),
    ],
)
def test_an_event_without_a_time_is_a_drop(created: Any, drop: tuple[str, str]) -> None:
    assert drops(pushed({**session(payment()), "created": created})) == [drop]


# ------------------------------------------------------------------------------------------------ refunds


@pytest.mark.parametrize(
    ("status", "cancelled"), [("succeeded", False), ("failed", True), ("canceled", True), ("pending", None)]
)
def test_a_refund_counts_when_it_has_succeeded(status: str, cancelled: bool | None) -> None:
    one = payment(refunds=[Refund("re_1", at(10), 500, status)])
    items = pushed(one.events()[3])
    assert [item.cancelled for item in conversions(items)] == ([] if cancelled is None else [cancelled])
    assert drops(items) == ([("not_mapped", "status")] if cancelled is None else [])


def test_the_sum_on_a_charge_is_not_read_twice() -> None:
    """Two partial refunds: the charge says 500, then 1200; the refunds say 500 and 700."""
    one = payment(refunds=[Refund("re_1", at(10), 500), Refund("re_2", at(11), 700)])
    within = {"refunds": {"data": [one.refund(refund) for refund in one.refunds]}}
    charge = event("charge.refunded", one.charge(**within), at(11))
    found = [item for told in (charge, *one.events()[3:], charge) for item in conversions(pushed(told))]
    assert {(item.id, item.value, item.refund_of) for item in found} == {
        ("re_1", 5_000_000, "pi_1"),
        ("re_2", 7_000_000, "pi_1"),
    }
    (hint,) = pushed(event("charge.refunded", one.charge(), at(11)))
    assert isinstance(hint, RefreshHint)


def test_one_bad_refund_within_a_charge_takes_nothing_with_it() -> None:
    one = payment(refunds=[Refund("re_1", at(10), 500)])
    data = [7, {"id": None, "status": "succeeded"}, one.refund(one.refunds[0])]
    items = pushed(event("charge.refunded", one.charge(refunds={"data": data}), at(11)))
    assert [item.id for item in conversions(items)] == ["re_1"]
    assert len(drops(items)) == 2


def test_a_lost_dispute_is_a_refund_where_it_is_wanted() -> None:
    about = {"id": "du_1", "status": "lost", "amount": 2000, "currency": "eur", "payment_intent": "pi_1"}
    lost, won = (event("charge.dispute.closed", {**about, "status": end}, at(12)) for end in ("lost", "won"))
    wanted = StripeOptions(disputes=True)
    assert drops(pushed(lost)) == [("not_mapped", "dispute")]
    assert drops(pushed(won, wanted)) == [("not_mapped", "dispute")]
    assert (only(pushed(lost, wanted)).refund_of, only(pushed(lost, wanted)).value) == ("pi_1", 20_000_000)


# ------------------------------------------------------------------------------------------------ origins


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"metadata": {"utm_campaign": " Spring ", "utm_id": "12"}},
            {"utm_campaign": "Spring", "platform_campaign": "12"},
        ),
        ({"metadata": {"utm_campaign": "{{campaign.name}}", "utm_source": ""}}, {}),
        ({"metadata": {"fbclid": "F", "gclid": "G"}}, {"click_id": "gclid:G"}),
        ({"metadata": {"sccid": "AbC"}}, {"click_id": "ScCid:AbC"}),
        ({"reference": "click-6f3"}, {"click_id": "client_reference_id:click-6f3"}),
        ({"reference": "click-6f3", "metadata": {"ttclid": "T"}}, {"click_id": "ttclid:T"}),
        ({"metadata": {"promo_code": "anna10"}}, {"promo_code": "ANNA10"}),
        ({"metadata": {"utm_campaign": 7, "x": "y"}}, {}),
        ({"metadata": None}, {}),
        ({"customer": "cus_9"}, {"customer": "cus_9"}),
    ],
)
def test_where_a_session_came_from(more: dict[str, Any], said: dict[str, str]) -> None:
    found = only(pushed(session(payment(**more))))
    named = ("utm_campaign", "utm_source", "click_id", "promo_code", "platform_campaign", "customer")
    assert {name: getattr(found, name) for name in named if getattr(found, name)} == said


def test_an_expanded_code_is_read_and_a_hidden_one_asked_for() -> None:
    one = payment(code="anna10")
    assert only(pushed(event("checkout.session.completed", one.session(expanded=True), at(9)))).promo_code == "ANNA10"
    items = pushed(session(one))
    assert only(items).promo_code is None
    assert isinstance(items[1], RefreshHint)


def test_no_person_is_read() -> None:
    assert "example.org" not in repr(pushed(session(payment(customer="cus_9"))))


# ------------------------------------------------------------------------------------------------ deliveries


@pytest.mark.parametrize(
    ("told", "drop"),
    [
        ({}, ("malformed", "type")),
        ({"type": 7}, ("malformed", "type")),
        ({"type": "customer.created", "data": {}}, ("unknown_type", "type")),
        ({"type": "refund.created", "created": 1_787_000_000, "data": 7}, ("not_mapped", "status")),
    ],
)
def test_what_is_no_event_of_ours_is_a_drop(told: dict[str, Any], drop: tuple[str, str]) -> None:
    assert drops(pushed(told)) == [drop]


@pytest.mark.parametrize("sent", [b"7", b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_object(sent: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(sent)


def verified(body: bytes, header: str, secret: str = "whsec_test_secret", now: Any = NOW) -> str:
    request = WebhookRequest(method="POST", headers={"stripe-signature": header}, query={}, body=body)
    return CONNECTOR.verify(request, source(secrets=(Secret(value=secret),)), now).key


def test_the_signature_of_a_known_sender() -> None:
    body = b'{"id":"evt_1","object":"event","type":"checkout.session.completed"}'
    header = "t=1731264000,v1=9a87f99211722e8f56b3de5a64333a0f08dc51f522c71ba6d2663b22a4344353"
    sent = NOW.fromtimestamp(1731264000, tz=NOW.tzinfo)
    assert verified(body, header, now=sent) == "evt_1"
    rolled = f"t=1731264000,v1={'0' * 64},v1={header.partition('v1=')[2]},v9=x"
    assert verified(body, rolled, now=sent) == "evt_1"
    for wrong in (header.replace("v1=", "v0="), header.replace("t=", "t=+"), "", "t=1731264000"):
        with pytest.raises(SignatureInvalid):
            verified(body, wrong, now=sent)


def test_a_retry_is_the_same_delivery_whatever_it_counts() -> None:
    first, again = (written({**session(payment()), "pending_webhooks": tries}) for tries in (2, 1))
    keys = {verified(body, signed(body, NOW, "whsec_x")["stripe-signature"], "whsec_x") for body in (first, again)}
    assert keys == {session(payment())["id"]}
    bare = b"no json"
    assert len(verified(bare, signed(bare, NOW, "whsec_x")["stripe-signature"], "whsec_x")) == 64


def test_a_wrong_signature_is_told_apart_and_the_rest_is_thanked_for() -> None:
    assert CONNECTOR.reply(Outcome.BAD_SIGNATURE).status == 401
    assert {CONNECTOR.reply(one).status for one in (Outcome.STORED, Outcome.DUPLICATE)} == {200}


def test_the_newest_reading_stands_in_whatever_order_they_come() -> None:
    one = payment(refunds=[Refund("re_1", at(10), 500)])
    failed = event("refund.failed", one.refund(Refund("re_1", at(10), 500, "failed")), at(11))
    events = [*one.events(), failed]
    for arrival in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [4, 0, 3, 3, 1]):
        books: dict[str, Conversion] = {}
        for item in (item for number in arrival for item in conversions(pushed(events[number]))):
            known = books.get(item.id)
            if known is None or (item.observed_at or NOW) > (known.observed_at or NOW):
                books[item.id] = item
        assert {name: item.cancelled for name, item in books.items()} == {"pi_1": False, "re_1": True}
