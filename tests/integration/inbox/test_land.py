from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import Delivery
from service import context as contexts
from service.db import line as line_of_landing
from service.db.embedded import Embedded
from service.db.engine import Database, make_engine
from service.db.line import landing_line
from service.errors import Busy, Invalid, Misconfigured, TooLarge
from service.inbox.commit import Limits, pass_on
from service.inbox.land import Lander, kept_headers, origin_of
from service.inbox.store import Kept, Landed, Landing, store
from service.settings import Settings
from tests.integration.inbox.world import SETTINGS, count, make_source, make_workspace, rows

CONTEXT = contexts.real()


@pytest_asyncio.fixture
async def lander(database: Database) -> AsyncIterator[Lander]:
    made = Lander(database, CONTEXT, SETTINGS)
    await made.start()
    yield made
    await made.stop()


async def test_a_delivery_is_kept_whole_with_the_options_of_its_source(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT, options={"flavour": "sour"})
    headers = {"Webhook-Id": "1", "Authorization": "Bearer x", "cookie": "y", "Content-Type": "a/b", "svix-id": "2"}
    landed = await lander.land(source, key="k", body=b"\x00\xff", headers=headers, request={"a": "b"})
    (row,) = await rows(database, source.workspace_id, "select * from deliveries where workspace_id = :w")
    assert (landed.outcome, landed.delivery_id) == (Kept.STORED, row.delivery_id)
    assert (row.channel, row.connector, row.body, row.options) == ("webhook", "toy", b"\x00\xff", {"flavour": "sour"})
    assert row.headers == {"webhook-id": "1", "content-type": "a/b", "svix-id": "2"}
    assert row.request == {"a": "b"}
    (queued,) = await rows(database, source.workspace_id, "select * from delivery_queue where workspace_id = :w")
    assert (queued.delivery_id, queued.attempt) == (row.delivery_id, 0)
    (hint,) = await rows(database, source.workspace_id, "select * from pending_work where workspace_id = :w")
    assert (hint.source_id, hint.ready_at) == (source.source_id, queued.ready_at)


def test_headers_that_open_doors_or_hold_control_characters_are_not_kept() -> None:
    given_ = {"X-Hub-Signature-256": "s", "Authorization": "a", "Webhook-Id": "a\x00b", "webhook-timestamp": "1"}
    assert kept_headers(given_) == {"x-hub-signature-256": "s", "webhook-timestamp": "1"}
    own = given_ | {"X-Shopify-Topic": "orders/paid", "Content-Type": "a/b"}
    assert kept_headers(own, ("x-shopify-topic", "content-type")) == {
        "x-shopify-topic": "orders/paid",
        "content-type": "a/b",
    }


async def test_the_second_copy_is_a_duplicate_of_the_first(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    first = await lander.land(source, key="k", body=b"b")
    second = await lander.land(source, key="k", body=b"b")
    assert second == Landed(delivery_id=first.delivery_id, outcome=Kept.DUPLICATE)
    assert await count(database, source.workspace_id, "deliveries") == 1
    assert await count(database, source.workspace_id, "delivery_queue") == 1


async def test_keys_are_of_one_source_and_one_channel(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    sibling = await make_source(database, CONTEXT, source.workspace_id)
    stranger = await make_source(database, CONTEXT)
    landings = [lander.land(each, key="k", body=b"b") for each in (source, sibling, stranger)]
    landings.append(lander.land(source, key="k", body=b"b", channel="upload"))
    assert {landed.outcome for landed in await asyncio.gather(*landings)} == {Kept.STORED}


async def test_a_changed_body_is_kept_beside_the_first(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    first = await lander.land(source, key="k", body=b"one")
    other = await lander.land(source, key="k", body=b"two")
    again = await lander.land(source, key="k", body=b"two")
    assert other.outcome is Kept.STORED
    assert other.conflict_of == first.delivery_id
    assert again == Landed(delivery_id=other.delivery_id, outcome=Kept.DUPLICATE, conflict_of=first.delivery_id)
    query = "select body, conflict_of from deliveries where workspace_id = :w order by body"
    assert await rows(database, source.workspace_id, query) == [(b"one", None), (b"two", first.delivery_id)]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"1", b"2", b"3"])), min_size=1, max_size=12))
