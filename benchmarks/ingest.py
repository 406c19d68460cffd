"""Ingestion: pages of a platform become posted entries and tallies, against dlt, Singer and a bare COPY.

The clock runs from the order to pull until nothing is queued any more. The rounds of all contestants take turns, each
in a fresh database; the replay pulls the same pages once more in the next slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks import office, peers
from benchmarks.children import Child, child
from benchmarks.figures import Figure, ratios
from benchmarks.ground import Ground
from benchmarks.office import Office
from benchmarks.pages import Shape
from benchmarks.plan import NARROW, PROCESSES, SOURCES, WIDE, Sizes
from benchmarks.worker_process import Orders
from service import context as contexts
from service.app import open_services

_BOOKS = ("entries", "balances", "confirmations", "events", "subject_days", "campaign_days")
_SIZE = """
select coalesce(sum(pg_total_relation_size(t.relid)), 0)
from unnest($1::text[]) as named (name) cross join lateral pg_partition_tree(named.name::regclass) as t where t.isleaf
"""
_LOOK = 0.01


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One ingestion: seconds, what the processes and the server took, and how much the books hold."""

    seconds: float
    again: float
    python_cpu: float
    postgres_cpu: float
    wal_bytes: int
    book_bytes: int
    rss_mb: float
    statements: list[Any]


class Group(msgspec.Struct):
    """The processes of one ingestion."""

    children: list[Child]

    async def pull(self) -> None:
        """Let every process pull its sources. Raises where one could not."""
        for one in await asyncio.gather(*(process.ask(do="pull") for process in self.children)):
            if one["bad"]:
                raise RuntimeError(f"a source could not be pulled: {one['bad'][0]}")

    async def usage(self) -> list[dict[str, Any]]:
        """Return what each process has taken."""
        return [await process.ask(do="tell") for process in self.children]


class Served(NamedTuple):
    """A server of pages: where it answers, and its process."""

    address: str
    process: Child

    async def cpu(self) -> float:
        """Return the CPU seconds that it has taken so far."""
        return float((await self.process.ask(do="tell"))["cpu"])


@asynccontextmanager
async def served(shape: Shape) -> AsyncIterator[Served]:
    """Serve the pages of a shape."""
    async with child("-m", "benchmarks.pages", msgspec.json.encode(shape).decode()) as server:
        yield Served((await server.hear())["address"], server)


async def set_up(ground: Ground, database: str, **more: Any) -> Office:
    """Make the workspace of a benchmark in a fresh database."""
    async with open_services(ground.settings(database), contexts.real(), office.CONNECTORS) as parts:
        return await office.opened(parts, **more)


@asynccontextmanager
async def started(
    ground: Ground, database: str, made: Office, address: str, processes: int = PROCESSES, **more: Any
) -> AsyncIterator[Group]:
    """Start the processes, the sources dealt out among them; they wait for the order to pull."""
    url = ground.environ(database)["TALLYBOOK_DATABASE_URL"]
    settings = {"database_url": url, "master_key": ground.master, "connector_urls": {"synthetic": address}}
    async with AsyncExitStack() as stack:
        group = Group([])
        for number in range(processes):
            own = tuple(made.sources[number::processes])
            orders = Orders(settings=settings, workspace=made.workspace_id, sources=own, **more)
            words = ("-m", "benchmarks.worker_process", msgspec.json.encode(orders).decode())
            group.children.append(await stack.enter_async_context(child(*words)))
        for process in group.children:
            await process.hear()
        yield group


async def drained(connection: Any) -> None:
    """Return once no delivery is queued."""
    while await connection.fetchval("select exists (select from delivery_queue)"):  # noqa: ASYNC110 - it is elsewhere
        await asyncio.sleep(_LOOK)


async def ours(ground: Ground, address: str, shape: Shape) -> Run:
    """Ingest all pages, and once more."""
    async with ground.database() as database:
        made = await set_up(ground, database)
        async with (
            ground.superuser(database) as connection,
            started(ground, database, made, address) as group,
        ):
            before = await group.usage()
            server, log = ground.cpu(), await connection.fetchval("select pg_current_wal_lsn()::text")
            seconds = await _timed(ground, connection, group)
            after, server = await group.usage(), ground.cpu() - server
            written = await connection.fetchval("select pg_wal_lsn_diff(pg_current_wal_lsn(), $1::text::pg_lsn)", log)
            size = await connection.fetchval(_SIZE, list(_BOOKS))
            await check(connection, shape.rows)
            again = await _timed(ground, connection, group)
            await check(connection, shape.rows)
    return Run(
        seconds=seconds,
        again=again,
        python_cpu=sum(one["cpu"] for one in after) - sum(one["cpu"] for one in before),
        postgres_cpu=server,
        wal_bytes=int(written),
        book_bytes=int(size),
        rss_mb=max(one["rss_mb"] for one in after),
        statements=_merged([one["statements"] for one in after]),
    )


