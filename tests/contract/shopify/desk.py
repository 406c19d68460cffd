"""What the tests of the Shopify connector share: a source, a fetch against the fake shop, and readings of bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.contract import Delivery, Item, Page, Response, Secret, Source, SubjectRef, Task
from connectors.contract import SubjectType as Type
from connectors.http import Limits, PlatformHttp, new_client
from connectors.shopify import CONNECTOR
from connectors.shopify_shop import ShopifyOptions
from tests.contract.reading import Reader, landed
from tests.fakes.shopify import APP_SECRET, SHOP, TOKEN, FakeShop, Order, escaped, resource
from tests.fakes.wire import transport

RECORDINGS = Path(__file__).parents[2] / "recordings" / "shopify"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
OPTIONS = ShopifyOptions(shop=SHOP)
EVERYTHING = ShopifyOptions(shop=SHOP, skip_sources=())
SUBJECT = SubjectRef(SHOP, Type.SHOP)


def at(hour: int, minute: int = 0, day: int = 19) -> datetime:
    return datetime(2026, 8, day, hour, minute, tzinfo=UTC)


def source(options: ShopifyOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=APP_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN}
    return Source(id="src_1", platform="shopify", account=SHOP, options=options, credentials=credentials, secrets=ring)


_READER = Reader(connector=CONNECTOR, source=source, now=NOW)
task = _READER.task


def client(fake: FakeShop, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
    async def no_sleep(_: float) -> None:
        return

    return PlatformHttp(
        new_client(transport=transport(fake)),
        CONNECTOR.address(OPTIONS),
        token=token,
        header=CONNECTOR.auth.header,
        scheme=CONNECTOR.auth.scheme,
        now=lambda: fake.now,
        uniform=lambda: 0.5,
        limits=Limits(attempts=2),
        sleep=no_sleep,
        on_response=None if heard is None else heard.append,
    )


async def fetch(fake: FakeShop, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def read(pages: Iterable[Page], options: ShopifyOptions = OPTIONS) -> list[Item]:
    return [item for page in pages for item in CONNECTOR.parse(landed(page), options)]


def parsed(
    body: bytes, options: ShopifyOptions = OPTIONS, request: Mapping[str, str] | None = None, received: datetime = NOW
) -> list[Item]:
    channel = "webhook" if request is None else "fetch"
    delivery = Delivery(channel=channel, body=body, received_at=received, request=request or {})
    return list(CONNECTOR.parse(delivery, options))


def pushed(order: Order, options: ShopifyOptions = OPTIONS, **changes: Any) -> list[Item]:
    """Return the items of an order as it is pushed, with some fields replaced."""
    return parsed(escaped({**resource(order), **changes}), options)


def recorded(name: str, options: ShopifyOptions = OPTIONS, **request: str) -> list[Item]:
    return parsed((RECORDINGS / f"{name}.json").read_bytes(), options, request or None)
