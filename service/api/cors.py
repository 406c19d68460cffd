"""Browsers of other origins: those that are configured may call the API with a key in a header, and no others.

An origin is compared whole, never by pattern, and `*` and `null` are none. Cookies and other credentials of a browser
are not used here, so it is never told that it may send them.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EXPOSED = (
    "Content-Disposition, ETag, Idempotent-Replayed, Link, RateLimit, RateLimit-Policy, Retry-After, X-Data-As-Of, "
    "X-Query-Cost, X-Request-Id"
)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID",
    ),
    (b"access-control-max-age", b"600"),
)


class Cors:
    """Around the routes: answers preflights, and names the origin on answers to those that are allowed."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._origins:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        allowed = [(b"access-control-allow-origin", origin)] if origin in self._origins and origin else []
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers and origin is not None:
            told = [*allowed, *_PREFLIGHT] if allowed else []
            await send({"type": "http.response.start", "status": 204, "headers": [(b"vary", b"Origin"), *told]})
            await send({"type": "http.response.body", "body": b""})
            return
        if allowed:
            allowed.append((b"access-control-expose-headers", _EXPOSED.encode()))

        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"vary", b"Origin"), *allowed]
            await send(message)

        await self._app(scope, receive, naming)