async def _timed(ground: Ground, connection: Any, group: Group) -> float:
    begun = ground.context.monotonic()
    await group.pull()
    await drained(connection)
    return ground.context.monotonic() - begun


async def check(connection: Any, rows: int) -> None:
    """Raise unless the books hold every row once and every delivery was posted."""
    entries = await connection.fetchval("select count(*) from entries")
    bad = await connection.fetchval("select count(*) from delivery_outcomes where outcome <> 'posted' or drops <> '[]'")
    counted = await connection.fetchval("select count(distinct campaign_id) from campaign_days")
    if (entries, bad) != (rows, 0) or not counted:
        raise RuntimeError(f"the books hold {entries} entries of {rows}, {bad} deliveries failed or lost rows")


def _merged(listed: list[list[Any]]) -> list[Any]:
    found: dict[str, list[float]] = {}
    for statements in listed:
        for text, seconds, calls in statements:
            known = found.setdefault(text, [0.0, 0])
            known[0] += seconds
            known[1] += calls
    return sorted(([text, round(one, 2), calls] for text, (one, calls) in found.items()), key=lambda row: -row[1])


# ------------------------------------------------------------------------------------------------ rounds


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figures of ingestion at eight metrics and at all additive ones."""
    narrow = Shape(rows=sizes.rows, metrics=NARROW)
    wide = Shape(rows=sizes.wide_rows, metrics=WIDE)
    figures, details = await _contest(ground, sizes, narrow, "ingest", singer_rows=sizes.singer_rows)
    if not sizes.wide_rows:
        return figures, {"ingest": details}
    more, wider = await _contest(
        ground, sizes, wide, "wide", singer_rows=min(sizes.singer_rows, sizes.wide_rows), with_peers=sizes.wide_peers
    )
    return figures + more, {"ingest": details, "wide": wider}


async def _contest(
    ground: Ground, sizes: Sizes, shape: Shape, name: str, *, singer_rows: int, with_peers: bool = True
) -> tuple[list[Figure], dict[str, Any]]:
    rates: dict[str, list[float]] = {"ours": [], "again": [], "copy": [], "dlt": [], "singer": []}
    runs: list[Run] = []
    messages = ground.scratch / f"{name}.messages"
    if with_peers:
        await asyncio.to_thread(peers.write_messages, messages, shape, singer_rows)
    async with served(shape) as server:
        serving: list[float] = []
        for number in range(sizes.rounds):
            before = await server.cpu()
            runs.append(await ours(ground, server.address, shape))
            serving.append((await server.cpu() - before) / (2 * shape.rows) * 1_000_000)
            rates["ours"].append(shape.rows / runs[-1].seconds)
            rates["again"].append(shape.rows / runs[-1].again)
            async with ground.database(migrated=False) as database:
                rates["copy"].append(shape.rows / await peers.copy(ground, database, shape))
            if with_peers:
                async with ground.database(migrated=False) as database:
                    rates["dlt"].append(shape.rows / await peers.dlt(ground, database, server.address, shape))
                async with ground.database(migrated=False) as database:
                    rates["singer"].append(singer_rows / await peers.singer(ground, database, messages, singer_rows))
            told = ", ".join(f"{key} {found[-1]:.0f}" for key, found in rates.items() if found)
            print(f"  {name} {number + 1}/{sizes.rounds} rows/s: {told}", flush=True)
    note = (
        f"{shape.rows} rows of {len(shape.metrics)} metrics, {PROCESSES} worker processes, {SOURCES} sources, "
        f"the page server takes {median(serving):.1f} us a row"
    )
    return _figures(name, rates, runs, shape, note), {"rates": rates, "runs": msgspec.to_builtins(runs), "note": note}


def _figures(name: str, rates: dict[str, list[float]], runs: list[Run], shape: Shape, note: str) -> list[Figure]:
    found = [
        ratios(f"{name}_vs_{peer}", rates["ours"], rates[peer], note)
        for peer in ("dlt", "singer", "copy")
        if rates[peer]
    ]
    found.append(
        ratios("replay_speed" if name == "ingest" else "wide_replay_speed", rates["again"], rates["ours"], note)
    )
    if name == "ingest":
        size = tuple(run.book_bytes / shape.rows for run in runs)
        found.append(Figure(key="bytes_per_observation", runs=size, note=f"{len(shape.metrics)} metrics"))
    return found
