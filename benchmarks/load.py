"""The load program: signed webhooks, or one request again and again, as fast as answered or at a steady rate.

Everything is rendered and signed before the clock starts, and an answer is looked at as bytes, so that the program
costs little beside what it measures; it says what it cost. Run as a program it takes its orders as lines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from benchmarks import children
from benchmarks.office import Hook
from benchmarks.plan import NARROW
from connectors.signatures import sign_standard_webhooks
from service import context as contexts
from service.context import Context

_LENGTH = b"content-length:"
_SUBJECTS = 5_000
_DAYS = 28
_BEGIN = datetime(2026, 7, 1, tzinfo=UTC)


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: ``requests`` at the most over ``connections``; with a ``rate`` so many a second, else all they can.

    A ``wire`` is sent as it is, again and again, in place of webhooks; ``well`` is how a good answer begins. ``warm``
    seconds are not counted, ``seconds`` after them are.
    """

    port: int
    hooks: tuple[Hook, ...] = ()
    wire: str | None = None
    well: str = "HTTP/1.1 200"
    connections: int
    requests: int
    warm: float
    seconds: float
    rate: float | None = None
    name: str


def message(number: int) -> bytes:
    """Return the body of a message: eight numbers of a day of a post, read a millisecond after those before."""
    day = f"2026-06-{number % _DAYS + 1:02}"
    numbers = {key: number % 1009 + place for place, key in enumerate(NARROW)}
    data = {"subject": f"post-{number % _SUBJECTS}", "day": day, "metrics": numbers}
    at = _BEGIN + timedelta(milliseconds=number)
    return msgspec.json.encode({"type": "tallybook.period", "timestamp": at, "data": data})


def request(hook: Hook, name: str, body: bytes, context: Context) -> bytes:
    """Return a signed request as it goes over the wire."""
    signed = sign_standard_webhooks(hook.secret, name, context.now(), body)
    fixed = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    lines = [f"POST {hook.path} HTTP/1.1", *(f"{key}: {value}" for key, value in (fixed | signed).items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _is_whole(answer: bytes) -> bool:
    """Tell whether an answer is there to its end; its head is looked at as it comes, and in lower case if need be."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    place = answer.find(_LENGTH, 0, end)
    if place < 0:
        place = answer.lower().find(_LENGTH, 0, end)
    length = int(answer[place + len(_LENGTH) : answer.find(b"\r\n", place)]) if place >= 0 else 0
    return len(answer) - end - 4 >= length


class Sender(asyncio.Protocol):
    """One connection: one request at a time, the next as soon as it is answered."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._begun = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._run.free(self)

    def send(self, wire: bytes) -> None:
        """Send a request."""
        self._begun = self._run.clock()
        if self._transport is not None:
            self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        run, answer = self._run, self._buffer + data if self._buffer else data
        if not _is_whole(answer):
            self._buffer = answer
            return
        self._buffer = b""
        if run.counting:
            run.answered(run.clock() - self._begun, well=answer.startswith(run.well))
        run.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost += 1


class Run:
    """What is sent and what came back."""

    def __init__(self, orders: Orders, wires: Sequence[bytes]) -> None:
        self._wires = deque(wires)
        self._idle: deque[Sender] = deque()
        self._rate = orders.rate
        self.well = orders.well.encode()
        self.clock = contexts.real().monotonic
        self.counting = False
        self.going = False
        self.latencies: list[float] = []
        self.failed = 0
        self.lost = 0
        self.late = 0

    def free(self, sender: Sender) -> None:
        """A connection may send: it does, or waits for its turn."""
        if self.going and self._rate is None and self._wires:
            sender.send(self._wires.popleft())
        else:
            self._idle.append(sender)

    def answered(self, seconds: float, *, well: bool) -> None:
        """Count an answer."""
        if well:
            self.latencies.append(seconds)
        else:
            self.failed += 1

    def go(self) -> None:
        """Let every connection send."""
        self.going = True
        if self._rate is None:
            for _ in range(len(self._idle)):
                self.free(self._idle.popleft())

    async def keep_pace(self) -> None:
        """Send at the rate, whatever is answered; what finds no free connection goes later and is counted as late."""
        begun, sent = self.clock(), 0
        while self._rate is not None and self._wires:
            due = int((self.clock() - begun) * self._rate)
            while sent < due and self._wires:
                if not self._idle:
                    self.late += 1
                    break
                self._idle.popleft().send(self._wires.popleft())
                sent += 1
            await asyncio.sleep(0.001)

    @property
    def is_spent(self) -> bool:
        """Tell whether there is nothing left to send."""
        return not self._wires


async def run(orders: Orders, wires: Sequence[bytes]) -> dict[str, Any]:
    """Send; return rate, latencies in milliseconds, and what sending cost."""
    loop, sending = asyncio.get_running_loop(), Run(orders, wires)
    made = [
        await loop.create_connection(lambda: Sender(sending), "127.0.0.1", orders.port)
        for _ in range(orders.connections)
    ]
    sending.go()
    pace = asyncio.create_task(sending.keep_pace())
    await asyncio.sleep(orders.warm)
    cpu, begun, sending.counting = children.usage()["cpu"], sending.clock(), True
    await asyncio.sleep(orders.seconds)
    sending.counting, seconds = False, sending.clock() - begun
    cpu = children.usage()["cpu"] - cpu
    pace.cancel()
    spent = sending.is_spent
    for transport, _ in made:
        transport.abort()
    ranked = sorted(sending.latencies) or [0.0]
    return {
        "rate": len(sending.latencies) / seconds,
        "p50_ms": ranked[len(ranked) // 2] * 1000,
        "p99_ms": ranked[len(ranked) * 99 // 100] * 1000,
        "failed": sending.failed + (sending.lost if not spent else 0),
        "late": sending.late,
        "spent": spent,
        "cpu_share": cpu / seconds,
    }


async def _main() -> None:
    context = contexts.real()
    children.answer(ready=True)
    while (line := await children.heard()) is not None:
        orders = msgspec.convert(line, Orders)
        children.answer(**await run(orders, _wires(orders, context)))


def _wires(orders: Orders, context: Context) -> list[bytes]:
    if orders.wire is not None:
        return [orders.wire.encode()] * orders.requests
    return [
        request(orders.hooks[number % len(orders.hooks)], f"{orders.name}-{number}", message(number), context)
        for number in range(orders.requests)
    ]


def main() -> None:
    """Obey until the starter has no more orders."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_main())


if __name__ == "__main__":
    main()
