"""What the tests of the Threads connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from connectors.contract import (
    Delivery,
    Drop,
    Item,
    Observation,
    Page,
    Secret,
    Source,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
)
from connectors.http import PlatformHttp
from connectors.threads import CONNECTOR
from connectors.threads_account import ThreadsOptions
from tests.fakes import graph
from tests.fakes.threads import ACCOUNT, HOST, TOKEN, FakeThreads

RECORDINGS = Path(__file__).parents[2] / "recordings" / "threads"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
VERIFY_TOKEN = "chosen-by-me"
OPTIONS = ThreadsOptions()
PROFILE = SubjectRef(ACCOUNT, SubjectType.PROFILE)


def source(options: ThreadsOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=APP_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "verify_token": VERIFY_TOKEN}
    return Source(
        id="src_1", platform="threads", account=ACCOUNT, options=options, credentials=credentials, secrets=ring
    )


def task(kind: str, *subjects: SubjectRef, **more: object) -> Task:
    return msgspec.structs.replace(Task(kind=kind, source=source(), subjects=subjects), **more)


def client(fake: FakeThreads) -> PlatformHttp:
    return graph.client(fake, token=TOKEN, host=HOST)


async def fetch(fake: FakeThreads, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def landed(page: Page) -> Delivery:
    return Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request)


def read(pages: Iterable[Page]) -> list[Item]:
    return [item for page in pages for item in CONNECTOR.parse(landed(page), OPTIONS)]


def recorded(name: str, **request: str) -> list[Item]:
    """Return the items of a recording, as the page that ``request`` describes or as a push where it says nothing."""
    body = (RECORDINGS / f"{name}.json").read_bytes()
    return parsed(body, {"account": ACCOUNT, **request} if request else None)


def parsed(body: bytes, request: Mapping[str, str] | None = None) -> list[Item]:
    channel = "webhook" if request is None else "fetch"
    delivery = Delivery(channel=channel, body=body, received_at=NOW, request=request or {})
    return list(CONNECTOR.parse(delivery, OPTIONS))


def observations(items: Iterable[Item]) -> list[Observation]:
    return [item for item in items if isinstance(item, Observation)]


def counting(items: Iterable[Item]) -> list[tuple[SubjectRef, dict[str, int]]]:
    """Return what counts, uniques apart."""
    return [(one.subject, one.metrics) for one in observations(items) if not one.check and one.kind != "unique"]


def sight(items: Iterable[Item]) -> list[SubjectSeen]:
    return [item for item in items if isinstance(item, SubjectSeen)]


def drops(items: Iterable[Item]) -> list[tuple[str, str]]:
    return [(item.reason.value, item.detail) for item in items if isinstance(item, Drop)]


def post(number: int | str) -> SubjectRef:
    return SubjectRef(str(number))
