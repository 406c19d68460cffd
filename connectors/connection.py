"""One connection to a platform: a request goes out, the answer is parsed as it comes.

The parser is the one of the server side (llhttp), without its leniencies: what is no plain HTTP/1.1 is refused, and so
is what leaves in doubt where an answer ends. Which connection carries a request, and what it costs to open one, is the
business of ``connectors.transport``.
"""

from __future__ import annotations

import asyncio
import re
import select
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MOST_HEAD = 100 * 1024
"""Bytes that may come without any of them being a part of a body: a head, trailers, what stands around chunks."""
_MOST_UNREAD = 256 * 1024
_ENOUGH = 64 * 1024
"""With fewer bytes of a body nobody is woken before its end."""
_VERSIONS = frozenset({"1.0", "1.1"})
_INTERIM = range(100, 200)
_LEAST_STATUS = 100
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Connection(asyncio.Protocol):
    """Carries one request after the other. ``status`` and ``headers`` are those of the answer that was begun last."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._parser: HttpResponseParser | None = None
        self._is_begun = self._is_interim = self._has_head = False
        self._is_whole = self._may_stay = self._ends_with_connection = False
        self._pieces: list[bytes] = []
        self._unread = self._unproductive = self._enough = 0
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._patience = self._heard_at = 0.0

    # -------------------------------------------------------------------------------------------- for the transport

    def send(self, request: bytes) -> None:
        """Begin an exchange: nothing of the one before is left, or the connection would not be here."""
        self.status, self.headers = 0, []
        self._parser = HttpResponseParser(self)
        self._is_begun = self._is_interim = self._has_head = False
        self._is_whole = self._may_stay = self._ends_with_connection = False
        self._unproductive = self._enough = 0
        if self._transport is None or not self._is_open:
            self._fail(httpx.WriteError("the connection is closed"))
            return
        self._transport.write(request)

    async def head(self, patience: float) -> None:
        """Return once status and headers are known. Raises :class:`httpx.TransportError`."""
        while not self._has_head:
            await self._more(patience)

    async def body(self, patience: float) -> AsyncIterator[bytes]:
        """Yield the body as it comes, in few pieces. Raises :class:`httpx.TransportError` where it is not whole."""
        self._enough = _ENOUGH
        while True:
            if self._pieces:
                yield self._taken()
            elif self._is_whole:
                return
            else:
                await self._more(patience)

    def rest(self) -> bool:
        """End the exchange; tell whether another one may follow. If not, the connection is closed."""
        self._parser = None
        unsent = self._transport is None or self._transport.get_write_buffer_size()
        if self._is_open and self._is_whole and self._may_stay and not self._pieces and not unsent:
            return True
        self.close()
        return False

    def is_quiet(self) -> bool:
        """Tell whether a resting connection still stands: nothing came, not even its end."""
        if not self._is_open or self._transport is None or self._transport.is_closing():
            return False
        if sys.platform == "win32":
            return True
        look = select.poll()
        look.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not look.poll(0)

    def close(self) -> None:
        """Close at once, whatever is under way."""
        self._parser = None
        if self._transport is not None:
            self._transport.abort()

    # -------------------------------------------------------------------------------------------- waiting

    async def _more(self, patience: float) -> None:
        """Wait until there is something to look at; not longer than that without hearing anything."""
        if self._failure is not None:
            raise self._failure
        self._waiter = waiter = self._loop.create_future()
        self._patience, self._heard_at = patience, self._loop.time()
        timer = self._loop.call_later(patience, self._late, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _late(self, waiter: asyncio.Future[None]) -> None:
        rest = self._heard_at + self._patience - self._loop.time()
        if waiter.done():
            return
        if rest > 0:
            self._loop.call_later(rest, self._late, waiter)
        else:
            self._fail(httpx.ReadTimeout("nothing came"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._may_stay = False
        self._wake()

    def _taken(self) -> bytes:
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._unread > _MOST_UNREAD and self._transport is not None:
            self._transport.resume_reading()
        self._unread = 0
        return piece

    # -------------------------------------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._is_open = True

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            # An answer to nothing: it must not become the answer to what is asked next.
            self.close()
            return
        self._heard_at = self._loop.time()
        if not self._is_begun:
            self._is_begun = True
            if data[:1].isspace():  # the parser would skip it
                self._refuse()
                return
        self._unproductive += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._may_stay = False
            if not self._is_whole:
                self._refuse()
        else:
            if self._unproductive > MOST_HEAD and not self._is_whole:
                self._refuse()
        if self._is_whole or self._unread >= self._enough:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        if self._is_whole:
            return
        if self._has_head and self._ends_with_connection and exc is None and self._failure is None:
            self._is_whole = True
            self._wake()
        else:
            self._fail(httpx.RemoteProtocolError("the connection ended before the answer"))

    def _refuse(self) -> None:
        self._parser = None
        self._fail(httpx.RemoteProtocolError("the answer is no HTTP/1.1"))
        if self._transport is not None:
            self._transport.abort()

    # -------------------------------------------------------------------------------------------- what the parser calls

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise ValueError("a second answer")

    def on_status(self, reason: bytes) -> None:
        if _CONTROLS.search(reason):
            raise ValueError("a reason that nobody can read")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # trailers are not kept
            self.headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - it is calling
        self.status = self._parser.get_status_code()
        if self.status < _LEAST_STATUS or self._parser.get_http_version() not in _VERSIONS:
            raise ValueError("no status or no version of ours")
        self._is_interim = self.status in _INTERIM
        if self._is_interim:
            if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise ValueError("nobody asked for another protocol")
            self.headers = []
            return
        framed = {name.lower(): value for name, value in self.headers}
        if framed.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise ValueError("a packing of the transfer that nobody asked for")
        self._ends_with_connection = not framed.keys() & {b"content-length", b"transfer-encoding"}
        self._has_head = True

    def on_body(self, data: bytes) -> None:
        self._unproductive = 0
        self._unread += len(data)
        self._pieces.append(data)
        if self._unread > _MOST_UNREAD and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._is_interim:
            return
        assert self._parser is not None  # noqa: S101 - it is calling
        self._is_whole = True
        self._may_stay = self._parser.should_keep_alive()
