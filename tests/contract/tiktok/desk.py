"""What the tests of the TikTok connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import (
    Delivery,
    Item,
    Response,
    Secret,
    Source,
    SubjectRef,
    SubjectType,
)
from connectors.http import PlatformHttp
from connectors.tiktok import CONNECTOR
from connectors.tiktok_account import TiktokOptions
from tests.contract.reading import Reader
from tests.fakes import wire
from tests.fakes.tiktok import ACCOUNT, APP_ID, HOST, TOKEN, FakeTiktok

RECORDINGS = Path(__file__).parents[2] / "recordings" / "tiktok"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
APP_SECRET = "app-secret-0123456789"
CALLBACK = "https://books.example/v1/webhooks/s3cr3t-address-of-this-source"
OPTIONS = TiktokOptions()
PROFILE = SubjectRef(ACCOUNT, SubjectType.PROFILE)


def source(secrets: tuple[Secret, ...] | None = None, account: str = ACCOUNT) -> Source:
    ring = (Secret(value=APP_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "app_id": APP_ID, "callback": CALLBACK}
    return Source(
        id="src_1", platform="tiktok", account=account, options=OPTIONS, credentials=credentials, secrets=ring
    )


def client(fake: FakeTiktok, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
    return wire.client(fake, HOST, token, heard, header=CONNECTOR.auth.header, scheme=CONNECTOR.auth.scheme)


_READER = Reader(connector=CONNECTOR, source=source, now=NOW, client=client)
read, task, fetch = _READER.read, _READER.task, _READER.fetch


def parsed(body: bytes, request: Mapping[str, str] | None = None) -> list[Item]:
    channel = "webhook" if request is None else "fetch"
    asked = {} if request is None else {"account": ACCOUNT, **request}
    delivery = Delivery(channel=channel, body=body, received_at=NOW, request=asked)
    return list(CONNECTOR.parse(delivery, OPTIONS))


def video(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.VIDEO)


def photo(name: str) -> SubjectRef:
    return SubjectRef(name, SubjectType.POST)
