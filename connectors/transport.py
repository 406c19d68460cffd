"""What carries requests of httpx over the network: HTTP/1.1 over connections that are kept open for the next one.

It is made for a client that asks often and politely: GET, POST and PUT with a body in memory, straight to the host, TLS
verified, no proxy. It follows nothing, keeps no cookie and unpacks nothing. Each connection is a
:class:`connectors.connection.Connection`; errors are those of httpx, a *connect* error where nothing was sent.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohappyeyeballs
import httpx

from connectors.connection import Connection

_MOST = 100
_MOST_IDLE = 20
_IDLE_SECONDS = 5.0
_PATIENCE = 30.0  # where a request names none
_STAGGER = 0.25  # RFC 8305, 8
_METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_HEAD = re.compile(
    rb"[A-Z]+ [\x21-\x7e]+ HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: (?:[\x21-\x7e\x80-\xff][\t\x20-\x7e\x80-\xff]*)?\r\n)+\r\n"
)


class _Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


class _Idle(NamedTuple):
    """A connection that rests, and since when."""

    origin: _Origin
    connection: Connection
    since: float


class Transport(httpx.AsyncBaseTransport):
    """Connections of one event loop, at most ``most`` in use at a time; ``context`` says whom TLS trusts."""

    def __init__(self, context: ssl.SSLContext | None = None, *, most: int = _MOST) -> None:
        self._context = context or httpx.create_ssl_context(trust_env=False)
        self._context.set_alpn_protocols(["http/1.1"])
        self._room = asyncio.Semaphore(most)
        self._idle: list[_Idle] = []
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer once the head is there. Raises :class:`httpx.TransportError`."""
        given = request.extensions.get("timeout", {})
        origin, message = _origin(request.url), _message(request, await request.aread())
        await self._enter(given.get("pool") or _PATIENCE)
        connection = None
        try:
            connection = self._rested(origin) or await self._opened(origin, given.get("connect") or _PATIENCE)
            connection.send(message)
            patience = given.get("read") or _PATIENCE
            await connection.head(patience)
        except BaseException:
            if connection is not None:
                connection.close()
            self._room.release()
            raise
        stream = _Body(self, origin, connection, patience)
        return httpx.Response(connection.status, headers=connection.headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Close what rests; what is in use is closed when it is done."""
        self._is_closed = True
        for one in self._idle:
            one.connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # a connection is closed in the next turn of the loop

    def left(self, origin: _Origin, connection: Connection) -> None:
        """Take back a connection whose exchange is over."""
        self._room.release()
        now = asyncio.get_running_loop().time()
        stale = [one for one in self._idle if now - one.since > _IDLE_SECONDS]
        if connection.rest():
            self._idle.append(_Idle(origin, connection, now))
        if self._is_closed or len(self._idle) - len(stale) > _MOST_IDLE:
            stale.append(self._idle[0])
        for one in stale:
            one.connection.close()
            self._idle.remove(one)

    async def _enter(self, seconds: float) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("all connections are in use") from None

    def _rested(self, origin: _Origin) -> Connection | None:
        """Return the connection to an origin that rested last and still stands; those that do not are closed."""
        now = asyncio.get_running_loop().time()
        for one in [one for one in reversed(self._idle) if one.origin == origin]:
            self._idle.remove(one)
            if now - one.since <= _IDLE_SECONDS and one.connection.is_quiet():
                return one.connection
            one.connection.close()
        return None

    async def _opened(self, origin: _Origin, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await self._connected(origin)
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError):
            raise httpx.ConnectError("no connection") from None

    async def _connected(self, origin: _Origin) -> Connection:
        """Connect to the address of a host that answers first, and agree on TLS."""
        loop, is_secret = asyncio.get_running_loop(), origin.scheme == "https"
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        plain = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_STAGGER, interleave=1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _, connection = await loop.create_connection(
                Connection,
                sock=plain,
                ssl=self._context if is_secret else None,
                server_hostname=origin.host if is_secret else None,
            )
        except BaseException:
            plain.close()
            raise
        return connection


class _Body(httpx.AsyncByteStream):
    """The body of an answer; closed, it gives its connection back."""

    def __init__(self, transport: Transport, origin: _Origin, connection: Connection, patience: float) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self._patience = patience

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is None:
            raise httpx.StreamClosed
        return self._connection.body(self._patience)

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.left(self._origin, connection)


def _origin(url: httpx.URL) -> _Origin:
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise httpx.UnsupportedProtocol("an address is http(s)://host")
    return _Origin(url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))


def _message(request: httpx.Request, body: bytes) -> bytes:
    """Return a request as it is sent. Raises :class:`httpx.LocalProtocolError` for one that would say two things."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii", "replace"), request.url.raw_path)]
    lines += [b"%b: %b" % pair for pair in request.headers.raw]
    head = b"\r\n".join((*lines, b"", b""))
    named = [name.lower() for name, _ in request.headers.raw]
    length = request.headers.get("content-length", "0")
    if (
        request.method not in _METHODS
        or _HEAD.fullmatch(head) is None
        or head.count(b"\r\n") != len(lines) + 1
        or named.count(b"host") != 1
        or named.count(b"content-length") > 1
        or b"transfer-encoding" in named
        or length != str(len(body))
    ):
        raise httpx.LocalProtocolError("this is no request that can be sent")
    return head + body
