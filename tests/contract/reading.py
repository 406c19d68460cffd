"""What tests of every connector do: make tasks, fetch from a fake, read pages and bodies, and pick items by kind.

A connector's own desk has its source, its client and what only its platform has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from connectors.contract import (
    Connector,
    Conversion,
    Delivery,
    Drop,
    Http,
    Item,
    Observation,
    Page,
    Source,
    SubjectRef,
    SubjectSeen,
    Task,
    WebhookRequest,
)

RECORDINGS = Path(__file__).parents[1] / "recordings"


class Fake(Protocol):
    """A fake platform, which has a clock."""

    @property
    def now(self) -> datetime: ...


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """One connector with plain options, at the instant at which its tests take place. ``client`` reaches a fake."""

    connector: Connector
    source: Callable[[], Source]
    now: datetime
    client: Callable[[Any], Http] | None = None

    async def fetch(self, fake: Fake, wanted: Task) -> list[Page]:
        """Return the pages of a task."""
        assert self.client is not None
        return [page async for page in self.connector.fetch(self.client(fake), wanted, fake.now)]

    def recorded(self, name: str, **request: str) -> list[Item]:
        """Return the items of a recording: of the account's page that ``request`` describes, or of a push."""
        body = (RECORDINGS / self.connector.name / f"{name}.json").read_bytes()
        return self.parsed(body, {"account": self.source().account, **request} if request else None)

    def task(self, kind: str, *subjects: SubjectRef, **more: object) -> Task:
        return msgspec.structs.replace(Task(kind=kind, source=self.source(), subjects=subjects), **more)

    def read(self, pages: Iterable[Page]) -> list[Item]:
        """Return the items of fetched pages."""
        return [item for page in pages for item in self._items(landed(page))]

    def parsed(self, body: bytes, request: Mapping[str, str] | None = None) -> list[Item]:
        """Return the items of a body: of the page that ``request`` describes, or of a push without one."""
        channel = "webhook" if request is None else "fetch"
        return self._items(Delivery(channel=channel, body=body, received_at=self.now, request=request or {}))

    def _items(self, delivery: Delivery) -> list[Item]:
        return list(self.connector.parse(delivery, self.source().options))


def landed(page: Page) -> Delivery:
    return Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request)


def pushed(body: bytes, headers: Mapping[str, str], method: str = "POST", **query: str) -> WebhookRequest:
    return WebhookRequest(method=method, headers=headers, query=query, body=body)


# ------------------------------------------------------------------------------------------------ items


def observations(items: Iterable[Item]) -> list[Observation]:
    return [item for item in items if isinstance(item, Observation)]


def counting(items: Iterable[Item]) -> list[tuple[SubjectRef, dict[str, int]]]:
    """Return what counts, uniques apart."""
    return [(one.subject, one.metrics) for one in observations(items) if not one.check and one.kind != "unique"]


def counted(items: Iterable[Item]) -> dict[str, int]:
    """Return the sums of what counts, by metric."""
    found: dict[str, int] = {}
    for one in observations(items):
        for key, value in one.metrics.items() if not one.check else ():
            found[key] = found.get(key, 0) + value
    return found


def conversions(items: Iterable[Item]) -> list[Conversion]:
    return [item for item in items if isinstance(item, Conversion)]


def only(items: Iterable[Item]) -> Conversion:
    """Return the one conversion among items."""
    (found,) = conversions(items)
    return found


def sight(items: Iterable[Item]) -> list[SubjectSeen]:
    return [item for item in items if isinstance(item, SubjectSeen)]


def drops(items: Iterable[Item]) -> list[tuple[str, str]]:
    return [(item.reason.value, item.detail) for item in items if isinstance(item, Drop)]
