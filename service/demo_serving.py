"""How a demo is served: on this machine alone, with books of its own, until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from rich.console import Console

from service import serve
from service.demo_desk import Desk
from service.demo_memory import Memory
from service.errors import Misconfigured
from service.serve_protocol import Limits
from service.settings import Settings

_LIMITS = Limits()


def settings_of(settings: Settings, platforms: Mapping[str, str]) -> Settings:
    """Return the settings of a demo: whatever database the environment names, it is none of the demo's."""
    own = {"env": "dev", "host": "127.0.0.1", "database_url": None, "migrate_url": None, "master_key": None}
    return settings.model_copy(update=own | {"connector_urls": dict(platforms)})


@asynccontextmanager
async def desk(app: FastAPI, settings: Settings, memory: Memory, file: str) -> AsyncIterator[Desk]:
    """Serve an application and yield a caller of it; stop both at the end."""
    async with serve.listening(app, _bind(settings), _LIMITS) as listening:
        caller = Desk(app.state.services, listening.address, memory, file)
        try:
            yield caller
        finally:
            await caller.close()


def _bind(settings: Settings) -> socket.socket:
    """Return a socket on the port of the settings, or on a free one when that is taken."""
    try:
        return serve.bind(settings.host, settings.port)
    except Misconfigured:
        return serve.bind(settings.host, 0)


async def stay(console: Console, where: Iterable[str], *, once: bool) -> None:
    """Say where the numbers are to be had; then serve until told to stop, unless ``once``."""
    for line in where:
        console.print(line, soft_wrap=True)
    if once:
        return
    with serve.stop_signals() as told_to_stop:
        console.print("Serving until Ctrl-C.")
        await told_to_stop.once.wait()
