from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client import Gauge

from service import telemetry
from service.db.engine import Database
from service.fetch import schedule
from service.fetch.schedule import Scheduler
from tests.integration.fetch.test_pull import Book, Site, kept, task_rows
from tests.integration.inbox.world import SETTINGS, Clock, count, make_source

QUICK = SETTINGS.model_copy(update={"schedule_seconds": 0.1})


def scheduler(database: Database, clock: Clock, site: Site) -> Scheduler:
    return Scheduler(database, clock.context(), QUICK, site.rounds)


async def settled(one: Scheduler) -> None:
    for task in list(one._running.values()):
        await asyncio.wait({task})


async def test_it_fetches_what_becomes_due_and_stops_when_told(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    site = Site(database, clock, Book(clock).fetch)
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler(database, clock, site).run(stop))
    for _ in range(200):
        if await count(database, source.workspace_id, "deliveries") < 5:
            await asyncio.sleep(0.05)
    clock.ahead += timedelta(minutes=15)
    for _ in range(200):
        if await count(database, source.workspace_id, "deliveries") < 10:
            await asyncio.sleep(0.05)
    stop.set()
    await running
    assert [row.state for row in await task_rows(database, source)] == ["done", "done"]


async def test_two_timers_change_nothing(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    site = Site(database, clock, book.fetch)
    both = [scheduler(database, clock, site) for _ in range(2)]
    await asyncio.gather(*(one.tick() for one in both))
    await asyncio.gather(*(settled(one) for one in both))
    assert book.given == [1, 2, 3, 4, 5]
    assert await count(database, source.workspace_id, "fetch_tasks") == 1


async def test_a_slow_source_does_not_hold_up_the_others(database: Database) -> None:
    clock = Clock()
    slow = await make_source(database, clock.context())
    hang, hangs = asyncio.Event(), asyncio.Event()
    book = Book(clock)

    async def wait(number: int) -> None:
        if number == 2 and not hangs.is_set():
            hangs.set()
            await hang.wait()

    book.before = wait
    site = Site(database, clock, book.fetch)
    one = scheduler(database, clock, site)
    await one.tick()
    await hangs.wait()
    quick = await make_source(database, clock.context())
    await one.tick()
    for _ in range(200):
        if await count(database, quick.workspace_id, "deliveries") < 5:
            await asyncio.sleep(0.02)
    assert await count(database, quick.workspace_id, "deliveries") == 5
    assert await count(database, slow.workspace_id, "deliveries") == 1
    hang.set()
    await settled(one)


async def test_the_number_of_sources_at_once_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "SIDE_BY_SIDE", 2)
    clock = Clock()
    rows = [await make_source(database, clock.context()) for _ in range(5)]
    site = Site(database, clock, Book(clock).fetch)
    one = scheduler(database, clock, site)
    most = 0
    for _ in range(4):
        await one.tick()
        most = max(most, len(one._running))
        await settled(one)
    assert most == 2
    for row in rows:
        assert await count(database, row.workspace_id, "deliveries") == 5


async def test_a_quiet_workspace_is_not_asked_again_at_once(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    site = Site(database, clock, Book(clock).fetch)
    one = scheduler(database, clock, site)
    for _ in range(2):
        await one.tick()
        await settled(one)
    asked: list[object] = []
    plan = site.rounds.plan

    async def counting(workspace_id: object) -> object:
        asked.append(workspace_id)
        return await plan(source.workspace_id)

    site.rounds.plan = counting  # type: ignore[method-assign, assignment]
    await one.tick()
    await one.tick()
    assert asked == []
    clock.ahead += schedule.LONGEST_QUIET
    await one.tick()
    assert asked == [source.workspace_id]
    await settled(one)


async def test_stopping_lets_go_of_what_is_being_pulled(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    book = Book(clock)
    hangs = asyncio.Event()

    async def hang(number: int) -> None:
        if number == 3:
            hangs.set()
            await asyncio.sleep(3600)

    book.before = hang
    site = Site(database, clock, book.fetch)
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler(database, clock, site).run(stop))
    await hangs.wait()
    await kept(database, source, 2)
    stop.set()
    await running
    (row,) = await task_rows(database, source)
    assert (row.state, row.pages) == ("waiting", 2)


async def test_a_tick_that_fails_is_not_the_last(database: Database) -> None:
    clock = Clock()
    source = await make_source(database, clock.context())
    site = Site(database, clock, Book(clock).fetch)
    known, failures = site.rounds.known, [ZeroDivisionError(), ConnectionResetError()]

    async def failing() -> list[object]:
        if failures:
            raise failures.pop()
        return list(await known())

    site.rounds.known = failing  # type: ignore[method-assign, assignment]
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler(database, clock, site).run(stop))
    for _ in range(200):
        if await count(database, source.workspace_id, "deliveries") < 5:
            await asyncio.sleep(0.05)
    stop.set()
    await running
    assert await count(database, source.workspace_id, "deliveries") == 5


async def test_partitions_are_made_ahead_of_time(database: Database) -> None:
    clock = Clock()
    site = Site(database, clock, Book(clock).fetch)
    clock.ahead += timedelta(days=20)
    await scheduler(database, clock, site).maintain()
    assert value(telemetry.PARTITION_DAYS) == 35
    async with database.control() as connection:
        last = await connection.scalar(sa.text("select tallybook_last_partition()"))
    assert last == clock.now().date() + timedelta(days=35)


def value(gauge: Gauge) -> float:
    (sample,) = next(iter(gauge.collect())).samples
    return sample.value
