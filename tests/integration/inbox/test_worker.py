from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from connectors.contract import Delivery, Item, Kind, Observation, Page, SubjectRef
from service.db.engine import Database, driver
from service.errors import Misconfigured
from service.inbox.land import Lander, land_pages
from service.ledger.posting import RetryExclusive
from service.pipeline import claim
from service.pipeline.claim import LeaseLost
from service.pipeline.worker import BATCHES, DrainSummary, Worker
from service.records import ClaimedDelivery, Fate, Outcome, SourceRow
from service.settings import Settings
from tests.integration.inbox.world import SETTINGS, TOYS, Clock, FakePost, Toy, count, make_source, rows

CLOCK = Clock()
CONTEXT = CLOCK.context()
QUEUED_AGAIN = "select workspace_id, source_id, delivery_id, received_at, received_at from deliveries"


@pytest_asyncio.fixture
async def lander(database: Database) -> AsyncIterator[Lander]:
    made = Lander(database, CONTEXT, SETTINGS)
    await made.start()
    yield made
    await made.stop()


async def land(lander: Lander, source: SourceRow, *bodies: bytes) -> None:
    await asyncio.gather(*(lander.land(source, key=body.decode(), body=body) for body in bodies))


def worker(database: Database, post: FakePost, settings: Settings = SETTINGS, clock: Clock | None = None) -> Worker:
    return Worker(database, (clock or CLOCK).context(), settings, TOYS, post=post)


def changed(**values: Any) -> Settings:
    return SETTINGS.model_copy(update=values)


async def outcomes(database: Database, source: SourceRow) -> list[Any]:
    query = "select * from delivery_outcomes where workspace_id = :w order by delivery_id, turn"
    return await rows(database, source.workspace_id, query)


# ------------------------------------------------------------------------------------------------ the plain road


async def test_what_is_queued_is_posted_once_and_leaves_nothing_behind(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT, options={"flavour": "sour"})
    await land(lander, source, b"1", b"2", b"bad")
    post = FakePost()
    summary = await worker(database, post).drain()
    assert summary == DrainSummary(batches=1, posted=2, dead=1, items=3, drops=3)
    assert sorted(post.bodies) == [b"1", b"2", b"bad"]
    assert {delivery.options["flavour"] for delivery in post.batches[0]} == {"sour"}
    found = await outcomes(database, source)
    assert sorted(row.outcome for row in found) == ["dead", "posted", "posted"]
    assert [(row.turn, row.attempts, row.connector_version, row.items) for row in found] == [(1, 1, "1", 1)] * 3
    assert found[0].drops == [{"reason": "malformed", "row": 1, "detail": "a � b"}]
    for table in ("delivery_queue", "pending_work"):
        assert await count(database, source.workspace_id, table) == 0
    assert await worker(database, post).drain() == DrainSummary()


class Counting(Toy):
    """Reads every body as the likes of one post."""

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        yield Observation(subject=SubjectRef("p"), kind=Kind.LIFETIME, metrics={"likes": int(delivery.body)})


