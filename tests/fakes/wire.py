"""The wire of a fake platform: requests as they came, failures it was told to make, answers, and a way to it.

What is the same for every ASGI application that stands for a platform; it knows none of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers beside the content type, body."""


@dataclass
class Failure:
    """An answer to give instead of the right one, ``times`` times, to calls whose path contains ``path``."""

    status: int
    body: bytes
    path: str = ""
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


def failing(failures: list[Failure], path: str) -> Answer | None:
    """Return the answer of the first failure that is due for a path, and count it; None where the right one is."""
    for failure in failures:
        if failure.times > 0 and failure.path in path:
            failure.times -= 1
            return failure.status, failure.headers, failure.body
    return None


async def served(scope: Scope, receive: Receive, send: Send, answer: Callable[[Call], Answer]) -> None:
    """Serve one request, or the life of the application."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    body = await body_of(receive)
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    await answered(send, *answer(Call(scope["method"], scope["path"], query, headers_of(scope), body)))


def headers_of(scope: Scope) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in scope["headers"]}


async def body_of(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + bytes(message.get("body", b"")), message.get("more_body", False)
    return body


async def answered(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    told = {"content-type": "application/json", **headers}
    raw = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def live(receive: Receive, send: Send) -> None:
    """Begin and end with the server."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def transport(fake: App) -> httpx.ASGITransport:
    """Return a transport that reaches a fake without a socket, whatever the host."""
    return httpx.ASGITransport(app=fake)
