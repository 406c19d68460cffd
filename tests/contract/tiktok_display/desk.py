"""What the tests of the Display API connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import Delivery, Item, Page, Secret, Source, SubjectRef, SubjectType, Task
from connectors.http import Limits, PlatformHttp, new_client
from connectors.tiktok_display import CONNECTOR, TiktokDisplayOptions
from tests.contract.reading import Reader
from tests.fakes.tiktok_display import ACCOUNT, HOST, TOKEN, FakeDisplay
from tests.fakes.wire import transport

RECORDINGS = Path(__file__).parents[2] / "recordings" / "tiktok_display"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "client-secret-0123456789"
OPTIONS = TiktokDisplayOptions()
PROFILE = SubjectRef(ACCOUNT, SubjectType.PROFILE)


def source(secrets: tuple[Secret, ...] | None = None, account: str = ACCOUNT) -> Source:
    ring = (Secret(value=APP_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN}
    return Source(
        id="src_1", platform="tiktok", account=account, options=OPTIONS, credentials=credentials, secrets=ring
    )


_READER = Reader(connector=CONNECTOR, source=source, now=NOW)
task = _READER.task


def client(fake: FakeDisplay) -> PlatformHttp:
    async def no_sleep(_: float) -> None:
        return

    return PlatformHttp(
        new_client(transport=transport(fake)),
        HOST,
        token=TOKEN,
        now=lambda: fake.now,
        uniform=lambda: 0.5,
        limits=Limits(attempts=2),
        sleep=no_sleep,
    )


async def fetch(fake: FakeDisplay, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def read(pages: Iterable[Page]) -> list[Item]:
    return [
        item
        for page in pages
        for item in CONNECTOR.parse(
            Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request), OPTIONS
        )
    ]


def parsed(body: bytes, request: Mapping[str, str]) -> list[Item]:
    delivery = Delivery(channel="fetch", body=body, received_at=NOW, request={"account": ACCOUNT, **request})
    return list(CONNECTOR.parse(delivery, OPTIONS))


def video(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.VIDEO)
