"""Processes that a benchmark starts, speaks with in lines of JSON, and ends by their own handle."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.ground import ROOT

_PATIENCE = 1800.0
_STOP_SECONDS = 10.0
_MIB = 1024
_LONGEST_LINE = 64 * 1024 * 1024


class ChildFailed(Exception):  # noqa: N818 - reads as what happened
    """A process ended before it answered."""


class Child:
    """A process that answers each line with a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def number(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def require_alive(self) -> None:
        """Raise :class:`ChildFailed` when the process has ended."""
        if self._process.returncode is not None:
            raise ChildFailed(f"a process ended with {self._process.returncode}")

    async def ask(self, **question: Any) -> dict[str, Any]:
        """Send a question and return the answer. Raises :class:`ChildFailed`."""
        self.tell(**question)
        return await self.hear()

    def tell(self, **message: Any) -> None:
        """Send a line."""
        if self._process.stdin is not None:
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def hear(self) -> dict[str, Any]:
        """Wait for a line. Raises :class:`ChildFailed`."""
        if self._process.stdout is None:
            raise ChildFailed("no output to listen to")
        async with asyncio.timeout(_PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"a process ended with {await self._process.wait()}")
        found: dict[str, Any] = msgspec.json.decode(line)
        return found


@asynccontextmanager
async def child(
    *words: str,
    python: str | Path = sys.executable,
    environ: Mapping[str, str] | None = None,
    listens: bool = True,
) -> AsyncIterator[Child]:
    """Start an interpreter with arguments; end it with the block. Who ``listens`` ends when its input does."""
    process = await asyncio.create_subprocess_exec(
        str(python),
        *words,
        cwd=ROOT,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    try:
        yield Child(process)
    finally:
        await _end(process, listens=listens)


async def _end(process: asyncio.subprocess.Process, *, listens: bool) -> None:
    """Close the input, which ends who listens to it; whoever does not is told by signals."""
    if process.stdin is not None:
        process.stdin.close()
    for stop in ((None,) if listens else ()) + (process.terminate, process.kill):
        if process.returncode is not None:
            return
        if stop is not None:
            with suppress(ProcessLookupError):
                stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()


# ------------------------------------------------------------------------------------------------ inside a child


async def heard() -> dict[str, Any] | None:
    """Return the next line that the starter sent, or None when there will be no more."""
    line = await asyncio.to_thread(sys.stdin.readline)
    return msgspec.json.decode(line) if line else None


def answer(**message: Any) -> None:
    """Send a line to the starter."""
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def usage() -> dict[str, float]:
    """Return what this process has taken: CPU seconds, and MB of memory at the most.

    The most that a process has had is asked of its own memory: that of ``getrusage`` begins with what its parent had.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    most = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return {"cpu": used.ru_utime + used.ru_stime, "rss_mb": most / _MIB}
