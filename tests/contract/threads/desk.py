"""What the tests of the Threads connector share: a source, a fetch against the fake, and readings of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connectors.contract import (
    Secret,
    Source,
    SubjectRef,
    SubjectType,
)
from connectors.http import PlatformHttp
from connectors.threads import CONNECTOR
from connectors.threads_account import ThreadsOptions
from tests.contract.reading import Reader
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


def client(fake: FakeThreads) -> PlatformHttp:
    return graph.client(fake, token=TOKEN, host=HOST)


_READER = Reader(connector=CONNECTOR, source=source, now=NOW, client=client)
parsed, read, task, fetch, recorded = _READER.parsed, _READER.read, _READER.task, _READER.fetch, _READER.recorded


def post(number: int | str) -> SubjectRef:
    return SubjectRef(str(number))
