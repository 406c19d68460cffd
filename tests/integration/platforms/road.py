"""From a platform to a KPI: the whole service over a test database, with the platform's fake in place of the network.

A test of a platform opens a :func:`road`, lets the service fetch or be pushed to, and reads the campaign's KPIs over
HTTP as a frontend does. The clock stands still until the test moves it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec

from connectors.contract import Connector
from service import ids
from service.access import keys
from service.api.state import Services
from service.app import build, rounds_of
from service.context import Context, real
from service.db.partitions import make_partitions
from service.fetch.pull import Pulled
from service.pipeline.run import posting_with
from service.pipeline.worker import DrainSummary, Worker
from tests.integration.api.office import Desk, settings_for

Transport = httpx.AsyncBaseTransport


class Clock:
    """The time that the service believes it is."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, step: timedelta) -> None:
        """Move on."""
        self.at += step

    def context(self) -> Context:
        """Return a real context but for the time."""
        return msgspec.structs.replace(real(), now=self)


class Road:
    """A workspace with one campaign and one source of the platform under test."""

    def __init__(self, desk: Desk, services: Services, clock: Clock, campaign: str, source: Mapping[str, Any]) -> None:
        self.desk = desk
        self.services = services
        self.clock = clock
        self.campaign = campaign
        self.source = source

    async def fetch(self) -> list[Pulled]:
        """Pull every kind of the source now, as ``tallybook fetch SOURCE`` does, and post what came."""
        home = ids.read("workspace", str(self.desk.workspace))
        async with self.services.db.control() as connection:
            await make_partitions(connection, self.clock.at.date())
        pulled = await rounds_of(self.services).fetch_source(home, ids.read("source", self.source["id"]))
        await self.settle()
        return pulled

    async def settle(self) -> DrainSummary:
        """Post all that was landed."""
        parts = self.services
        return await Worker(
            parts.db,
            parts.context,
            parts.settings,
            parts.connectors,
            post=posting_with(parts.vault),
            vault=parts.vault,
        ).drain()

    async def push(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send a webhook and post what it brought."""
        answer = await self.knock("POST", headers=dict(headers), content=body)
        await self.settle()
        return answer

    async def knock(self, method: str, **more: Any) -> httpx.Response:
        """Send a request to the webhook address and post nothing: a handshake, or a push that is refused."""
        nobody = Desk(self.desk.app, None)
        return await nobody.ask(method, self.source["webhook_path"], **more)

    async def answer(self, **query: str) -> dict[str, Any]:
        """Return the whole answer to a question about the campaign."""
        found: dict[str, Any] = await self.desk.get(f"/v1/campaigns/{self.campaign}/kpis", params=query)
        return found

    async def totals(self, metrics: str, **query: str) -> dict[str, Any]:
        """Return metric to value over a range, by default the flight."""
        answer = await self.answer(metrics=metrics, **{"range": "flight", **query})
        return {name: kpi["value"] for name, kpi in answer["totals"].items()}

    async def days(self, metric: str, **query: str) -> dict[str, Any]:
        """Return local day to value of one metric over the flight."""
        answer = await self.answer(metrics=metric, granularity="day", **{"range": "flight", **query})
        return {
            str(next(iter(row["dimensions"].values()))): next(iter(row["metrics"].values()))["value"]
            for row in answer["data"]
        }


@asynccontextmanager
async def road(
    url: str,
    connector: Connector,
    at: datetime,
    *,
    transport: Transport | None = None,
    source: Mapping[str, Any] | None = None,
    campaign: Mapping[str, Any] | None = None,
    zone: str = "UTC",
) -> AsyncIterator[Road]:
    """Start the service at an instant with a workspace, one source of ``connector`` and one campaign.

    ``source`` and ``campaign`` add to what the API is given; the campaign runs over August 2026, in ``zone``, and by
    default everything of the source counts in it.
    """
    clock = Clock(at)
    context = clock.context()
    settings = settings_for(url)
    app = build(settings, context, roles=("api",), connectors={connector.name: connector}, transport=transport)
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        async with services.db.control() as connection:
            await make_partitions(connection, at.date())
            instance = await keys.create_instance(connection, context)
        home = {"name": "Acme", "zone": zone, "currency": "EUR"}
        made = await Desk(app, instance.token).post("/v1/workspaces", home)
        desk = Desk(app, made["key"]["token"], made["id"])
        wanted = {"connector": connector.name, "name": connector.title, "tracks_from": "2026-07-01T00:00:00Z"}
        connected = await desk.post("/v1/sources", wanted | dict(source or {}))
        flight = {"name": "August", "kind": "broad", "starts": "2026-08-01", "ends": "2026-08-31"}
        rules = [{"source": connected["id"]}]
        opened = await desk.post("/v1/campaigns", flight | {"rules": rules} | dict(campaign or {}))
        yield Road(desk, services, clock, opened["id"], connected)
