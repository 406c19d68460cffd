"""A short way through the HTTP server: a request that has arrived whole may be answered without a task of its own.

What answers a kind of request by the thousand is a :class:`~service.api.direct.Direct`: it gets the request when the
body is complete, and answers by a call, at once or later. Every other request goes the way of ASGI, and so does one
that is not taken, whose body does not come soon, or that asks for more than an answer. What arrives in one piece and
in plain words (:mod:`service.serve_plain`) is not even shown to the parser.
"""

from __future__ import annotations

from asyncio.events import TimerHandle
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, ClassVar, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from service.api.direct import Asked, Direct, Headers
from service.api.webhooks import headers_of
from service.serve_plain import plain
from service.serve_protocol import Limits, PatientProtocol

SOON = 0.05
"""Seconds that a body may take for the direct way; many senders write it after the head."""


def direct_protocol(limits: Limits, direct: Direct | None) -> type[PatientProtocol]:
    """Return a protocol class for a uvicorn configuration."""
    if direct is None:
        return type("BoundedProtocol", (PatientProtocol,), {"limits": limits})
    return type("DirectBoundedProtocol", (DirectProtocol,), {"limits": limits, "direct": direct})


class _Silent:
    """In the place of an event that nobody waits for."""

    def set(self) -> None:
        """Tell nobody."""


class _Turn:
    """A request that the parser has not seen, as uvicorn looks at the cycle of one: complete but for its answer."""

    __slots__ = (
        "default_headers",
        "disconnected",
        "keep_alive",
        "on_response",
        "response_complete",
        "response_started",
    )
    message_event: ClassVar[_Silent] = _Silent()

    def __init__(self, default_headers: list[tuple[bytes, bytes]], on_response: Callable[[], None]) -> None:
        self.default_headers = default_headers
        self.on_response = on_response
        self.keep_alive = True
        self.disconnected = self.response_started = self.response_complete = False


class DirectProtocol(PatientProtocol):
    """One connection, with deadlines and a direct way."""

    direct: ClassVar[Direct]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._held: tuple[RequestResponseCycle, Any] | None = None
        self._may_hold = False
        self._soon: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        asked = plain(data) if self._is_between() else None
        if asked is not None and self._is_taken_whole(asked):
            return
        # What was offered whole is not offered again.
        self._may_hold = asked is None
        super().data_received(data)
        self._may_hold = False
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
        scope = _scope(cycle)
        is_open = self._may_hold and not cycle.waiting_for_100_continue
        if is_open and self.direct.wants(scope["method"], scope["path"]):
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
        scope = _scope(cycle)
        asked = Asked(
            path=scope["path"], query=scope["query_string"], headers=headers_of(scope), body=bytes(cycle.body)
        )
        return self.direct.take(asked, partial(self._answer, cycle))

    def _is_taken_whole(self, asked: Asked) -> bool:
        """Take a request in the place of the parser; nothing has happened if it is not taken."""
        if self.flow.write_paused or not self.direct.wants("POST", asked.path):
            return False
        turn = _Turn(self.server_state.default_headers, self._turn_over)
        before, self.cycle = self.cycle, cast("RequestResponseCycle", turn)
        if self.direct.take(asked, partial(self._answer, turn)):
            self._rest_between()
            return True
        self.cycle = before
        return False

    def _turn_over(self) -> None:
        """Go on after an answer; without a new timer, if nothing waits and the old one can look again."""
        if self.pipeline or self.flow.read_paused or self.timeout_keep_alive_task is None:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()

    def _answer(
        self, cycle: RequestResponseCycle | _Turn, status: int, alike: Headers, own: Headers, body: bytes
    ) -> None:
        """Write an answer as the cycle itself would."""
        if cycle.disconnected:
            return
        try:
            lines = _lines(tuple(cycle.default_headers)) + _lines(alike) + _rendered(own)
        except ValueError:
            self.transport.close()
            raise
        if not cycle.keep_alive:
            lines += b"connection: close\r\n"
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()


def _rendered(headers: Headers) -> bytes:
    """Return headers as they go over the wire. Raises :class:`ValueError` for what would be more than one line."""
    if HEADER_VALUE_RE.search(b" ".join([value for _, value in headers])):
        raise ValueError("a header with control characters")
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


_lines = lru_cache(maxsize=256)(_rendered)


def _scope(cycle: RequestResponseCycle) -> Scope:
    return cast("Scope", cycle.scope)
