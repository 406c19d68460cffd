"""Proving a source, asking for pushes, and what the connector declares of itself."""

from __future__ import annotations

import msgspec
import pytest

from connectors.contract import STORED, ConnectorError, NeedsReauth, NotSupported, Source
from connectors.shopify import CONNECTOR
from connectors.shopify_pushes import FIELDS, TOPICS
from connectors.shopify_shop import ShopifyOptions
from tests.contract.shopify.desk import NOW, OPTIONS, client, source
from tests.fakes.shopify import SHOP, TOKEN, WRONG_TOKEN, Failure, FakeShop, errors, throttled

ADDRESS = "https://tallybook.example/v1/webhooks/abc"
PUSHED = msgspec.structs.replace(OPTIONS, webhook_url=ADDRESS)


def all_topics(address: str = ADDRESS) -> dict[str, str]:
    return {topic.upper().replace("/", "_"): address for topic in TOPICS}


async def check(fake: FakeShop, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    assert await check(FakeShop(topics=all_topics())) == [
        (True, "the token is accepted and the shop Tally Test is readable"),
        (True, "all scopes are granted"),
        (True, "the orders of the shop are readable"),
        (True, "subscribed to all topics"),
    ]


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeShop(failures=[Failure(401, WRONG_TOKEN)])
    assert await check(fake) == [(False, "the access token is not accepted: connect the shop again")]
    assert len(fake.calls) == 1


async def test_a_throttled_check_blames_nothing() -> None:
    fake = FakeShop(failures=[Failure(200, throttled(10, 0, 50))])
    assert await check(fake) == [(False, "Shopify does not answer or throttles at the moment: try again later")]


async def test_a_frozen_shop_is_told() -> None:
    ((ok, text),) = await check(FakeShop(failures=[Failure(402, b"{}")]))
    assert not ok
    assert "frozen" in text


async def test_missing_scopes_are_named() -> None:
    found = await check(FakeShop(scopes=["read_orders"], topics=all_topics()))
    assert (False, "the scope read_customers is missing") in found
    assert (True, "without read_all_orders only the orders of the last 60 days are readable") in found


async def test_scopes_that_are_not_listed_are_no_fault() -> None:
    fake = FakeShop(failures=[Failure(200, errors("ACCESS_DENIED"), name="Access")])
    found = await check(fake)
    assert (True, "this token does not list its scopes; needed are read_orders, read_customers") in found


async def test_unreadable_orders_are_told() -> None:
    found = await check(FakeShop(denied={"orders"}))
    assert (False, "the orders of the shop are not readable: the token lacks a scope: read_orders") in found


async def test_missing_topics_are_named() -> None:
    topics = all_topics()
    del topics["ORDERS_PAID"]
    topics["REFUNDS_CREATE"] = "https://elsewhere.example/"
    found = await check(FakeShop(topics=topics), source(PUSHED))
    assert (False, "not subscribed to orders/paid, refunds/create; orders are fetched every hour meanwhile") in found
    refused = FakeShop(failures=[Failure(200, errors("ACCESS_DENIED"), name="Subscriptions")])
    text = "the webhook subscriptions cannot be read; orders are fetched every hour meanwhile"
    assert (False, text) in await check(refused)


async def test_a_version_that_is_no_longer_supported_is_told() -> None:
    found = await check(FakeShop(version="2026-10"))
    assert (False, "the API version is not supported any more, 2026-10 answers: set it") in found


async def test_a_missing_secret_is_told() -> None:
    found = await check(FakeShop(), source(secrets=()))
    assert (False, "no app secret: webhooks cannot be verified and are refused") in found


# ------------------------------------------------------------------------------------------------ subscribing


async def test_only_what_is_missing_is_subscribed_to() -> None:
    fake = FakeShop(topics={"ORDERS_PAID": ADDRESS})
    await CONNECTOR.subscribe(client(fake), source(PUSHED), NOW)
    assert fake.topics == all_topics()
    wanted = {call.variables["topic"]: call.variables["wanted"] for call in fake.calls if call.name == "Subscribe"}
    assert "ORDERS_PAID" not in wanted
    assert wanted["ORDERS_UPDATED"]["includeFields"] == list(FIELDS)
    assert "includeFields" not in wanted["APP_UNINSTALLED"]
    fake.calls.clear()
    await CONNECTOR.renew(client(fake), source(PUSHED), NOW)
    assert fake.names() == ["Subscriptions"]


async def test_a_subscription_needs_an_address_and_a_live_token() -> None:
    with pytest.raises(NotSupported, match="webhook_url"):
        await CONNECTOR.subscribe(client(FakeShop()), source(), NOW)
    with pytest.raises(NeedsReauth):
        await CONNECTOR.subscribe(client(FakeShop(token="another")), source(PUSHED), NOW)
    with pytest.raises(ConnectorError, match="refuses the subscription to orders/create"):
        await CONNECTOR.subscribe(client(FakeShop(refuses_subscriptions=True)), source(PUSHED), NOW)


# ------------------------------------------------------------------------------------------------ declared


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


def test_the_address_is_a_host_of_shopify_whatever_the_options_say() -> None:
    assert CONNECTOR.address(OPTIONS) == f"https://{SHOP}"
    assert CONNECTOR.address(ShopifyOptions()) == ""
    assert CONNECTOR.check_options(OPTIONS) == []
    assert len(CONNECTOR.check_options(ShopifyOptions())) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"shop": "evil.example"},
        {"shop": "myshopify.com"},
        {"shop": ".myshopify.com"},
        {"shop": "evil.example/x.myshopify.com"},
        {"shop": "evil.example#.myshopify.com"},
        {"shop": "evil.example\\.myshopify.com"},
        {"shop": "user@x.myshopify.com"},
        {"shop": "x.myshopify.com:8080"},
        {"shop": "x.myshopify.com.evil.example"},
        {"shop": "x.myshopify.com\n"},
        {"shop": "a.b.myshopify.com"},
        {"shop": "X.myshopify.com"},
        {"shop": "-x.myshopify.com"},
        {"shop": "xmyshopify.com"},
        {"shop": "x.myshopify.com", "api_version": "2026-02"},
        {"shop": "x.myshopify.com", "api_version": "unstable"},
        {"shop": "x.myshopify.com", "api_version": "2026-04/../x"},
        {"shop": "x.myshopify.com", "counts": "some"},
        {"shop": "x.myshopify.com", "webhook_url": "http://x.example"},
        {"shop": "x.myshopify.com", "skip_sources": [""]},
        {"host": "x"},
    ],
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, ShopifyOptions)


def test_a_source_shows_no_secret() -> None:
    assert TOKEN not in repr(source())
