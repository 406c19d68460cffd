"""The command line, called in this process against a test's database; some calls need a process of their own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from connectors.synthetic_platform import Platform
from connectors.synthetic_world import World
from service import cli, serve, telemetry
from service.serve_protocol import Limits

MASTER = base64.b64encode(b"k" * 32).decode()
ROOT = Path(__file__).resolve().parents[3]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a call said and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def word(self) -> str:
        """The one line of an error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("tallybook: "), self.err
        return lines[0].removeprefix("tallybook: ")


class Tallybook:
    """Calls commands in this process. Logging stays as it is: a logger that was set up for one test outlives it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> Result:
        self._capsys.readouterr()
        with capture_logs():
            ended = cli.main(list(arguments))
        said = self._capsys.readouterr()
        result = Result(code=ended, out=said.out, err=said.err)
        assert result.code == code, result
        return result

    def workspace(self, name: str = "Acme") -> str:
        made: str = self("workspace", "create", name, "--json").json()["id"]
        return made


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TALLYBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TALLYBOOK_DATABASE_URL", database_url)
    monkeypatch.setenv("TALLYBOOK_MASTER_KEY", MASTER)
    monkeypatch.setenv("TALLYBOOK_DATA_DIR", str(tmp_path / "books"))


@pytest.fixture
def tallybook(
    environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Tallybook]:
    monkeypatch.setattr(telemetry, "configure_logging", lambda _level: None)
    yield Tallybook(capsys)
    structlog.reset_defaults()


def process(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    """Start a command as a process of its own, in this process's environment."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, **streams | more)


def finished(started: subprocess.Popen[str], seconds: float = 120.0) -> Result:
    """Wait for a process to end."""
    out, err = started.communicate(timeout=seconds)
    return Result(code=started.returncode, out=out, err=err)


class Simulated(msgspec.Struct):
    """A simulated platform that runs, and the clock of its world."""

    address: str
    token: str
    world: World
    now: datetime


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    """Run the simulated platform on a port of this machine, in a thread of its own."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - what a platform reports must not be in the future
    world = World(3, now - timedelta(days=20))
    bound = serve.bind("127.0.0.1", 0)
    found = Simulated(address=serve.address_of(bound), token="token-of-the-platform", world=world, now=now)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with serve.answering(Platform(world, lambda: found.now, found.token), bound, Limits()):
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()
