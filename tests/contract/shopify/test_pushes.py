"""Webhooks: signatures, keys of deliveries and the shapes that are pushed."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from connectors.contract import BadPayload, Delivery, Outcome, RefreshHint, Secret, SignatureInvalid, WebhookRequest
from connectors.shopify import CONNECTOR
from connectors.shopify_pushes import FIELDS
from connectors.shopify_shop import ShopifyOptions
from tests.contract.reading import drops, only
from tests.contract.shopify.desk import NOW, OPTIONS, RECORDINGS, SUBJECT, at, parsed, pushed, source
from tests.fakes.shopify import Order, escaped, resource, signed

RAW = (RECORDINGS / "order_paid.json").read_bytes()


def request(raw: bytes, headers: dict[str, str]) -> WebhookRequest:
    return WebhookRequest(method="POST", headers=headers, query={}, body=raw)


def test_a_signature_is_checked_on_the_raw_bytes() -> None:
    # Computed once with: openssl dgst -sha256 -hmac shpss_fake-secret-of-the-app -binary order_paid.json | base64
    header = {"x-shopify-hmac-sha256": "889G+5Rt/271tZN17I2ST3KCqgE56UTW1dTsgzzhAHY="}
    assert b"\\u0026" in RAW
    assert b"\\/" in RAW
    CONNECTOR.verify(request(RAW, header), source(), NOW)
    rewritten = json.dumps(json.loads(RAW), separators=(",", ":")).encode()
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(rewritten, header), source(), NOW)


@pytest.mark.parametrize(
    "header", [None, "", "=", "sha256=abc", "a" * 44, "\xe4" * 44, base64.b64encode(b"x" * 32).decode(), "0" * 64]
)
def test_a_header_that_is_no_right_signature(header: str | None) -> None:
    headers = {} if header is None else {"x-shopify-hmac-sha256": header}
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(RAW, headers), source(), NOW)


def test_keys_rotate_and_an_empty_one_never_verifies() -> None:
    ring = (Secret(value="new"), Secret(value="old", valid_until=NOW + timedelta(hours=1)))
    keys = {CONNECTOR.verify(request(RAW, signed(RAW, key)), source(secrets=ring), NOW).key for key in ("new", "old")}
    assert len(keys) == 1  # a retry after the switch carries another signature and is the same delivery
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(RAW, signed(RAW, "old")), source(secrets=ring), NOW + timedelta(hours=2))
    for empty in ((), (Secret(value=""),)):
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(request(RAW, signed(RAW, "")), source(secrets=empty), NOW)


def test_a_signed_body_of_another_shop_of_the_same_app_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        CONNECTOR.verify(request(RAW, signed(RAW, shop="other.myshopify.com")), source(), NOW)
    headers = signed(RAW, shop="Tally-Test.MyShopify.com")
    CONNECTOR.verify(request(RAW, headers), source(), NOW)


def test_a_retry_is_the_same_delivery_and_another_topic_is_another() -> None:
    def key(topic: str, number: str, body: bytes = RAW) -> str:
        headers = {**signed(body, topic=topic), "x-shopify-webhook-id": number}
        return CONNECTOR.verify(request(body, headers), source(), NOW).key

    assert key("orders/paid", "1") == key("orders/paid", "1") == key("orders/paid", "2")
    assert key("orders/paid", "1") != key("orders/create", "1")
    assert key("orders/paid", "1") != key("orders/paid", "1", RAW + b" ")
    odd = {**signed(RAW), "x-shopify-topic": "\ud800"}
    CONNECTOR.verify(request(RAW, odd), source(), NOW)


def test_a_wrong_signature_is_told_apart_and_the_rest_is_thanked_for() -> None:
    assert CONNECTOR.reply(Outcome.BAD_SIGNATURE).status == 401
    assert {CONNECTOR.reply(one).status for one in (Outcome.STORED, Outcome.DUPLICATE)} == {200}


def test_the_first_request_is_real_and_no_challenge() -> None:
    asked = WebhookRequest(method="GET", headers={}, query={"challenge": "1"})
    assert CONNECTOR.handshake(asked, source()) is None


# ------------------------------------------------------------------------------------------------ shapes


def test_created_paid_and_updated_tell_one_order() -> None:
    """Whatever the topic, and it is not even kept with a delivery: the body is read the same."""
    assert parsed(RAW) == parsed(RAW)
    assert only(parsed(RAW)).id == "820982911946154508"


def test_fields_that_were_asked_for_are_all_that_is_read() -> None:
    one = Order(1, at(9), landing="/?utm_campaign=spring", codes=["ANNA10"], customer=7, nth=1)
    whole = resource(one)
    asked = {name.partition(".")[0] for name in FIELDS}
    cut = {name: value for name, value in whole.items() if name in asked}
    cut["customer"] = {name: whole["customer"][name] for name in ("id", "orders_count")}
    assert parsed(escaped(cut)) == pushed(one)


def test_an_uninstalled_app_is_found_out_by_the_next_fetch() -> None:
    body = {"id": 1, "myshopify_domain": OPTIONS.shop, "email": "owner@example.org"}
    (hint,) = parsed(escaped(body))
    assert isinstance(hint, RefreshHint)
    assert hint.subject == SUBJECT
    assert drops(parsed(escaped({**body, "myshopify_domain": "other.myshopify.com"}))) == [
        ("conflict", "myshopify_domain")
    ]


@pytest.mark.parametrize(
    ("body", "drop"),
    [
        ({}, ("unknown_type", "topic")),
        ({"id": 1}, ("unknown_type", "topic")),  # orders/delete
        ({"id": 1, "token": "x", "line_items": []}, ("unknown_type", "topic")),
        (
            {"shop_id": 1, "shop_domain": "x", "customer": {"email": "a@example.org"}},
            ("not_mapped", "a request about personal data"),
        ),
        ({"shop_id": 1, "shop_domain": "x"}, ("not_mapped", "a request about personal data")),
        ({"order": 7}, ("unknown_type", "topic")),
        ({"total_price": "1.00"}, ("bad_currency", "currency")),
    ],
)
def test_what_is_no_order_is_a_drop(body: dict[str, object], drop: tuple[str, str]) -> None:
    assert drops(parsed(escaped(body))) == [drop]


@pytest.mark.parametrize("sent", [b"7", b"", b'"x"', b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b'{"a":1}{}'])
def test_a_body_that_is_no_object(sent: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(sent)


def test_a_thousand_refunds_in_one_body_are_read() -> None:
    one = Order(1, at(9), total="1000.00")
    refund = {"kind": "refund", "status": "success", "amount": "1.00", "currency": "EUR"}
    refunds = [
        {"id": number, "created_at": "2026-08-19T10:00:00Z", "transactions": [refund]} for number in range(1, 1001)
    ]
    assert len(pushed(one, refunds=refunds)) == 1001


def test_an_upload_is_refused() -> None:
    with pytest.raises(BadPayload):
        CONNECTOR.parse(Delivery(channel="upload", body=RAW, received_at=NOW), ShopifyOptions())


def test_the_signature_of_a_known_sender() -> None:
    body = b'{"id":820982911946154508,"name":"#1001","total_price":"99.00"}'
    header = {"x-shopify-hmac-sha256": "LypAG4dSGcEfokb9HH7QprTFCj7w+YGgk8+0eIJepc4="}
    CONNECTOR.verify(request(body, header), source(secrets=(Secret(value="shpss_test_secret"),)), NOW)
