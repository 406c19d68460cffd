"""What the tests of the Facebook connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import (
    Item,
    Page,
    Secret,
    Source,
    SubjectRef,
    SubjectType,
    Task,
)
from connectors.facebook import CONNECTOR
from connectors.facebook_account import FacebookOptions
from connectors.http import PlatformHttp
from tests.contract.reading import Reader
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


_READER = Reader(connector=CONNECTOR, source=source, now=NOW)
parsed, read, task = _READER.parsed, _READER.read, _READER.task


def client(fake: FakeFacebook) -> PlatformHttp:
    return graph.client(fake)


async def fetch(fake: FakeFacebook, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def recorded(name: str, **request: str) -> list[Item]:
    """Return the items of a recording, as the page that ``request`` describes or as a push where it says nothing."""
    body = (RECORDINGS / f"{name}.json").read_bytes()
    return parsed(body, {"account": ACCOUNT, **request} if request else None)


def post(number: int | str) -> SubjectRef:
    return SubjectRef(f"{ACCOUNT}_{number}", SubjectType.POST)


def video(number: int | str) -> SubjectRef:
    return SubjectRef(f"{ACCOUNT}_{number}", SubjectType.VIDEO)


def reel(found: str) -> SubjectRef:
    return SubjectRef(found, SubjectType.REEL)
