"""A process of the service that pulls and posts, told by lines what to do: what ``tallybook serve`` runs, without HTTP.

It is put together by the composition root: rounds pull as the scheduler lets them, a worker posts what lands. Beside
that it adds up what its SQL takes, as the client sees it: the server has no statistics of statements.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from uvicorn.loops.auto import auto_loop_factory

from benchmarks import children
from benchmarks.office import CONNECTORS
from service import context as contexts
from service import memory, telemetry
from service.api.state import Services
from service.app import open_services, rounds_of
from service.fetch.plan import TaskState
from service.pipeline.run import posting_with
from service.pipeline.worker import Worker
from service.settings import Settings

_SHOWN = 60
_LISTED = 12


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is started with: its settings, whose sources it pulls, whether it posts."""

    settings: dict[str, Any]
    workspace: UUID
    sources: tuple[UUID, ...] = ()
    posts: bool = True


class Statements:
    """Seconds and calls by the first words of a statement."""

    def __init__(self, parts: Services) -> None:
        self._spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        sa.event.listen(parts.db.engine.sync_engine, "checkout", self._connected)

    def _connected(self, connection: Any, _record: Any, _proxy: Any) -> None:
        connection.driver_connection.add_query_logger(self._heard)

    def _heard(self, query: Any) -> None:
        spent = self._spent[" ".join(query.query.split())[:_SHOWN]]
        spent[0] += query.elapsed
        spent[1] += 1

    def most(self) -> list[tuple[str, float, int]]:
        """Return what took longest: text, seconds, calls."""
        ranked = sorted(self._spent.items(), key=lambda pair: -pair[1][0])[:_LISTED]
        return [(text, round(seconds, 3), int(calls)) for text, (seconds, calls) in ranked]

    def forget(self) -> None:
        """Begin anew."""
        self._spent.clear()


async def _pull(parts: Services, orders: Orders) -> dict[str, Any]:
    rounds = rounds_of(parts)
    pulled = await asyncio.gather(*(rounds.fetch_source(orders.workspace, source) for source in orders.sources))
    done = [one for of_source in pulled for one in of_source]
    bad = [one.error or str(one.state) for one in done if one.state is not TaskState.DONE]
    return {"pages": sum(one.pages for one in done), "stored": sum(one.stored for one in done), "bad": bad}


async def _obey(parts: Services, orders: Orders, statements: Statements) -> None:
    while (order := await children.heard()) is not None:
        if order["do"] == "pull":
            children.answer(**await _pull(parts, orders))
        else:
            children.answer(**children.usage(), statements=statements.most())
            statements.forget()


async def _main(orders: Orders) -> None:
    settings = Settings.model_validate(orders.settings)
    telemetry.configure_logging("error")
    async with open_services(settings, contexts.real(), CONNECTORS) as parts:
        memory.settle()
        statements, stop = Statements(parts), asyncio.Event()
        worker = Worker(
            parts.db,
            parts.context,
            parts.settings,
            parts.connectors,
            wake=parts.lander.landed,
            post=posting_with(parts.vault),
        )
        posting = [asyncio.create_task(worker.run(stop))] if orders.posts else []
        children.answer(ready=True)
        await _obey(parts, orders, statements)
        stop.set()
        await asyncio.gather(*posting)


def main() -> None:
    """Obey until the starter has no more orders."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_main(msgspec.json.decode(sys.argv[1], type=Orders)))


if __name__ == "__main__":
    main()
