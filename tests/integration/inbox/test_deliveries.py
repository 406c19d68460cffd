from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from service import context as contexts
from service.db.engine import Database
from service.errors import NotFound
from service.inbox import deliveries
from service.inbox.deliveries import Chosen, DeliveryRow, State
from service.inbox.land import Lander
from service.pipeline.worker import DrainSummary, Worker
from service.records import SourceRow
from tests.integration.inbox.world import SETTINGS, TOYS, FakePost, count, make_source, make_workspace

CONTEXT = contexts.real()


@pytest_asyncio.fixture
async def lander(database: Database) -> AsyncIterator[Lander]:
    made = Lander(database, CONTEXT, SETTINGS)
    await made.start()
    yield made
    await made.stop()


async def land(lander: Lander, source: SourceRow, *bodies: bytes) -> list[UUID]:
    """Land bodies one after the other and return the ids of their deliveries."""
    return [(await lander.land(source, key=body.decode(), body=body)).delivery_id for body in bodies]


async def listed(database: Database, workspace_id: UUID, *, limit: int = 100, **chosen: Any) -> list[DeliveryRow]:
    async with database.workspace(workspace_id) as connection:
        return await deliveries.listing(connection, workspace_id, Chosen(**chosen), limit)


async def replay(database: Database, workspace_id: UUID, **chosen: Any) -> int:
    async with database.workspace(workspace_id) as connection:
        return await deliveries.replay(
            connection,
            workspace_id,
            Chosen(**chosen),
            CONTEXT.now(),
            "key_1",
        )


async def drain(database: Database) -> DrainSummary:
    return await Worker(database, CONTEXT, SETTINGS, TOYS, post=FakePost()).drain()


