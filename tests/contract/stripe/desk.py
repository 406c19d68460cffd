"""What the tests of the Stripe connector share: a source, a fetch against the fake, and readings of bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.contract import Delivery, Item, Page, Response, Secret, Source, Task
from connectors.http import Limits, PlatformHttp, new_client
from connectors.stripe import CONNECTOR
from connectors.stripe_events import StripeOptions
from tests.contract.reading import Reader, landed
from tests.fakes.stripe import HOST, SECRET, TOKEN, FakeStripe, written
from tests.fakes.wire import transport

RECORDINGS = Path(__file__).parents[2] / "recordings" / "stripe"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
OPTIONS = StripeOptions()
PAYMENTS = StripeOptions(counts="payments")


def at(hour: int, minute: int = 0, day: int = 19) -> datetime:
    return datetime(2026, 8, day, hour, minute, tzinfo=UTC)


def source(options: StripeOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN}
    return Source(
        id="src_1", platform="stripe", account="acct_1", options=options, credentials=credentials, secrets=ring
    )


_READER = Reader(connector=CONNECTOR, source=source, now=NOW)
task = _READER.task


def client(fake: FakeStripe, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
    async def no_sleep(_: float) -> None:
        return

    return PlatformHttp(
        new_client(transport=transport(fake)),
        HOST,
        token=token,
        now=lambda: fake.now,
        uniform=lambda: 0.5,
        limits=Limits(attempts=2),
        sleep=no_sleep,
        on_response=None if heard is None else heard.append,
    )


async def fetch(fake: FakeStripe, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def read(pages: Iterable[Page], options: StripeOptions = OPTIONS) -> list[Item]:
    return [item for page in pages for item in CONNECTOR.parse(landed(page), options)]


def parsed(body: bytes, options: StripeOptions = OPTIONS, request: Mapping[str, str] | None = None) -> list[Item]:
    channel = "webhook" if request is None else "fetch"
    return list(CONNECTOR.parse(Delivery(channel=channel, body=body, received_at=NOW, request=request or {}), options))


def pushed(event: Mapping[str, Any], options: StripeOptions = OPTIONS) -> list[Item]:
    return parsed(written(event), options)
