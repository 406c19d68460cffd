"""The patience of the HTTP server with a connection: uvicorn has a limit for idle connections and for nothing else.

A connection that does not complete the head of a request in time, drips a body, reads no answer, or is one too many is
closed. What a route makes of a body's size and pace is the application's business and comes first.
"""

from __future__ import annotations

import asyncio
import enum
from asyncio.events import TimerHandle
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one server. Times are seconds.

    ``head`` and ``body`` are absolute, whatever has arrived meanwhile; ``head_bytes`` is checked between two readings
    of the socket. ``linger`` is how long the rest of a body is thrown away after its answer, ``write`` how long an
    answer waits for a client that takes nothing. ``keep_alive`` is between requests. ``announce`` is how long a server
    that was told to stop says so on ``/readyz`` before it takes no more connections, ``stop`` how long it then waits
    for answers to be complete.
    """

    connections: int = 1000
    backlog: int = 1024
    head: float = 10.0
    head_bytes: int = 64 * 1024
    body: float = 660.0
    linger: float = 5.0
    write: float = 60.0
    keep_alive: int = 15
    announce: float = 0.0
    stop: int = 20


class _Phase(enum.Enum):
    """Where a connection is in its present request."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


class PatientProtocol(HttpToolsProtocol):
    """One connection, with deadlines."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._phase = _Phase.IDLE
        self._head_size = 0
        self._is_new = True
        self._answered_at = 0.0
        self._deadline: TimerHandle | None = None
        self._stuck: TimerHandle | None = None

    # -------------------------------------------------------------------------------------------- connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "too many connections")
            return
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self._unstick()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._phase is _Phase.IDLE and not self._is_answering():
            # Before the parser sees a request: line ends between requests begin none for it.
            self._begin_head()
        self._is_new = False
        self._head_size += len(data)
        super().data_received(data)
        if self._phase is _Phase.HEAD and self._head_size > self.limits.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "malformed", "the head of the request is too long")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request; uvicorn calls this."""
        self._refuse(HTTPStatus.BAD_REQUEST, "malformed", "this is no HTTP request")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unstick()
        self._stuck = self.loop.call_later(self.limits.write, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unstick()

    # -------------------------------------------------------------------------------------------- request

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._phase is not _Phase.HEAD:
            self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is _Phase.HEAD:  # what follows a chunked body is counted nowhere and read by nobody
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._phase = _Phase.BODY
        self._head_size = 0
        self._wait(self.limits.body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.IDLE
        self._rest()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is _Phase.BODY and not self._is_answering():
            self._wait(self.limits.linger)

    # -------------------------------------------------------------------------------------------- deadlines

    def _begin_head(self) -> None:
        self._phase = _Phase.HEAD
        self._head_size = 0
        self._wait(self.limits.head)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that has been idle for long enough; the timer may be older than the last answer."""
        idle = 0.0 if self._is_answering() else self.loop.time() - self._answered_at
        if idle < self.timeout_keep_alive:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive - idle, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _rest_between(self) -> None:
        """Wait for the next request, and for nothing else."""
        self._rest()
        self._phase = _Phase.IDLE

    def _wait(self, seconds: float) -> None:
        self._rest()
        self._deadline = self.loop.call_later(seconds, self._is_late)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _is_answering(self) -> bool:
        """Tell whether the newest request has no complete answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_between(self) -> bool:
        """Tell whether the next byte begins a request, and all before it are answered."""
        if self.transport.is_closing() or self._is_answering():
            return False
        return self._phase is _Phase.IDLE or self._is_new

    def _is_late(self) -> None:
        if self.flow.read_paused or (self._phase is _Phase.HEAD and self._is_answering()):
            # Nobody reads on this side, or an answer is under way that must not be cut: the client is not to blame.
            self._wait(1.0)
            return
        self.transport.abort()

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Answer without the application and close."""
        body = _problem(status, code, detail)
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "content-type: application/problem+json",
            f"content-length: {len(body)}",
            "connection: close",
            *(("retry-after: 1",) if status is HTTPStatus.SERVICE_UNAVAILABLE else ()),
            "",
            "",
        )
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()


def _problem(status: HTTPStatus, code: str, detail: str) -> bytes:
    problem = {"type": f"/problems/{code}", "title": status.phrase, "status": status.value, "detail": detail}
    return msgspec.json.encode(problem | {"code": code})