async def test_a_delivery_tells_where_it_stands(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    fine, bad = await land(lander, source, b"fine", b"bad")
    workspace_id = source.workspace_id
    queued = await listed(database, workspace_id)
    assert [(row.delivery_id, row.state, row.attempts, row.last) for row in queued] == [
        (bad, State.QUEUED, 0, None),
        (fine, State.QUEUED, 0, None),
    ]
    await drain(database)
    async with database.workspace(workspace_id) as connection:
        row = await deliveries.get(connection, workspace_id, bad)
        assert await deliveries.body(connection, workspace_id, fine) == b"fine"
        (turn,) = await deliveries.turns(connection, workspace_id, bad)
    assert (row.state, row.size, row.channel, row.connector, row.attempts) == (State.DEAD, 3, "webhook", "toy", None)
    assert row.last == turn
    assert (turn.turn, turn.outcome, turn.error, turn.attempts, turn.items) == (1, "dead", "BadPayload", 1, 1)
    assert turn.drops == [{"reason": "malformed", "row": 1, "detail": "a � b"}]


async def test_a_changed_body_points_at_the_first(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    first = await lander.land(source, key="k", body=b"1")
    await lander.land(source, key="k", body=b"2")
    rows = await listed(database, source.workspace_id)
    assert [row.conflict_of for row in rows] == [first.delivery_id, None]


async def test_deliveries_are_chosen_by_every_stated_condition(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    other = await make_source(database, CONTEXT, source.workspace_id)
    one, bad = await land(lander, source, b"one", b"bad")
    (two,) = await land(lander, other, b"two")
    await drain(database)
    (three,) = await land(lander, other, b"three")

    async def ids(**chosen: Any) -> list[UUID]:
        return [row.delivery_id for row in await listed(database, source.workspace_id, **chosen)]

    assert await ids() == [three, two, bad, one]
    assert await ids(source_id=other.source_id) == [three, two]
    assert await ids(state=State.DEAD) == [bad]
    assert await ids(state=State.POSTED) == [two, one]
    assert await ids(state=State.QUEUED, source_id=other.source_id) == [three]
    assert await ids(delivery_ids=(one, two)) == [two, one]
    assert await ids(delivery_ids=()) == []
    at = {row.delivery_id: row.received_at for row in await listed(database, source.workspace_id)}
    assert await ids(since=at[bad], until=at[three]) == [two, bad]


async def test_pages_follow_each_other_without_gap_or_repeat(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await asyncio.gather(*(lander.land(source, key=str(number), body=b"x") for number in range(25)))
    seen: list[UUID] = []
    async with database.workspace(source.workspace_id) as connection:
        while True:
            before = seen[-1] if seen else None
            page = await deliveries.listing(connection, source.workspace_id, Chosen(), 10, before)
            seen += [row.delivery_id for row in page]
            if len(page) < 10:
                break
    assert len(seen) == len(set(seen)) == 25


@pytest.mark.parametrize("known", [True, False])
async def test_what_is_not_in_the_workspace_does_not_exist(database: Database, lander: Lander, known: bool) -> None:
    source = await make_source(database, CONTEXT)
    stranger = await make_workspace(database, CONTEXT)
    (delivery_id,) = await land(lander, source, b"x")
    workspace_id = stranger if known else source.workspace_id
    asked = [delivery_id] if known else [UUID(int=0), CONTEXT.new_id(), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")]
    for each in asked:
        async with database.workspace(workspace_id) as connection:
            for read in (deliveries.get, deliveries.body, deliveries.turns):
                with pytest.raises(NotFound):
                    await read(connection, workspace_id, each)
            with pytest.raises(NotFound):
                await deliveries.listing(connection, workspace_id, Chosen(), 10, before=each)
        assert await replay(database, workspace_id, delivery_ids=(each,)) == 0


async def test_a_page_that_waited_before_it_was_kept_is_found_by_its_id(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    (delivery_id,) = await land(lander, source, b"x")
    late = CONTEXT.new_id().int & (1 << 80) - 1 | (delivery_id.int >> 80) + 3_600_000 << 80
    insert = (
        "insert into deliveries select workspace_id, received_at, '{}', source_id, channel, connector, options, headers"
    )
    insert = insert.format(UUID(int=late)) + ", request, body, body_hash from deliveries"
    async with database.workspace(source.workspace_id) as connection:
        await connection.exec_driver_sql(insert)
        assert (await deliveries.get(connection, source.workspace_id, UUID(int=late))).size == 1


# ------------------------------------------------------------------------------------------------ replay


async def test_a_replay_reads_again_and_twice_is_once(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    fine, bad = await land(lander, source, b"fine", b"bad")
    await drain(database)
    workspace_id = source.workspace_id
    assert await replay(database, workspace_id, state=State.DEAD) == 1
    assert await replay(database, workspace_id, delivery_ids=(bad,)) == 0
    (row,) = await listed(database, workspace_id, state=State.QUEUED)
    assert (row.delivery_id, row.attempts) == (bad, 0)
    assert row.last is not None
    assert await count(database, workspace_id, "pending_work") == 1
    assert (await drain(database)).dead == 1
    async with database.workspace(workspace_id) as connection:
        assert [turn.turn for turn in await deliveries.turns(connection, workspace_id, bad)] == [1, 2]
        assert [turn.turn for turn in await deliveries.turns(connection, workspace_id, fine)] == [1]


async def test_replays_are_chosen_by_source_and_time(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    other = await make_source(database, CONTEXT, source.workspace_id)
    await land(lander, source, b"1", b"2", b"3")
    await land(lander, other, b"4")
    await drain(database)
    workspace_id = source.workspace_id
    rows = await listed(database, workspace_id, source_id=source.source_id)
    assert await replay(database, workspace_id, source_id=source.source_id, since=rows[1].received_at) == 2
    assert await replay(database, workspace_id, until=rows[0].received_at) == 1
    assert await replay(database, workspace_id) == 1
    assert (await drain(database)).posted == 4


async def test_a_replay_at_the_end_of_its_first_reading_is_read_again(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        reading.set()
        await go_on.wait()

    worker = Worker(database, CONTEXT, SETTINGS, TOYS, post=FakePost(lambda _: pause()))
    working = asyncio.create_task(worker.drain())
    await reading.wait()
    assert await replay(database, source.workspace_id) == 0
    go_on.set()
    assert (await working).posted == 1
    assert await replay(database, source.workspace_id, since=CONTEXT.now() - timedelta(hours=1)) == 1
    assert (await drain(database)).posted == 1
