"""Rate budgets in the database: four replicas together never exceed a limit; the platform's word holds for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Budget, Capabilities, Response, Source, TryLater, Usage
from service import context as contexts
from service.context import Context
from service.db.engine import Database, make_engine
from service.fetch.budget import Budgets, Paced, forget_old
from tests.integration.inbox.world import Toy, ToyOptions

CALLS = 40
ROOMY = Budget(bucket="account", calls=10_000, window=timedelta(hours=1))


class Limited(Toy):
    """A platform with a limit, told of in a header that is its own."""

    def __init__(self, *budgets: Budget, bucket: str = "account") -> None:
        super().__init__()
        self.capabilities = Capabilities(budgets=budgets)
        self.bucket = bucket
        self.says: Sequence[Usage] = ()

    def cost(self, method: str, path: str) -> tuple[str, float]:
        return self.bucket, 1.0

    def usage(self, response: Response) -> Sequence[Usage]:
        return self.says


class Counted(Database):
    """A database that counts the transactions of control tables."""

    opened = 0

    @asynccontextmanager
    async def control(self) -> AsyncIterator[AsyncConnection]:
        self.opened += 1
        async with super().control() as connection:
            yield connection


class Hand:
    """A clock that moves when somebody waits."""

    def __init__(self) -> None:
        self.at = datetime(2026, 8, 20, 12, tzinfo=UTC)

    def context(self) -> Context:
        return msgspec.structs.replace(contexts.real(), now=lambda: self.at, uniform=lambda: 0.0)

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def replicas(database_url: str) -> AsyncIterator[list[Budgets]]:
    hand = Hand()
    engines = [make_engine(database_url, pool_size=2) for _ in range(4)]
    yield [Budgets(Database(engine), hand.context(), hand.sleep) for engine in engines]
    for engine in engines:
        await engine.dispose()


def source(account: str = "me") -> Source:
    return Source(id="src_1", platform="toy", account=account, options=ToyOptions())


def answer() -> Response:
    return Response(status=200, headers={}, body=b"", received_at=datetime(2026, 8, 20, 12, tzinfo=UTC))


def now(budgets: Budgets) -> float:
    return budgets._context.now().timestamp()


async def test_four_replicas_together_never_exceed(replicas: list[Budgets]) -> None:
    budget = Budget(bucket="account", calls=CALLS, window=timedelta(minutes=1))
    connector, calls = Limited(budget), list[float]()

    async def work(budgets: Budgets) -> None:
        pace = budgets.of(connector, source())
        for _ in range(60):
            while True:
                try:
                    await pace.draw("GET", "/x")
                    break
                except TryLater as error:
                    await budgets._sleep(error.seconds or 0)
            calls.append(now(budgets))

    await asyncio.gather(*(work(one) for one in replicas))
    assert len(calls) == 240
    for start in calls:
        assert sum(start <= at < start + 60 for at in calls) <= CALLS


async def test_a_wide_budget_costs_few_rows(database: Database) -> None:
    counted = Counted(database.engine)
    pace = Budgets(counted, Hand().context()).of(Limited(ROOMY), source())
    for _ in range(500):
        await pace.draw("GET", "/x")
    assert counted.opened <= 6


async def test_accounts_have_their_own_budgets_and_an_app_has_one(replicas: list[Budgets]) -> None:
    minute = timedelta(minutes=1)
    connector = Limited(
        Budget(bucket="account", calls=3, window=minute), Budget(bucket="app", calls=5, window=minute, per="app")
    )
    first, second = (replicas[0].of(connector, source(name), "client") for name in ("a", "b"))
    for _ in range(3):
        await first.draw("GET", "/x")
    with pytest.raises(TryLater, match="account"):
        await first.draw("GET", "/x")
    for _ in range(2):
        await second.draw("GET", "/x")
    with pytest.raises(TryLater, match="app") as caught:
        await second.draw("GET", "/x")
    assert caught.value.seconds is not None
    assert 55 <= caught.value.seconds <= 70
    await replicas[0].of(connector, source("b"), "another client").draw("GET", "/x")


async def test_what_one_replica_hears_holds_for_all(replicas: list[Budgets]) -> None:
    connector = Limited(ROOMY)
    paces: list[Paced] = [one.of(connector, source()) for one in replicas]
    connector.says = (Usage(bucket="account", wait=300.0),)
    assert await paces[0].heard(answer()) == list(connector.says)
    for pace in paces:
        with pytest.raises(TryLater) as caught:
            await pace.draw("GET", "/x")
        assert caught.value.seconds == 300


async def test_a_bucket_without_a_budget_is_free_until_the_platform_speaks(
    replicas: list[Budgets], database: Database
) -> None:
    connector = Limited(bucket="posts")
    pace = replicas[0].of(connector, source())
    for _ in range(50):
        await pace.draw("GET", "/x")
    assert await _rows(database) == 0
    connector.says = (Usage(bucket="posts", remaining=0.0, limit=15.0, reset=600.0),)
    await pace.heard(answer())
    with pytest.raises(TryLater) as caught:
        await pace.draw("GET", "/x")
    assert caught.value.seconds == 600


async def test_words_that_change_little_are_not_written_each_time(database: Database) -> None:
    connector, counted = Limited(ROOMY), Counted(database.engine)
    pace = Budgets(counted, Hand().context()).of(connector, source())
    connector.says = (Usage(bucket="account", used=0.2),)
    for _ in range(20):
        await pace.heard(answer())
    assert counted.opened == 1


async def test_calls_without_a_bucket_are_not_counted(replicas: list[Budgets], database: Database) -> None:
    await replicas[0].of(Limited(ROOMY, bucket=""), source()).draw("GET", "/x")
    assert await _rows(database) == 0


async def test_old_rows_go(replicas: list[Budgets], database: Database) -> None:
    await replicas[0].of(Limited(ROOMY), source()).draw("GET", "/x")
    for days, left in ((1, 1), (3, 0)):
        async with database.control() as connection:
            await forget_old(connection, datetime(2026, 8, 20, 12, tzinfo=UTC) + timedelta(days=days))
        assert await _rows(database) == left


async def _rows(database: Database) -> int:
    async with database.control() as connection:
        return int(await connection.scalar(sa.text("select count(*) from rate_budgets")) or 0)
