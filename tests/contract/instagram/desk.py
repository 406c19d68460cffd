"""What the tests of the Instagram connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import (
    Response,
    Secret,
    Source,
    SubjectRef,
    SubjectType,
)
from connectors.http import PlatformHttp
from connectors.instagram import CONNECTOR
from connectors.instagram_account import InstagramOptions
from tests.contract.reading import Reader
from tests.fakes import graph
from tests.fakes.graph import TOKEN
from tests.fakes.instagram import ACCOUNT, FakeInstagram

RECORDINGS = Path(__file__).parents[2] / "recordings" / "instagram"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
VERIFY_TOKEN = "chosen-by-me"
OPTIONS = InstagramOptions()


def source(options: InstagramOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=APP_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "verify_token": VERIFY_TOKEN}
    return Source(
        id="src_1", platform="instagram", account=ACCOUNT, options=options, credentials=credentials, secrets=ring
    )


def client(fake: FakeInstagram, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
    return graph.client(fake, heard, token)


_READER = Reader(connector=CONNECTOR, source=source, now=NOW, client=client)
parsed, read, task, fetch, recorded = _READER.parsed, _READER.read, _READER.task, _READER.fetch, _READER.recorded


def post(media: str) -> SubjectRef:
    return SubjectRef(media, SubjectType.POST)


def reel(media: str) -> SubjectRef:
    return SubjectRef(media, SubjectType.REEL)


def story(media: str) -> SubjectRef:
    return SubjectRef(media, SubjectType.STORY)


PROFILE = SubjectRef(ACCOUNT, SubjectType.PROFILE)