async def test_the_books_of_the_real_ledger_have_what_was_landed(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    for likes in (b"3", b"5"):
        await land(lander, source, likes)
    summary = await Worker(database, CONTEXT, SETTINGS, {"toy": Counting()}).drain()
    assert (summary.posted, summary.items) == (2, 2)
    (balance,) = await rows(database, source.workspace_id, "select likes from balances")
    assert balance.likes == 5
    assert {row.posting for row in await outcomes(database, source)} == {1}
    await rows(database, source.workspace_id, f"insert into delivery_queue {QUEUED_AGAIN} returning 1")
    await Worker(database, CONTEXT, SETTINGS, {"toy": Counting()}).drain()
    assert [row.likes for row in await rows(database, source.workspace_id, "select likes from balances")] == [5]


async def test_one_batch_is_of_one_source_and_bounded(database: Database, lander: Lander) -> None:
    one = await make_source(database, CONTEXT)
    two = await make_source(database, CONTEXT, one.workspace_id)
    other = await make_source(database, CONTEXT)
    for source in (one, two, other):
        await land(lander, source, *(b"%d" % number for number in range(25)))
    post = FakePost()
    summary = await worker(database, post, changed(worker_batch=10)).drain()
    assert summary.posted == 75
    assert sorted(len(batch) for batch in post.batches) == [5] * 3 + [10] * 6


async def test_a_batch_is_bounded_in_bytes_and_takes_one_at_least(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    for body in (b"a" * 60, b"b" * 60, b"c" * 30, b"d" * 200, b"e"):
        await land(lander, source, body)
    lease = await claim.lease_next(database, CONTEXT.now(), 60)
    assert lease is not None
    taken = []
    for _ in range(4):
        async with database.workspace(source.workspace_id) as connection:
            batch = await claim.take(connection, lease, 10, 100, CONTEXT.now())
            raw = await driver(connection)
            for delivery in batch:
                await raw.execute("delete from delivery_queue where delivery_id = $1", delivery.delivery_id)
        taken.append([len(delivery.body) for delivery in batch])
    assert taken == [[60], [60, 30], [200], [1]]


async def test_a_source_with_much_to_do_lets_others_have_their_turn(database: Database, lander: Lander) -> None:
    busy = await make_source(database, CONTEXT)
    await land(lander, busy, *(b"%d" % number for number in range(30)))
    quiet = await make_source(database, CONTEXT)
    await land(lander, quiet, b"quiet")
    post = FakePost()
    await worker(database, post, changed(worker_batch=1)).drain()
    assert post.bodies.index(b"quiet") == 4


async def test_a_replay_is_the_next_turn(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    await worker(database, FakePost()).drain()
    await rows(database, source.workspace_id, f"insert into delivery_queue {QUEUED_AGAIN} returning 1")
    await worker(database, FakePost()).drain()  # the hint is missing: the sweep finds it
    assert [row.turn for row in await outcomes(database, source)] == [1, 2]


async def test_run_is_woken_by_the_lander_and_stops_when_told(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    done, stop, post = asyncio.Event(), asyncio.Event(), FakePost(lambda _: done.set())
    settings = changed(worker_poll_seconds=3600.0)
    runner = Worker(database, CONTEXT, settings, TOYS, wake=lander.landed, post=post)
    running = asyncio.create_task(runner.run(stop))
    async with asyncio.timeout(30):
        await asyncio.sleep(0.5)  # it has found nothing by now, and would look again in an hour
        await land(lander, source, b"1")
        await done.wait()
        stop.set()
        await running
    assert post.bodies == [b"1"]
    assert await count(database, source.workspace_id, "delivery_queue") == 0


async def test_workers_side_by_side_post_everything_once(database: Database, lander: Lander) -> None:
    sources = [await make_source(database, CONTEXT) for _ in range(3)]
    for source in sources:
        await land(lander, source, *(b"%d" % number for number in range(40)))
    posts = [FakePost(lambda _: asyncio.sleep(0.001)) for _ in range(3)]
    await asyncio.gather(*(worker(database, post, changed(worker_batch=7)).drain() for post in posts))
    await worker(database, posts[0]).drain()
    together = [delivery.delivery_id for post in posts for batch in post.batches for delivery in batch]
    assert len(together) == len(set(together)) == 120
    for source in sources:
        assert await count(database, source.workspace_id, "delivery_outcomes") == 40


# ------------------------------------------------------------------------------------------------ poison


def poisoned(*bodies: bytes) -> FakePost:
    def check(deliveries: Sequence[ClaimedDelivery]) -> None:
        if any(delivery.body in bodies for delivery in deliveries):
            raise ZeroDivisionError

    return FakePost(check)


async def test_a_poisoned_delivery_fails_alone_and_waits_longer_each_time(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, *(b"%d" % number for number in range(20)))
    clock = Clock()
    post = poisoned(b"7")
    runner = worker(database, post, changed(retry_seconds=100.0, max_attempts=3), clock)
    summary = await runner.drain()
    assert (summary.posted, summary.postponed, summary.dead) == (19, 1, 0)
    (queued,) = await rows(database, source.workspace_id, "select * from delivery_queue")
    assert (queued.attempt, queued.error) == (1, "ZeroDivisionError")
    assert timedelta(seconds=90) < queued.ready_at - clock.now() <= timedelta(seconds=100)
    (hint,) = await rows(database, source.workspace_id, "select * from pending_work")
    assert (hint.ready_at, hint.lease_until) == (queued.ready_at, None)
    clock.ahead += timedelta(seconds=101)
    assert (await runner.drain()).postponed == 1
    (queued,) = await rows(database, source.workspace_id, "select * from delivery_queue")
    assert timedelta(seconds=190) < queued.ready_at - clock.now() <= timedelta(seconds=200)
    clock.ahead += timedelta(seconds=201)
    assert (await runner.drain()).dead == 1
    (dead,) = [row for row in await outcomes(database, source) if row.outcome == "dead"]
    assert (dead.attempts, dead.error) == (3, "failed 3 times: ZeroDivisionError")
    assert await count(database, source.workspace_id, "delivery_queue") == 0
    assert await count(database, source.workspace_id, "pending_work") == 0


async def test_new_deliveries_do_not_wait_for_a_poisoned_one(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    post = poisoned(b"7")
    runner = worker(database, post, changed(retry_seconds=1000.0))
    await land(lander, source, b"7")
    await runner.drain()
    await land(lander, source, b"8")
    assert (await runner.drain()).posted == 1


async def test_trouble_that_passes_blames_no_delivery(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1", b"2")
    troubles: list[Exception] = [
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
        ConnectionResetError(),
        RetryExclusive(),
    ]
    post = FakePost(lambda _: _raise(troubles))
    assert (await worker(database, post).drain()).posted == 2
    assert post.exclusive == [False] * 4 + [True]
    assert [row.attempts for row in await outcomes(database, source)] == [1, 1]


def _raise(troubles: list[Exception]) -> None:
    if troubles:
        raise troubles.pop(0)


async def test_a_connection_that_is_cut_in_the_middle_is_replaced(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    cut = [True]

    class Cutting(FakePost):
        async def __call__(self, connection: Any, *arguments: Any, **more: Any) -> Any:
            result = await super().__call__(connection, *arguments, **more)
            if cut.pop() if cut else False:
                (await driver(connection)).terminate()
            return result

    assert (await worker(database, Cutting()).drain()).posted == 1
    assert [row.attempts for row in await outcomes(database, source)] == [1]


async def test_a_database_that_stays_in_trouble_ends_the_drain_and_the_source_is_put_off(
    database: Database, lander: Lander
) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    post = FakePost(lambda _: _raise([asyncpg.DeadlockDetectedError()]))
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await worker(database, post).drain()
    assert len(post.exclusive) == 5
    (hint,) = await rows(database, source.workspace_id, "select * from pending_work")
    assert hint.lease_until is None
    (queued,) = await rows(database, source.workspace_id, "select * from delivery_queue")
    assert queued.attempt == 0
    assert (await worker(database, FakePost()).drain()).posted == 1


async def test_a_missing_connector_puts_its_source_off_and_kills_nothing(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT, connector="gone")
    fine = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    await land(lander, fine, b"2")

    def check(deliveries: Sequence[ClaimedDelivery]) -> None:
        if deliveries[0].connector == "gone":
            raise Misconfigured("not installed")

    summary = await worker(database, FakePost(check)).drain()
    assert (summary.posted, summary.postponed) == (1, 0)
    (queued,) = await rows(database, source.workspace_id, "select * from delivery_queue")
    assert queued.attempt == 0
    with pytest.raises(Misconfigured, match="gone"):
        worker(database, FakePost())._connector("gone")


# ------------------------------------------------------------------------------------------------ leases


async def test_a_source_has_one_poster_until_the_lease_ends(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    now = CONTEXT.now()
    first = await claim.lease_next(database, now, 60)
    assert first is not None
    assert await claim.lease_next(database, now + timedelta(seconds=59), 60) is None
    assert await claim.extend(database, first, now + timedelta(seconds=120))
    assert await claim.lease_next(database, now + timedelta(seconds=100), 60) is None
    second = await claim.lease_next(database, now + timedelta(seconds=120), 60)
    assert second is not None
    assert second.term > first.term
    assert not await claim.extend(database, first, now + timedelta(seconds=999))


async def test_a_worker_that_lost_its_lease_writes_nothing(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1", b"2")
    clock = Clock()

    class Slow(FakePost):
        async def __call__(self, connection: Any, workspace_id: Any, *arguments: Any, **more: Any) -> Any:
            result = await super().__call__(connection, workspace_id, *arguments, **more)
            mark = "insert into strategies select :w, :w, 'zombie', '', '[]', null, null, now(), now()"
            await connection.execute(sa.text(mark), {"w": workspace_id})
            taken = await claim.lease_next(database, clock.now() + timedelta(seconds=61), 60)
            assert taken is not None
            return result

    summary = await worker(database, Slow(), clock=clock).drain()
    assert summary == DrainSummary()
    for table in ("strategies", "delivery_outcomes"):
        assert await count(database, source.workspace_id, table) == 0
    clock.ahead += timedelta(seconds=122)
    assert (await worker(database, FakePost(), clock=clock).drain()).posted == 2


async def test_terms_are_not_reused_when_the_row_is_made_anew(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    zombie = await claim.lease_next(database, CONTEXT.now(), 60)
    assert zombie is not None
    clock = Clock()
    clock.ahead = timedelta(seconds=61)
    assert (await worker(database, FakePost(), clock=clock).drain()).posted == 1
    assert await count(database, source.workspace_id, "pending_work") == 0
    await land(lander, source, b"2")
    fresh = await claim.lease_next(database, clock.now(), 60)
    assert fresh is not None
    assert fresh.term != zombie.term
    done = Outcome(delivery_id=CONTEXT.new_id(), received_at=clock.now(), fate=Fate.POSTED, connector_version="1")
    for ending in claim.Ending:
        with pytest.raises(LeaseLost):
            async with database.workspace(source.workspace_id) as connection:
                await claim.finish(connection, zombie, [done], clock.now(), ending)
    (held,) = await rows(database, source.workspace_id, "select * from pending_work")
    assert held.term == fresh.term
    assert held.lease_until is not None


async def test_a_turn_ends_in_the_transaction_of_its_last_batch(
    database: Database, lander: Lander, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await make_source(database, CONTEXT)
    bodies = [b"%d" % number for number in range(BATCHES + 1)]
    await land(lander, source, *bodies)
    monkeypatch.setattr(claim, "give_back", None)
    terms: list[int] = []

    async def note(_deliveries: object) -> None:
        (leased,) = await rows(database, source.workspace_id, "select * from pending_work")
        assert leased.lease_until is not None
        terms.append(leased.term)

    post = FakePost(note)
    assert (await worker(database, post, changed(worker_batch=1)).drain()).posted == len(bodies)
    assert sorted(post.bodies) == bodies
    assert [terms.count(term) for term in sorted(set(terms))] == [BATCHES, 1]
    assert await count(database, source.workspace_id, "pending_work") == 0


async def test_a_lease_is_kept_while_the_work_goes_on(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    post = FakePost(lambda _: asyncio.sleep(0.5))
    first = worker(database, post, changed(lease_seconds=0.3))
    second = FakePost()
    working = asyncio.create_task(first.drain())
    await asyncio.sleep(0.1)
    while not working.done():
        await worker(database, second, changed(lease_seconds=0.3)).drain()
        await asyncio.sleep(0.02)
    assert (await working).posted == 1
    assert second.batches == []


async def test_a_delivery_that_lands_while_the_worker_leaves_keeps_its_hint(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    now = CONTEXT.now()
    lease = await claim.lease_next(database, now, 60)
    assert lease is not None
    await rows(database, source.workspace_id, "delete from delivery_queue returning 1")
    page = Page(body=b"2", request={}, cursor={}, received_at=now)

    async def leave() -> None:
        async with database.workspace(source.workspace_id) as connection:
            await claim.leave(connection, lease, now, now + timedelta(seconds=1))

    async with database.workspace(source.workspace_id) as connection:
        await land_pages(connection, source, [page], ("all", "now"), CONTEXT)
        leaving = asyncio.create_task(leave())
        await asyncio.sleep(0.3)
    await leaving
    assert await count(database, source.workspace_id, "pending_work") == 1
    (hinted,) = await rows(database, source.workspace_id, "select * from pending_work")
    assert hinted.ready_at < now + timedelta(seconds=1)
    assert (await worker(database, FakePost()).drain()).posted == 1


async def test_what_lands_while_a_batch_is_posted_waits_for_no_pause(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    late = [b"2", b"3"]

    async def more(_deliveries: object) -> None:
        if late:
            await land(lander, source, late.pop(0))

    post = FakePost(more)
    assert (await worker(database, post, changed(worker_poll_seconds=60)).drain()).batches == 3
    assert post.bodies == [b"1", b"2", b"3"]
    assert await count(database, source.workspace_id, "pending_work") == 0


async def test_what_a_dead_worker_holds_is_looked_at_again_a_little_later(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    clock = Clock()
    async with database.workspace(source.workspace_id) as connection:
        lease = await claim.lease_next(database, clock.now(), 60)
        assert lease is not None
        await claim.take(connection, lease, 10, 100, clock.now())
        clock.ahead += timedelta(seconds=61)
        assert (await worker(database, FakePost(), clock=clock).drain()).posted == 0
    (hint,) = await rows(database, source.workspace_id, "select * from pending_work")
    assert hint.ready_at > clock.now() - timedelta(seconds=1)
    clock.ahead += timedelta(seconds=1)
    assert (await worker(database, FakePost(), clock=clock).drain()).posted == 1


async def test_half_a_batch_that_is_gone_does_not_end_the_lease(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await land(lander, source, b"1")
    lease = await claim.lease_next(database, CONTEXT.now(), 60)
    assert lease is not None
    assert await worker(database, FakePost())._post_batch(lease, [CONTEXT.new_id()])
    (hint,) = await rows(database, source.workspace_id, "select * from pending_work")
    assert hint.lease_until is not None


async def test_a_queued_delivery_that_retention_took_leaves_the_queue(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    values = {"s": source.source_id, "id": CONTEXT.new_id(), "now": CONTEXT.now()}
    await rows(
        database,
        source.workspace_id,
        "insert into delivery_queue values (:w, :s, :id, :now, :now) returning 1",
        **values,
    )
    assert (await worker(database, FakePost()).drain()).deliveries == 0
    await worker(database, FakePost()).drain()
    assert await count(database, source.workspace_id, "delivery_queue") == 0


def test_summaries_add_up() -> None:
    summary = msgspec.structs.replace(DrainSummary(), posted=2, dead=1)
    assert summary.deliveries == 3
