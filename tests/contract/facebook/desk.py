"""What the tests of the Facebook connector share: a source, a fetch against the fake, and readings of pages."""

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
from connectors.facebook import CONNECTOR
from connectors.facebook_account import FacebookOptions
from connectors.http import PlatformHttp
from tests.fakes import graph
from tests.fakes.facebook import ACCOUNT, FakeFacebook
from tests.fakes.graph import TOKEN

RECORDINGS = Path(__file__).parents[2] / "recordings" / "facebook"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
VERIFY_TOKEN = "chosen-by-me"
OPTIONS = FacebookOptions()
PROFILE = SubjectRef(ACCOUNT, SubjectType.PROFILE)


def source(options: FacebookOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=APP_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "verify_token": VERIFY_TOKEN}
    return Source(
        id="src_1", platform="facebook", account=ACCOUNT, options=options, credentials=credentials, secrets=ring
    )


def task(kind: str, *subjects: SubjectRef, **more: object) -> Task:
    return msgspec.structs.replace(Task(kind=kind, source=source(), subjects=subjects), **more)


def client(fake: FakeFacebook) -> PlatformHttp:
    return graph.client(fake)


async def fetch(fake: FakeFacebook, wanted: Task) -> list[Page]:
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
    return SubjectRef(f"{ACCOUNT}_{number}", SubjectType.POST)


def video(number: int | str) -> SubjectRef:
    return SubjectRef(f"{ACCOUNT}_{number}", SubjectType.VIDEO)


def reel(found: str) -> SubjectRef:
    return SubjectRef(found, SubjectType.REEL)
