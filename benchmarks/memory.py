"""The memory of a worker that finds a long backlog: everything is landed first, then one process posts it all.

That is the worst case of the defaults: every batch is as large as it may be.
"""

from __future__ import annotations

from typing import Any

from benchmarks import ingest
from benchmarks.figures import Figure
from benchmarks.ground import Ground
from benchmarks.pages import Shape
from benchmarks.plan import NARROW, Sizes


async def measure(ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the peak memory of the worker; the puller's is told beside it."""
    shape = Shape(rows=sizes.memory_rows, metrics=NARROW)
    async with ground.database() as database, ingest.served(shape) as server:
        made = await ingest.set_up(ground, database)
        async with ground.superuser(database) as connection:
            async with ingest.started(ground, database, made, server.address, 1, posts=False) as group:
                await group.pull()
                (puller,) = await group.usage()
            begun = ground.context.monotonic()
            async with ingest.started(ground, database, made, server.address, 1) as group:
                await ingest.drained(connection)
                (worker,) = await group.usage()
            seconds = ground.context.monotonic() - begun
            await ingest.check(connection, shape.rows)
    rate = shape.rows / seconds
    print(
        f"  memory: worker {worker['rss_mb']:.0f} MB, puller {puller['rss_mb']:.0f} MB, {rate:.0f} rows/s", flush=True
    )
    note = f"{shape.rows} observations of {len(NARROW)} metrics queued, one process, {rate:.0f} rows/s"
    told = {"worker_mb": worker["rss_mb"], "puller_mb": puller["rss_mb"], "rows_per_second": rate}
    return [Figure(key="rss_mb", runs=(worker["rss_mb"],), note=note)], {"memory": told}
