"""Freshness: how long after its acknowledgement a webhook shows in the KPI answer, while others arrive.

Two processes of the service, one with the role ``api``, one with the role ``worker``. The load is half of what ``api``
acknowledged at the most just before. A probe is an order like any other message of a loaded source; the campaign's
orders are asked for over HTTP until they count it, as a frontend asks again: with the tag of the answer it has.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from benchmarks import ack
from benchmarks.children import Child, child
from benchmarks.figures import Figure, percentile
from benchmarks.ground import Ground
from benchmarks.ingest import drained, set_up
from benchmarks.office import Hook, Office
from benchmarks.plan import Sizes
from connectors.signatures import sign_standard_webhooks
from service import ids
from service.context import Context

_BETWEEN = 0.05
_LOOK = 0.02
_PATIENCE = 30.0
_SETTLE = 2.0
_MOST_EACH = 0.5
"""Seconds that a probe is reckoned with when the load is prepared."""


class Prober:
    """Sends orders and asks for them."""

    def __init__(self, client: httpx.AsyncClient, office: Office, context: Context) -> None:
        self._client = client
        self._context = context
        self._hook: Hook = office.hooks[0]
        self._path = f"/v1/campaigns/{ids.show('campaign', office.campaigns[0])}/kpis?metrics=orders&range=flight"
        self._headers = {"authorization": f"Bearer {office.key}"}
        self._orders = 0
        self.sent = 0
        self.refused = 0

    async def say(self, document: dict[str, Any]) -> float:
        """Push a message until it is taken; return when that was acknowledged."""
        body = msgspec.json.encode(document)
        name = f"probe-{self._context.new_id().hex}"
        signed = sign_standard_webhooks(self._hook.secret, name, self._context.now(), body)
        while not (await self._client.post(self._hook.path, headers=signed, content=body)).is_success:
            self.refused += 1
            await asyncio.sleep(_BETWEEN)
        return self._context.monotonic()

    async def begin(self) -> None:
        """Name the subject of the orders, so that it counts in a campaign of its own, and wait for the first."""
        facts = {"subject": "probe", "hashtags": ["probe"], "published_at": "2026-06-01T00:00:00Z"}
        await self.say({"type": "tallybook.subject", "timestamp": self._context.now().isoformat(), "data": facts})
        await self.probe()

    async def probe(self) -> float:
        """Return the seconds from the acknowledgement of an order to an answer that counts it."""
        self.sent += 1
        at = self._context.now().isoformat()
        data = {"id": f"order-{self.sent}", "at": at, "subject": "probe"}
        known = await self.say({"type": "tallybook.order", "timestamp": at, "data": data})
        async with asyncio.timeout(_PATIENCE):
            while self._orders < self.sent:
                await asyncio.sleep(_LOOK)
                await self._look()
        return self._context.monotonic() - known

    async def _look(self) -> None:
        answer = await self._client.get(self._path, headers=self._headers)
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            return
        if answer.is_success:
            self._headers["if-none-match"] = answer.headers["etag"]
            self._orders = int(answer.json()["totals"]["orders"]["value"] or 0)


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figure of freshness."""
    async with ground.database() as database, child("-m", "benchmarks.load") as load:
        await load.hear()
        made = await set_up(ground, database, pushed=True, hashtags=("probe",))
        environ = ground.environ(database) | {"TALLYBOOK_LOG_LEVEL": "error"}
        port = ack.free_port()
        most = await ack.rate_of(ack.service_words(port), port, environ, made, load, sizes, "most")
        api, worker = ack.free_port(), ack.free_port()
        async with (
            ack.serving(ack.service_words(api), api, environ),
            ack.serving(ack.service_words(worker, "worker"), worker, environ),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{api}", trust_env=False, timeout=30.0) as client,
        ):
            async with ground.superuser(database) as connection:
                await drained(connection)
            prober = Prober(client, made, ground.context)
            await prober.begin()
            waits, sent = await _under_load(prober, load, made, api, most["rate"] / 2, sizes)
    figure, told = _figure(waits, prober, most["rate"], sent)
    return [figure], {"freshness": told}


async def _under_load(
    prober: Prober, load: Child, office: Office, port: int, rate: float, sizes: Sizes
) -> tuple[list[float], dict[str, Any]]:
    """Return the waits of all probes in milliseconds, and what became of the load."""
    seconds = sizes.probes * (_BETWEEN + _MOST_EACH)
    load.tell(
        port=port,
        hooks=list(office.hooks),
        connections=sizes.connections,
        requests=int(rate * (seconds + _SETTLE)),
        warm=_SETTLE,
        seconds=seconds,
        rate=rate,
        name="steady",
    )
    await asyncio.sleep(_SETTLE)
    waits: list[float] = []
    ended = asyncio.create_task(load.hear())
    while len(waits) < sizes.probes and not ended.done():
        waits.append(await prober.probe() * 1000)
        await asyncio.sleep(_BETWEEN)
    return waits, await ended


def _figure(waits: list[float], prober: Prober, most: float, sent: dict[str, Any]) -> tuple[Figure, dict[str, Any]]:
    note = (
        f"{len(waits)} probes at {sent['rate']:.0f} of {most:.0f}/s, p50 {percentile(waits, 0.5):.0f} ms, "
        f"{sent['failed']} refused"
    )
    print(f"  freshness: p99 {percentile(waits, 0.99):.0f} ms; {note}", flush=True)
    told = {"waits_ms": [round(wait, 1) for wait in waits], "refused_probes": prober.refused, "load": sent}
    return Figure(key="freshness_p99_ms", runs=(percentile(waits, 0.99),), note=note), told
