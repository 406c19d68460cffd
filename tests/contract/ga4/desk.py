"""What the tests of the GA4 connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from connectors.contract import Delivery, Item, Observation, Page, Response, Source, SubjectSeen, Task
from connectors.ga4 import CONNECTOR
from connectors.ga4_property import Ga4Options
from connectors.http import Limits, PlatformHttp, new_client
from tests.fakes.ga4 import HOST, PROPERTY, TOKEN, FakeGa4
from tests.fakes.wire import transport

RECORDINGS = Path(__file__).parents[2] / "recordings" / "ga4"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
OPTIONS = Ga4Options()
REQUEST = {"page": "link_days", "property": PROPERTY, "zone": "Europe/Berlin"}


def source(options: Ga4Options = OPTIONS, account: str = PROPERTY) -> Source:
    return Source(id="src_1", platform="ga4", account=account, options=options, credentials={"access_token": TOKEN})


def task(days: int = 3, **more: Any) -> Task:
    whole = Task(kind="link_days", source=source(), start=NOW - timedelta(days=days), end=NOW)
    return msgspec.structs.replace(whole, **more)


def client(fake: FakeGa4, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
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


async def fetch(fake: FakeGa4, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def read(pages: Iterable[Page], options: Ga4Options = OPTIONS) -> list[Item]:
    return [item for page in pages for item in parsed(page.body, options, page.received_at, **page.request)]


def parsed(body: bytes, options: Ga4Options = OPTIONS, at: datetime = NOW, **request: str) -> list[Item]:
    delivery = Delivery(channel="fetch", body=body, received_at=at, request={**REQUEST, **request})
    return list(CONNECTOR.parse(delivery, options))


def recorded(name: str = "link_days", options: Ga4Options = OPTIONS, **changes: Any) -> list[Item]:
    """Return the items of a recording in which top-level keys were changed."""
    body = json.loads((RECORDINGS / f"{name}.json").read_bytes())
    return parsed(json.dumps({**body, **changes}).encode(), options)


def observations(items: Iterable[Item], key: str = "") -> list[Observation]:
    return [item for item in items if isinstance(item, Observation) and (not key or key in item.metrics)]


def links(items: Iterable[Item]) -> list[SubjectSeen]:
    return [item for item in items if isinstance(item, SubjectSeen)]


def newest(items: Iterable[Item], key: str) -> dict[tuple[str, date | None], int]:
    """Return what one metric says by link and day; what was read again has its newest number."""
    return {
        (one.subject.external_id.partition("/")[2], one.window.day if one.window else None): one.metrics[key]
        for one in observations(items, key)
    }
