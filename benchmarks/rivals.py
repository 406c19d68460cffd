"""The servers that acknowledgements are measured against, with the server settings of the service.

``nothing`` is a FastAPI route that does nothing; another of its kind is asked.

``insert`` is the service itself but for the landing: the same server with the same direct way past the framework, the
same check of the signature, the same row (key, body, headers, hashes), and then one INSERT for each request, which
commits by itself. It goes through a pool of asyncpg as large as the service's, used as its documentation does
(``pool.execute``), which resets a connection when it is given back. It writes one table with one index and no policies,
where the service writes three. So it has all that makes the service fast but the shared commit: a route of FastAPI with
the same INSERT would be slower.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import msgspec
from fastapi import FastAPI

from benchmarks.office import CONNECTORS
from connectors.contract import Delivery
from service import memory, serve, settings, telemetry
from service.app import build
from service.commands.running import drive
from service.inbox.commit import Waiter, pass_on
from service.inbox.land import Lander, landing
from service.inbox.store import Kept, Landed, Landing, Origin
from service.serve_protocol import Limits

TABLE = """
create table inserted (
  workspace_id uuid, received_at timestamptz, delivery_id uuid, source_id uuid, channel text, connector text,
  options jsonb, headers jsonb, request jsonb, body bytea, body_hash bytea, key_hash bytea,
  primary key (workspace_id, source_id, key_hash)
)
"""
_INSERT = """
insert into inserted values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing
"""


def nothing() -> FastAPI:
    """Return an application whose route does nothing."""
    app = FastAPI()

    @app.post("/v1/webhooks/{address}")
    async def receive(address: str) -> None:
        """Do nothing."""

    @app.get("/v1/campaigns/{campaign}/kpis")
    async def ask(campaign: str) -> None:
        """Do nothing."""

    return app


class OneInsert(Lander):
    """Keeps each delivery by a statement of its own, from a pool as large as the service's."""

    pool: asyncpg.Pool[Any]

    def submit(self, origin: Origin, delivery: Delivery, key: str) -> asyncio.Future[Landed]:
        """Insert one row; what is returned tells when that is committed."""
        return asyncio.ensure_future(self._insert(landing(origin, delivery, key, self._context)))

    def hand_in(self, origin: Origin, delivery: Delivery, key: str, waiter: Waiter) -> None:
        """Insert one row; the waiter is told when that is committed."""
        self.submit(origin, delivery, key).add_done_callback(partial(pass_on, waiter))

    async def _insert(self, new: Landing) -> Landed:
        origin = new.origin
        place = (origin.workspace_id, new.received_at, new.delivery_id, origin.source_id, origin.channel)
        texts = (origin.connector, origin.options, new.headers, new.request)
        await self.pool.execute(_INSERT, *place, *texts, new.body, new.body_hash, new.slot)
        return Landed(delivery_id=new.delivery_id, outcome=Kept.STORED)


def insert() -> FastAPI:
    """Return the service's application with its landing exchanged."""
    chosen = settings.load()
    app = build(chosen, roles=("api",), connectors=CONNECTORS)
    opened = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(app):
            services = app.state.services
            lander = OneInsert(services.db, services.context, chosen)
            url = chosen.database_url.get_secret_value() if chosen.database_url else ""
            async with asyncpg.create_pool(url, min_size=chosen.pool_size, max_size=chosen.pool_size) as pool:
                lander.pool = pool
                app.state.services = msgspec.structs.replace(services, lander=lander)
                yield

    app.router.lifespan_context = lifespan
    return app


if __name__ == "__main__":
    telemetry.configure_logging("error")
    memory.settle()
    drive(serve.serve({"nothing": nothing, "insert": insert}[sys.argv[1]](), "127.0.0.1", int(sys.argv[2]), Limits()))