def test_every_distinct_pair_of_key_and_body_is_kept_once(database_url: str, sent: list[tuple[str, bytes]]) -> None:
    async def run() -> None:
        engine = make_engine(database_url, 4)
        database = Database(engine)
        one, two = Lander(database, CONTEXT, SETTINGS), Lander(database, CONTEXT, SETTINGS)
        await asyncio.gather(one.start(), two.start())
        source = await make_source(database, CONTEXT)
        landed = await asyncio.gather(
            *((one, two)[index % 2].land(source, key=key, body=body) for index, (key, body) in enumerate(sent))
        )
        stored = [result for result in landed if result.outcome is Kept.STORED]
        assert len(stored) == len(set(sent))
        assert len([result for result in stored if result.conflict_of is None]) == len({key for key, _ in sent})
        kept = await rows(
            database, source.workspace_id, "select delivery_id, body from deliveries where workspace_id = :w"
        )
        bodies = {row.delivery_id: row.body for row in kept}
        assert [bodies[result.delivery_id] for result in landed] == [body for _, body in sent]
        await asyncio.gather(one.stop(), two.stop())
        await engine.dispose()

    asyncio.run(run())


async def test_two_landers_at_once_keep_one_copy(database: Database) -> None:
    source = await make_source(database, CONTEXT)
    landers = [Lander(database, CONTEXT, SETTINGS) for _ in range(2)]
    await asyncio.gather(*(each.start() for each in landers))
    keys = [str(number) for number in range(200)]
    landed = await asyncio.gather(*(each.land(source, key=key, body=b"b") for key in keys for each in landers))
    assert [result.outcome for result in landed].count(Kept.STORED) == len(keys)
    assert await count(database, source.workspace_id, "deliveries") == len(keys)
    assert await count(database, source.workspace_id, "delivery_queue") == len(keys)
    await asyncio.gather(*(each.stop() for each in landers))


