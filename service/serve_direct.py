"""A short way through the HTTP server: a request that has arrived whole may be answered without a task of its own.

What answers a kind of request by the thousand is a :class:`~service.api.direct.Direct`: it gets the request when the
body is complete, and answers by a call, at once or later. Every other request goes the way of ASGI, and so does one
that is not taken, whose body does not come soon, or that asks for more than an answer.
"""

from __future__ import annotations

from asyncio.events import TimerHandle
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from service.api.direct import Direct
from service.serve_protocol import Limits, PatientProtocol

SOON = 0.05
"""Seconds that a body may take for the direct way; many senders write it after the head."""


def direct_protocol(limits: Limits, direct: Direct | None) -> type[PatientProtocol]:
    """Return a protocol class for a uvicorn configuration."""
    if direct is None:
        return type("BoundedProtocol", (PatientProtocol,), {"limits": limits})
    return type("DirectBoundedProtocol", (DirectProtocol,), {"limits": limits, "direct": direct})


class DirectProtocol(PatientProtocol):
    """One connection, with deadlines and a direct way."""

    direct: ClassVar[Direct]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._held: tuple[RequestResponseCycle, Any] | None = None
        self._is_parsing = False
        self._soon: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self._is_parsing = True
        super().data_received(data)
        self._is_parsing = False
        if self._held is None:
            return
        if not self._held[0].more_body or self.flow.read_paused:
            self._release()
        elif self._soon is None:
            self._soon = self.loop.call_later(SOON, self._release)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Hold a request that may go the direct way until its body is there; uvicorn calls this after the head.

        What waited behind another request is started outside of the parser, and goes the way of ASGI.
        """
        if self._is_parsing and not cycle.waiting_for_100_continue and self.direct.wants(_scope(cycle)):
            self._held = (cycle, app)
        else:
            super()._start_asgi_task(cycle, app)

    def _release(self) -> None:
        """Answer the request that is held, or hand it to the application."""
        if self._held is None:
            return
        (cycle, app), self._held = self._held, None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if not self._is_taken(cycle):
            super()._start_asgi_task(cycle, app)

    def _is_taken(self, cycle: RequestResponseCycle) -> bool:
        if cycle.more_body or self.flow.write_paused or self.transport.is_closing():
            return False
        return self.direct.take(_scope(cycle), bytes(cycle.body), partial(self._answer, cycle))

    def _answer(
        self, cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Write an answer as the cycle itself would."""
        if cycle.disconnected:
            return
        if HEADER_VALUE_RE.search(b" ".join([value for _, value in headers])):
            self.transport.close()
            raise ValueError("a header with control characters")
        lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *headers)]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], b"".join(lines), body))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()


def _scope(cycle: RequestResponseCycle) -> Scope:
    return cast("Scope", cycle.scope)
