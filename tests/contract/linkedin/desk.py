"""What the tests of the LinkedIn connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import (
    Item,
    Page,
    Response,
    Secret,
    Source,
    SubjectRef,
    SubjectType,
    Task,
)
from connectors.http import Limits, PlatformHttp, new_client
from connectors.linkedin import CONNECTOR
from connectors.linkedin_account import LinkedInOptions
from tests.contract.reading import Reader
from tests.fakes.linkedin import CLIENT_SECRET, HOST, NUMBER, ORGANISATION, TOKEN, FakeLinkedIn
from tests.fakes.wire import transport

RECORDINGS = Path(__file__).parents[2] / "recordings" / "linkedin"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
OPTIONS = LinkedInOptions()
PROFILE = SubjectRef(ORGANISATION, SubjectType.PROFILE)


def source(options: LinkedInOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=CLIENT_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "refresh_token": "refresh-secret"}
    return Source(
        id="src_1", platform="linkedin", account=NUMBER, options=options, credentials=credentials, secrets=ring
    )


_READER = Reader(connector=CONNECTOR, source=source, now=NOW)
parsed, read, task = _READER.parsed, _READER.read, _READER.task


def client(fake: FakeLinkedIn, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
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


async def fetch(fake: FakeLinkedIn, wanted: Task) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake), wanted, fake.now)]


def recorded(name: str, **request: str) -> list[Item]:
    """Return the items of a recording, as the page that ``request`` describes or as a push where it says nothing."""
    body = (RECORDINGS / f"{name}.json").read_bytes()
    return parsed(body, {"account": ORGANISATION, **request} if request else None)


def post(urn: str) -> SubjectRef:
    return SubjectRef(urn, SubjectType.POST)