async def test_a_thousand_at_once_share_commits(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await asyncio.gather(*(lander.land(source, key=str(number), body=b"b") for number in range(1000)))
    query = "select count(*) as kept, count(distinct xmin::text) as commits from deliveries where workspace_id = :w"
    ((kept, commits),) = await rows(database, source.workspace_id, query)
    assert kept == 1000
    assert commits <= 10


async def test_a_large_body_has_a_commit_of_its_own(database: Database) -> None:
    lander = Lander(database, CONTEXT, SETTINGS, Limits(alone_bytes=1000, alone_queue_bytes=5000))
    await lander.start()
    source = await make_source(database, CONTEXT)
    bodies = [b"s", b"x" * 2000, b"t", b"y" * 2000]
    landed = await asyncio.gather(
        *(lander.land(source, key=str(len(body)) + str(body[:1]), body=body) for body in bodies)
    )
    assert {result.outcome for result in landed} == {Kept.STORED}
    query = "select xmin::text as number, count(*) from deliveries where workspace_id = :w group by 1 order by 2"
    assert [row[1] for row in await rows(database, source.workspace_id, query)] == [1, 1, 2]
    heard = []
    for size in (2000, 6000):
        waiter: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        delivery = Delivery(channel="webhook", body=b"z" * size, received_at=CONTEXT.now())
        lander.hand_in(origin_of(source), delivery, f"z{size}", waiter)
        heard.append(await asyncio.gather(waiter, return_exceptions=True))
    assert [type(one) for (one,) in heard] == [Landed, Busy]
    await lander.stop()
    # Who does not wait any more hears nothing.
    pass_on(waiter, waiter)


async def test_what_cannot_be_stored_fails_alone(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    requests = [{"name": "\x00"} if number in {3, 40} else {} for number in range(50)]
    landings = [
        lander.land(source, key=str(number), body=b"b", request=request) for number, request in enumerate(requests)
    ]
    async with asyncio.timeout(60):
        results = await asyncio.gather(*landings, return_exceptions=True)
    assert [number for number, result in enumerate(results) if isinstance(result, Invalid)] == [3, 40]
    assert await count(database, source.workspace_id, "deliveries") == 48
    assert await count(database, source.workspace_id, "delivery_keys") == 48


async def test_uploads_are_known_by_bytes_and_options(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT, options={"flavour": "sour", "zone": "UTC"})
    first = await lander.land_upload(source, b"a,b", filename="x\n.csv")
    renamed = await lander.land_upload(source, b"a,b", filename="y.csv")
    sweet = await lander.land_upload(source, b"a,b", options={"flavour": "sweet"})
    assert renamed == Landed(delivery_id=first.delivery_id, outcome=Kept.DUPLICATE)
    assert sweet.outcome is Kept.STORED
    assert sweet.conflict_of is None
    query = "select request, options, channel from deliveries where workspace_id = :w order by delivery_id"
    assert await rows(database, source.workspace_id, query) == [
        ({"filename": "x.csv"}, {"flavour": "sour", "zone": "UTC"}, "upload"),
        ({}, {"flavour": "sweet", "zone": "UTC"}, "upload"),
    ]


async def test_an_upload_has_a_largest_size(database: Database) -> None:
    lander = Lander(database, CONTEXT, Settings(max_upload=1024))
    await lander.start()
    source = await make_source(database, CONTEXT)
    with pytest.raises(TooLarge):
        await lander.land_upload(source, b"x" * 1025)
    await lander.stop()


# ------------------------------------------------------------------------------------------------ trouble


async def test_nothing_is_taken_before_the_start_and_after_the_stop(database: Database) -> None:
    lander = Lander(database, CONTEXT, SETTINGS)
    source = await make_source(database, CONTEXT)
    with pytest.raises(Busy):
        await lander.land(source, key="k", body=b"b")
    await lander.start()
    waiting = [asyncio.ensure_future(lander.land(source, key=str(number), body=b"b")) for number in range(600)]
    await asyncio.sleep(0)
    await lander.stop()
    assert {task.result().outcome for task in waiting} == {Kept.STORED}
    with pytest.raises(Busy):
        await lander.land(source, key="late", body=b"b")


async def test_an_unreachable_database_refuses_everybody_and_comes_back(database: Database, database_url: str) -> None:
    source = await make_source(database, CONTEXT)
    name = database_url.partition("?")[0].rpartition("/")[2]
    away = make_engine(database_url.replace(name, "no_such_database"))
    lander = Lander(Database(away), CONTEXT, SETTINGS)
    await lander.start()
    results = await asyncio.gather(
        *(lander.land(source, key=str(number), body=b"b") for number in range(700)), return_exceptions=True
    )
    assert {type(result) for result in results} == {Busy}
    lander._commit._db.engine = database.engine
    assert (await lander.land(source, key="1", body=b"b")).outcome is Kept.STORED
    await lander.stop()
    await away.dispose()


async def test_a_connection_that_was_lost_is_replaced(database: Database, lander: Lander, postgres: Embedded) -> None:
    source = await make_source(database, CONTEXT)
    assert (await lander.land(source, key="1", body=b"b")).outcome is Kept.STORED
    name = database.engine.url.database
    postgres.psql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    assert (await lander.land(source, key="2", body=b"b")).outcome is Kept.STORED


async def test_an_idle_writer_holds_no_connection(database: Database, database_url: str) -> None:
    engine = make_engine(database_url, 2)
    lander = Lander(Database(engine), CONTEXT, SETTINGS, Limits(idle=0.01))
    await lander.start()
    source = await make_source(database, CONTEXT)
    await lander.land(source, key="1", body=b"b")
    pool = engine.sync_engine.pool
    assert isinstance(pool, sa.pool.QueuePool)
    async with asyncio.timeout(30):
        while pool.checkedout():  # noqa: ASYNC110 - the writer tells nobody
            await asyncio.sleep(0.01)
    assert (await lander.land(source, key="2", body=b"b")).outcome is Kept.STORED
    await lander.stop()
    assert pool.checkedout() == 0
    await engine.dispose()


async def test_a_database_that_does_not_answer_refuses_everybody(database: Database) -> None:
    source = await make_source(database, CONTEXT)

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = make_engine(f"postgresql://x@127.0.0.1:{port}/x")
    lander = Lander(Database(engine), CONTEXT, SETTINGS, Limits(connect=0.2))
    await lander.start()
    async with asyncio.timeout(30):
        first = asyncio.ensure_future(lander.land(source, key="1", body=b"b"))
        await asyncio.sleep(0.05)
        late = asyncio.ensure_future(lander.land(source, key="2", body=b"b"))
        results = await asyncio.gather(first, late, return_exceptions=True)
    assert [type(result) for result in results] == [Busy, Busy]
    await lander.stop()
    await engine.dispose()
    for writer in held:
        writer.close()
    server.close()


async def test_a_commit_that_hangs_is_reported_as_busy(database: Database, owner_url: str) -> None:
    source = await make_source(database, CONTEXT)
    lander = Lander(database, CONTEXT, SETTINGS, Limits(commit=0.3))
    await lander.start()
    blocker = make_engine(owner_url)
    async with blocker.begin() as connection:
        await connection.execute(sa.text("lock table delivery_queue in access exclusive mode"))
        with pytest.raises(Busy):
            await lander.land(source, key="k", body=b"b")
    assert (await lander.land(source, key="k", body=b"b")).outcome is Kept.STORED
    await lander.stop()
    await blocker.dispose()


async def test_the_queue_is_bounded_in_number_and_bytes(database: Database) -> None:
    source = await make_source(database, CONTEXT)
    for limits in (Limits(queue=10), Limits(queue_bytes=100)):
        lander = Lander(database, CONTEXT, SETTINGS, limits)
        await lander.start()
        landings = [lander.land(source, key=f"{limits.queue}{number}", body=b"x" * 10) for number in range(15)]
        results = await asyncio.gather(*landings, return_exceptions=True)
        assert [isinstance(result, Busy) for result in results] == [False] * 10 + [True] * 5
        await lander.stop()


async def test_a_writer_that_dies_fails_those_who_wait_and_is_replaced(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)

    async def broken(connection: Any, landings: Sequence[Landing], now: Any) -> list[Landed]:
        raise ZeroDivisionError

    lander._commit._store = broken
    landings = (lander.land(source, key=str(number), body=b"b") for number in range(5))
    async with asyncio.timeout(60):
        results = await asyncio.gather(*landings, return_exceptions=True)
    assert {type(result) for result in results} == {Busy}
    lander._commit._store = store
    assert (await lander.land(source, key="0", body=b"b")).outcome is Kept.STORED


async def test_a_conflict_repeats_the_whole_batch(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    calls = [0]

    async def unlucky(connection: Any, landings: Sequence[Landing], now: Any) -> list[Landed]:
        calls[0] += 1
        if calls[0] < 3:
            raise asyncpg.DeadlockDetectedError
        return await store(connection, landings, now)

    lander._commit._store = unlucky
    assert (await lander.land(source, key="0", body=b"b")).outcome is Kept.STORED
    assert calls == [3]


async def test_who_stops_waiting_leaks_nothing(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    for number in range(50):
        task = asyncio.ensure_future(lander.land(source, key=str(number), body=b"b"))
        await asyncio.sleep(0.001 * (number % 7))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await lander.land(source, key="last", body=b"b")).outcome is Kept.STORED
    kept = await count(database, source.workspace_id, "deliveries")
    assert kept == await count(database, source.workspace_id, "delivery_keys")
    assert kept == await count(database, source.workspace_id, "delivery_queue")


# ------------------------------------------------------------------------------------------------ policies


async def test_a_shared_commit_reads_nothing_and_writes_only_for_its_workspaces(
    database: Database, lander: Lander
) -> None:
    source = await make_source(database, CONTEXT)
    stranger = await make_workspace(database, CONTEXT)
    await lander.land(source, key="k", body=b"secret")
    tables = ("deliveries", "delivery_queue", "delivery_keys", "sources", "workspaces")
    async with landing_line(database) as line:
        async with line.landing([stranger]) as connection:
            assert [await connection.fetchval(f"select count(*) from {table}") for table in tables] == [0, 0, 0, 0, 0]
        async with line.landing([source.workspace_id]) as connection:
            assert [await connection.fetchval(f"select count(*) from {table}") for table in tables] == [0, 0, 1, 0, 0]
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with line.landing([stranger]) as connection:
                await connection.execute(
                    "insert into delivery_queue values ($1, $1, $1, now(), now())", source.workspace_id
                )
        async with line.landing([source.workspace_id]) as connection:
            backend = await connection.fetchval("select pg_backend_pid()")
    # The connection is the pool's again, and knows no workspace.
    async with database.control() as control:
        assert await control.scalar(sa.text("select pg_backend_pid()")) == backend
        assert await control.scalar(sa.text("select count(*) from delivery_keys")) == 0
        assert await control.scalar(sa.text("show plan_cache_mode")) == "force_custom_plan"


async def test_a_connection_that_cannot_forget_its_workspaces_is_given_to_nobody(database: Database) -> None:
    async with landing_line(database) as line, line.landing([await make_workspace(database, CONTEXT)]) as connection:
        backend = await connection.fetchval("select pg_backend_pid()")
        await connection.execute("begin")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("select 1 / 0")
    async with database.control() as control:
        assert await control.scalar(sa.text("select pg_backend_pid()")) != backend


async def test_a_connection_that_is_not_fit_for_landing_is_not_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unfit(_connection: object) -> object:
        raise Misconfigured("the connection is closed")

    stranger = await make_workspace(database, CONTEXT)
    monkeypatch.setattr(line_of_landing, "driver", unfit)
    with pytest.raises(Misconfigured):
        async with landing_line(database) as line, line.landing([stranger]):
            pass
    pool = database.engine.sync_engine.pool
    assert isinstance(pool, sa.pool.QueuePool)
    assert pool.checkedout() == 0


async def test_the_service_role_may_not_change_or_delete_what_was_received(database: Database, lander: Lander) -> None:
    source = await make_source(database, CONTEXT)
    await lander.land(source, key="k", body=b"b")
    for statement in ("update deliveries set body = ''", "delete from deliveries", "delete from delivery_keys"):
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            await rows(database, source.workspace_id, statement)
