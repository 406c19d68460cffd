"""The outermost layer of every request, as plain ASGI: its id, its size, its pace, its log line, safe headers.

The log line holds the template of the route, never the path: a webhook address is a secret.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import telemetry
from service.api.problems import REQUEST_ID, problem
from service.context import Context

_log = structlog.get_logger(__name__)
JSON_BYTES = 1024 * 1024
"""Largest body of a route that reads JSON."""
_UPLOAD = re.compile(r"/v1/sources/[^/]+/uploads")
_OWN_LIMITS = "/v1/webhooks/"
"""Routes below it bound their bodies themselves, by connector."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
ID_HEADER = b"x-request-id"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Of every answer that does not say otherwise."""
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: logged only when they fail."""


class Limit(msgspec.Struct, frozen=True):
    """How large a body may be, in bytes, and how many seconds it may take to arrive."""

    size: int
    seconds: float


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, context: Context, max_upload: int) -> None:
        """Take the application and the largest upload in bytes."""
        self._app = app
        self._context = context
        self._json = Limit(JSON_BYTES, 30.0)
        self._upload = Limit(max_upload, 600.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[REQUEST_ID] = str(self._context.new_id())
        began = self._context.monotonic()
        limit = self._limit(scope["path"])
        exchange = _Exchange(scope, receive, send, limit)
        try:
            if limit is None:
                await self._app(scope, receive, exchange.send)
            elif not await exchange.refused_at_once(limit):
                await self._app(scope, exchange.receive, exchange.send)
        finally:
            record(scope, exchange.status, self._context.monotonic() - began)

    def _limit(self, path: str) -> Limit | None:
        if path.startswith(_OWN_LIMITS):
            return None
        return self._upload if _UPLOAD.fullmatch(path) else self._json


class _Exchange:
    """One request and its answer. A body that breaks its limit ends early, and its problem replaces the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: Limit | None) -> None:
        self.status = 0
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._deadline = 0.0 if limit is None else asyncio.get_running_loop().time() + limit.seconds
        self._size = 0
        self._is_complete = False
        self._refusal: tuple[str, str] | None = None
        self._is_replaced = False

    async def refused_at_once(self, limit: Limit) -> bool:
        """Answer a request that announces more than it may send; tell whether it did."""
        announced = dict(self._scope["headers"]).get(b"content-length", b"")
        if not announced.isdigit() or int(announced[:20]) <= limit.size:
            return False
        self._refuse_size(limit)
        await self._answer_refusal()
        return True

    async def receive(self) -> Message:
        """Hand the body on, within the limit."""
        if self._limit is None or self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self._refusal = ("timeout", "the body did not arrive in time")
            return {"type": "http.disconnect"}
        self._size += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._size > self._limit.size:
            self._refuse_size(self._limit)
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Hand the answer on with the headers that every answer has."""
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            if self._refusal is not None:
                await self._answer_refusal()
                return
            self._start(message)
        await self._send(message)

    def _refuse_size(self, limit: Limit) -> None:
        self._refusal = ("too-large", f"the body may have {limit.size} bytes at most")

    def _start(self, message: Message) -> None:
        self.status = message["status"]
        message["headers"] = dressed(self._scope, message.get("headers", ()))

    async def _answer_refusal(self) -> None:
        code, detail = self._refusal or ("internal", "")
        answer = problem(self._scope, code, detail, headers={"Connection": "close"})

        async def direct(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._start(message)
            await self._send(message)

        await answer(self._scope, self._receive, direct)
        self._is_replaced = True


def dressed(scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with those that every answer has; names are in lower case."""
    return [*complete(headers), (ID_HEADER, scope[REQUEST_ID].encode("ascii"))]


def complete(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with those that every answer has, but for the id of the request."""
    own = [pair for pair in headers if pair[0] != ID_HEADER]
    chosen = {name for name, _ in own}
    return own + [pair for pair in _HEADERS if pair[0] not in chosen]


def record(scope: Scope, status: int, seconds: float) -> None:
    """Count and log a request that was answered."""
    method = scope["method"] if scope["method"] in _METHODS else "other"
    count(method, template(scope), status, seconds, scope[REQUEST_ID])


def count(method: str, route: str, status: int, seconds: float, request_id: str) -> None:
    """Count and log a request of a known method and route; as :func:`record`."""
    _requests(method, route, status).inc()
    _seconds(route).observe(seconds)
    if (route in _QUIET and status < HTTPStatus.BAD_REQUEST) or not _log.is_enabled_for(logging.INFO):
        return
    _log.info(
        "request",
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 1),
        request_id=request_id,
    )


@lru_cache(maxsize=1024)
def _requests(method: str, route: str, status: int) -> Counter:
    return telemetry.HTTP_REQUESTS.labels(method, route, str(status))


@lru_cache(maxsize=256)
def _seconds(route: str) -> Histogram:
    return telemetry.HTTP_SECONDS.labels(route)


def template(scope: Any) -> str:
    """Return the template of the route that a request took, or ``none``."""
    return str(getattr(scope.get("route"), "path", None) or "none")
