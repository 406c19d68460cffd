"""What the tests of the YouTube connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import (
    Item,
    Response,
    Secret,
    Source,
    SubjectRef,
    SubjectType,
)
from connectors.http import PlatformHttp
from connectors.youtube import CONNECTOR
from connectors.youtube_channel import YoutubeOptions
from tests.contract.reading import Reader
from tests.fakes import wire
from tests.fakes.youtube import CHANNEL, HOST, HOSTS, TOKEN, FakeYoutube

RECORDINGS = Path(__file__).parents[2] / "recordings" / "youtube"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SECRET = "a-secret-of-the-feed-0123456789"
CALLBACK = "https://books.example/v1/webhooks/s3cr3t-address-of-this-source"
OPTIONS = YoutubeOptions()
PROFILE = SubjectRef(CHANNEL, SubjectType.PROFILE)


def source(
    options: YoutubeOptions = OPTIONS, secrets: tuple[Secret, ...] | None = None, account: str = CHANNEL
) -> Source:
    ring = (Secret(value=SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "callback": CALLBACK}
    return Source(
        id="src_1", platform="youtube", account=account, options=options, credentials=credentials, secrets=ring
    )


def client(fake: FakeYoutube, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
    return wire.client(fake, HOST, token, heard, hosts=HOSTS, open_hosts=CONNECTOR.open_hosts)


_READER = Reader(connector=CONNECTOR, source=source, now=NOW, client=client)
parsed, read, task, fetch = _READER.parsed, _READER.read, _READER.task, _READER.fetch


def recorded(name: str, **request: str) -> list[Item]:
    return parsed((RECORDINGS / name).read_bytes(), request or None)


def video(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.VIDEO)
