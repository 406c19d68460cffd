"""Revalidation: KPI answers that have not changed, against a route that does nothing.

Every request carries a key and the tag of the answer that it was given before; the service looks whether the key and
the answer still stand and says 304. The two servers take turns, each asked by the same load program.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import httpx

from benchmarks.ack import free_port, service_words, serving
from benchmarks.children import Child, child
from benchmarks.figures import Figure, ratios
from benchmarks.ground import Ground, cpu_of
from benchmarks.ingest import set_up
from benchmarks.office import Office
from benchmarks.plan import Sizes
from service import ids

_MOST = 12_000
"""Requests a second that are at hand: more than either server answers."""
_WARM = 1.0
_QUERY = "metrics=impressions,clicks_link,ctr&range=last_7d_complete&compare=previous_period"


def wire(path: str, key: str, tag: str) -> str:
    """Return the request as it goes over the wire."""
    lines = (f"GET {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {key}", f"if-none-match: {tag}")
    return "\r\n".join((*lines, "", ""))


async def _tag(port: int, path: str, key: str) -> str:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get(path, headers={"authorization": f"Bearer {key}"})
    answer.raise_for_status()
    tag: str = answer.headers["etag"]
    return tag


async def _rate(ground: Ground, database: str, office: Office, load: Child, sizes: Sizes, name: str) -> dict[str, Any]:
    """Return what the load program says of one server."""
    port = free_port()
    environ = ground.environ(database) | {"TALLYBOOK_LOG_LEVEL": "error", "TALLYBOOK_REQUESTS_PER_MINUTE": "100000000"}
    words = service_words(port) if name == "service" else ("-m", "benchmarks.rivals", name, str(port))
    path = f"/v1/campaigns/{ids.show('campaign', office.campaigns[0])}/kpis?{_QUERY}"
    async with serving(words, port, environ) as server:
        tag = await _tag(port, path, office.key) if name == "service" else '"none"'
        before = cpu_of(server.number)
        found = await load.ask(
            port=port,
            wire=wire(path, office.key, tag),
            well="HTTP/1.1 304" if name == "service" else "HTTP/1.1 200",
            connections=sizes.connections,
            requests=int((sizes.ack_seconds + _WARM) * _MOST),
            warm=_WARM,
            seconds=sizes.ack_seconds,
            name=name,
        )
        found["server_cpu"] = cpu_of(server.number) - before
    if found["spent"] or not found["rate"] or found["failed"]:
        raise RuntimeError(f"too few requests were at hand, or some were answered otherwise: {found}")
    return found


def _effort(found: list[dict[str, Any]]) -> float:
    """Return the median CPU time of the server process over its rate: what it is worth where cores are shared."""
    return float(median(one["server_cpu"] / one["rate"] for one in found))


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figure of answers that have not changed."""
    told: dict[str, list[dict[str, Any]]] = {"service": [], "nothing": []}
    async with ground.database() as database, child("-m", "benchmarks.load") as load:
        await load.hear()
        office = await set_up(ground, database, pushed=True)
        for number in range(sizes.rounds):
            for name, found in told.items():
                found.append(await _rate(ground, database, office, load, sizes, name))
            shown = ", ".join(f"{name} {found[-1]['rate']:.0f}" for name, found in told.items())
            print(f"  cached {number + 1}/{sizes.rounds} requests/s: {shown}", flush=True)
    rates = {name: [one["rate"] for one in found] for name, found in told.items()}
    cost = _effort(told["service"]) / _effort(told["nothing"])
    note = (
        f"{sizes.connections} connections, one server process, key and posting looked up for each; "
        f"the process spends {cost:.2f} times the CPU of the other on an answer"
    )
    return [ratios("not_modified_vs_noop", rates["service"], rates["nothing"], note)], {"cached": told}
