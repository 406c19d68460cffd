"""Acknowledgements: signed webhooks that are answered once they are durable, against doing nothing and against INSERT.

The three servers take the same requests from the same load program, one after the other in each round. The service is
started by its own command with the role ``api``: nothing is posted meanwhile, and nothing needs to be.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from benchmarks import rivals
from benchmarks.children import Child, child
from benchmarks.figures import Figure, ratios
from benchmarks.ground import Ground, cpu_of
from benchmarks.ingest import set_up
from benchmarks.office import Office
from benchmarks.plan import Sizes

_MOST = 15_000
"""Requests a second that are prepared: more than any of the servers answers."""
_WARM = 1.0
_UP_SECONDS = 60.0


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@asynccontextmanager
async def serving(words: tuple[str, ...], port: int, environ: Mapping[str, str]) -> AsyncIterator[Child]:
    """Run a server until the block ends; it answers on ``port`` when the block begins."""
    async with child(*words, environ=environ, listens=False) as server:
        async with asyncio.timeout(_UP_SECONDS):
            while not await _answers(port):
                server.require_alive()
                await asyncio.sleep(0.05)
        yield server


async def _answers(port: int) -> bool:
    """Tell whether a request is answered, whatever with: a socket may listen before its application has started."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
    try:
        return bool(await reader.read())
    except OSError:
        return False
    finally:
        writer.close()


def service_words(port: int, roles: str = "api") -> tuple[str, ...]:
    """Return the command line of the service."""
    return ("-m", "service", "serve", "--role", roles, "--port", str(port))


async def rate_of(
    words: tuple[str, ...], port: int, environ: Mapping[str, str], office: Office, load: Child, sizes: Sizes, name: str
) -> dict[str, Any]:
    """Return what the load program says of one server, with the CPU that the server took."""
    async with serving(words, port, environ) as server:
        before = cpu_of(server.number)
        found = await load.ask(
            port=port,
            hooks=list(office.hooks),
            connections=sizes.connections,
            requests=int((sizes.ack_seconds + _WARM) * _MOST),
            warm=_WARM,
            seconds=sizes.ack_seconds,
            name=name,
        )
        found["server_cpu"] = cpu_of(server.number) - before
    if found["spent"] or not found["rate"]:
        raise RuntimeError(f"too few requests were prepared, or none was answered: {found}")
    return found


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figures of acknowledging."""
    told: dict[str, list[dict[str, Any]]] = {"service": [], "nothing": [], "insert": []}
    async with ground.database() as database, child("-m", "benchmarks.load") as load:
        await load.hear()
        office = await set_up(ground, database, pushed=True)
        async with ground.superuser(database) as connection:
            await connection.execute(rivals.TABLE + "; grant all on inserted to tallybook_service")
        environ = ground.environ(database) | {"TALLYBOOK_LOG_LEVEL": "error"}
        for number in range(sizes.rounds):
            for name, found in told.items():
                port = free_port()
                rival = ("-m", "benchmarks.rivals", name, str(port))
                words = service_words(port) if name == "service" else rival
                found.append(await rate_of(words, port, environ, office, load, sizes, f"{name}-{number}"))
            await _check(ground, database, told)
            shown = ", ".join(f"{name} {found[-1]['rate']:.0f}" for name, found in told.items())
            print(f"  ack {number + 1}/{sizes.rounds} requests/s: {shown}", flush=True)
    rates = {name: [one["rate"] for one in found] for name, found in told.items()}
    share, failed = max(one["cpu_share"] for one in told["service"]), sum(one["failed"] for one in told["service"])
    note = f"{sizes.connections} connections, one server process, {failed} refused, load takes {share:.0%} of a core"
    figures = [
        ratios("ack_vs_noop", rates["service"], rates["nothing"], note),
        ratios("ack_vs_insert", rates["service"], rates["insert"], note),
    ]
    return figures, {"ack": told}


async def _check(ground: Ground, database: str, told: Mapping[str, list[dict[str, Any]]]) -> None:
    """Raise unless what was acknowledged is kept."""
    async with ground.superuser(database) as connection:
        kept = await connection.fetchval("select count(*) from deliveries")
        inserted = await connection.fetchval("select count(*) from inserted")
    answered, rival = (sum(one["rate"] for one in told[name]) for name in ("service", "insert"))
    if kept < answered or inserted < rival:
        raise RuntimeError(f"only {kept} deliveries and {inserted} rows were kept")
