"""Serving: a socket, uvicorn with limits, an orderly end. What is served and with what settings the caller decides.

The application's lifespan runs around the server, so that what goes wrong at the start is an error like any other.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.direct import Direct
from service.errors import Misconfigured
from service.serve_direct import direct_protocol
from service.serve_protocol import Limits

_log = structlog.get_logger(__name__)


class Listening(msgspec.Struct):
    """A server that answers. ``address`` is where; ``hurry`` set ends it without waiting for answers."""

    address: str
    hurry: asyncio.Event


class _Server(uvicorn.Server):
    """uvicorn, without its way with signals: it would end the process by the signal that stopped it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


STOPPING = "tallybook.stopping"
"""Where answers without an end find in the scope of their request whether the server stops."""


class Draining:
    """Around an application: says on ``/readyz``, and to answers without an end, that it will soon be gone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.stopping = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[STOPPING] = self.stopping
        if not self.stopping.is_set() or scope["type"] != "http" or scope["path"] != "/readyz":
            await self._app(scope, receive, send)
            return
        answer = {"ready": False, "database": True, "migrated": None, "partition_days": None}
        body = msgspec.json.encode(answer | {"problems": ["the service is stopping"]})
        headers = [(b"content-type", b"application/json"), (b"connection", b"close"), (b"retry-after", b"5")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def bind(host: str, port: int, backlog: int = Limits().backlog) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises :class:`Misconfigured` when it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(backlog)
    except (OSError, UnicodeError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Misconfigured(f"cannot listen on {host} port {port}: {reason}") from None
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address of a listening socket as a URL."""
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


@asynccontextmanager
async def listening(app: FastAPI, bound: socket.socket, limits: Limits) -> AsyncIterator[Listening]:
    """Open the parts of an application and serve it on a bound socket until the block ends; then drain.

    Raises what the application's start raises, before anything is answered.
    """
    try:
        async with app.router.lifespan_context(app), answering(app, bound, limits) as found:
            yield found
    finally:
        bound.close()


@asynccontextmanager
async def answering(app: ASGIApp, bound: socket.socket, limits: Limits) -> AsyncIterator[Listening]:
    """Serve an application that needs no start until the block ends; then drain.

    What it answers directly it names by an attribute ``direct``.
    """
    draining = Draining(app)
    server = _Server(_config(draining, limits, getattr(app, "direct", None)))
    found = Listening(address_of(bound), asyncio.Event())
    task = asyncio.create_task(server.serve([bound]), name="http")
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait([task, up], return_when=asyncio.FIRST_COMPLETED)
        yield found
        draining.stopping.set()
        await _pause(found.hurry, limits.announce)
    finally:
        server.should_exit = True
        hurrying = asyncio.create_task(_force(server, found.hurry))
        await task
        hurrying.cancel()
        up.cancel()


def _config(app: ASGIApp, limits: Limits, direct: Direct | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=direct_protocol(limits, direct),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=limits.backlog,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=limits.stop,
    )


async def _pause(hurry: asyncio.Event, seconds: float) -> None:
    waiting = asyncio.create_task(hurry.wait())
    await asyncio.wait([waiting], timeout=seconds)
    waiting.cancel()


async def _force(server: uvicorn.Server, hurry: asyncio.Event) -> None:
    await hurry.wait()
    server.force_exit = True


# ------------------------------------------------------------------------------------------------ a process


class Told(NamedTuple):
    """Whether this process was told to stop, and told again."""

    once: asyncio.Event
    twice: asyncio.Event


async def serve(app: FastAPI, host: str, port: int, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return; a second signal ends the wait for open answers."""
    with stop_signals() as told:
        async with listening(app, bind(host, port, limits.backlog), limits) as found:
            _log.info("serve.listening", address=found.address)
            await told.once.wait()
            _log.info("serve.stopping")
            impatient = asyncio.create_task(_pass_on(told.twice, found.hurry))
        impatient.cancel()


async def _pass_on(one: asyncio.Event, other: asyncio.Event) -> None:
    await one.wait()
    other.set()


@contextmanager
def stop_signals() -> Iterator[Told]:
    """Turn SIGTERM and SIGINT into events until the block ends."""
    loop, told = asyncio.get_running_loop(), Told(asyncio.Event(), asyncio.Event())

    def tell() -> None:
        (told.twice if told.once.is_set() else told.once).set()

    wanted = (signal.SIGTERM, signal.SIGINT)
    for one in wanted:
        loop.add_signal_handler(one, tell)
    try:
        yield told
    finally:
        for one in wanted:
            loop.remove_signal_handler(one)
