"""What the tests of the X connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from connectors.contract import (
    Delivery,
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
from connectors.x import CONNECTOR
from connectors.x_account import XOptions
from tests.contract.reading import landed
from tests.fakes.wire import transport
from tests.fakes.x import ACCOUNT, CONSUMER_SECRET, HOST, TOKEN, FakeX

RECORDINGS = Path(__file__).parents[2] / "recordings" / "x"
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
OWNER = XOptions()
PUBLIC = XOptions(access="public")
PROFILE = SubjectRef(ACCOUNT, SubjectType.PROFILE)


def source(options: XOptions = OWNER, secrets: tuple[Secret, ...] | None = None) -> Source:
    ring = (Secret(value=CONSUMER_SECRET),) if secrets is None else secrets
    credentials = {"access_token": TOKEN, "refresh_token": "refresh-secret"}
    return Source(id="src_1", platform="x", account=ACCOUNT, options=options, credentials=credentials, secrets=ring)


def task(kind: str, *subjects: SubjectRef, options: XOptions = OWNER, **more: object) -> Task:
    return msgspec.structs.replace(Task(kind=kind, source=source(options), subjects=subjects), **more)


def client(fake: FakeX, heard: list[Response] | None = None, token: str = TOKEN) -> PlatformHttp:
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


async def fetch(fake: FakeX, wanted: Task, token: str = TOKEN) -> list[Page]:
    return [page async for page in CONNECTOR.fetch(client(fake, token=token), wanted, fake.now)]


def read(pages: Iterable[Page], options: XOptions = OWNER) -> list[Item]:
    return [item for page in pages for item in CONNECTOR.parse(landed(page), options)]


def recorded(name: str, options: XOptions = OWNER, **request: str) -> list[Item]:
    """Return the items of a recording, as the page that ``request`` describes or as a push where it says nothing."""
    body = (RECORDINGS / f"{name}.json").read_bytes()
    return parsed(body, {"account": ACCOUNT, **request} if request else None, options)


def parsed(body: bytes, request: Mapping[str, str] | None = None, options: XOptions = OWNER) -> list[Item]:
    channel = "webhook" if request is None else "fetch"
    delivery = Delivery(channel=channel, body=body, received_at=NOW, request=request or {})
    return list(CONNECTOR.parse(delivery, options))


def post(identifier: str) -> SubjectRef:
    return SubjectRef(identifier, SubjectType.POST)
