"""One fault at every database call of every use case: the books end as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from connectors.contract import Http, Source
from service.db.engine import Database, make_engine
from service.db.faults import DATABASE_ERRORS
from service.errors import Busy
from service.fetch.pull import Puller
from service.fetch.rounds import Rounds
from service.inbox import deliveries
from service.inbox.deliveries import Chosen
from service.inbox.store import Kept, Landed
from service.records import Rule
from tests.faults.driver import Fault, Spoilt
from tests.faults.office import FIRST, SECOND, Fetched, Office
from tests.integration.fetch.test_pull import NoHttp
from tests.integration.inbox.world import SETTINGS, VAULT, Clock, count, rows

MOST_CALLS = 400

Case = Callable[[Office, Database], Awaitable[None]]


@pytest_asyncio.fixture
async def sound(shared_url: str) -> AsyncIterator[Database]:
    engine = make_engine(shared_url, 8)
    yield Database(engine)
    await engine.dispose()


@pytest_asyncio.fixture
async def spoilt(shared_url: str) -> AsyncIterator[Spoilt]:
    made = Spoilt(shared_url)
    yield made
    await made.engine.dispose()


class Trial:
    """A use case that is run again and again, with the fault one call later each time."""

    def __init__(self, sound: Database, spoilt: Spoilt) -> None:
        self.sound = sound
        self.spoilt = spoilt

    async def run(self, fault: Fault, case: Callable[[], Awaitable[UseCase]]) -> int:
        """Return how many calls the use case has: after the last one there is nothing left to spoil."""
        await self._once(None, 0, await case())
        for at in range(1, MOST_CALLS):
            if not await self._once(fault, at, await case()):
                return at - 1
        raise AssertionError("the use case does not end")

    async def _once(self, fault: Fault | None, at: int, case: UseCase) -> bool:
        saboteur = self.spoilt.saboteur
        saboteur.arm(fault, at)
        try:
            await case.act(self.spoilt.database)
        except DATABASE_ERRORS:
            if not saboteur.fired:
                raise
        fired, call = saboteur.fired, saboteur.last
        saboteur.arm(None)
        try:
            await _settled(self.spoilt)
            await case.check()
        except AssertionError as error:
            raise AssertionError(f"{fault} at call {at} ({call}): {error}") from error
        await case.office.close()
        return fired


async def _settled(spoilt: Spoilt) -> None:
    """Wait a moment for connections that are being closed; whoever still holds one then has leaked it."""
    for _ in range(20):
        if not spoilt.checked_out:
            return
        await asyncio.sleep(0.01)
    assert spoilt.checked_out == 0


class UseCase:
    """What is done on the spoilt database, and what must hold afterwards."""

    def __init__(self, office: Office, expected: dict[str, Any]) -> None:
        self.office = office
        self.expected = expected

    async def act(self, database: Database) -> None:
        raise NotImplementedError

    async def check(self) -> None:
        raise NotImplementedError


async def expected_after(sound: Database, *bodies: bytes, rule: Rule | None = None) -> dict[str, Any]:
    """Return the books of a workspace to which nothing bad happened."""
    office = Office(sound)
    await office.open()
    await office.store(FIRST, "first")
    await office.drain(sound)
    if rule is not None:
        await office.change_rules(sound, rule)
    await office.store(bodies, "second")
    await office.drain(sound)
    assert (await office.proof()).differences == []
    await office.close()
    return await office.state()


async def opened(sound: Database, *bodies: bytes) -> Office:
    """Return a workspace with books, and deliveries that wait to be posted."""
    office = Office(sound)
    await office.open()
    await office.store(FIRST, "first")
    await office.drain(sound)
    if bodies:
        await office.store(bodies, "second")
    return office


# ------------------------------------------------------------------------------------------------ the cases


class Landing(UseCase):
    """Deliveries arrive together; one is sent twice, and one comes with another body under a key that is taken."""

    sent = {"a": SECOND[0], "b": SECOND[1], "c": SECOND[2], "d": SECOND[3], "first0": FIRST[0], "first1": SECOND[4]}
    new = (*SECOND[:5],)

    async def act(self, database: Database) -> None:
        self.heard = await self.office.land(database, self.sent)

    async def check(self) -> None:
        office = self.office
        acknowledged = {key: one for key, one in self.heard.items() if isinstance(one, Landed)}
        assert all(isinstance(one, Landed | Busy) for one in self.heard.values()), self.heard
        await self._absent_or_whole(acknowledged)
        again = await office.land(office.database, self.sent)
        for key, one in again.items():
            assert isinstance(one, Landed)
            if key in acknowledged:
                assert (one.outcome, one.delivery_id) == (Kept.DUPLICATE, acknowledged[key].delivery_id)
        await office.recover()
        await office.assert_sound([*FIRST, *self.new])
        assert await office.state() == self.expected

    async def _absent_or_whole(self, acknowledged: dict[str, Landed]) -> None:
        """A delivery has its body, its key and its place in the queue, or none of them."""
        kept = len(await rows(self.office.database, self.office.workspace_id, "select 1 from deliveries"))
        for table in ("delivery_keys", "delivery_queue"):
            found = await count(self.office.database, self.office.workspace_id, table)
            assert found == kept - (len(FIRST) if table == "delivery_queue" else 0), table
        assert kept >= len({one.delivery_id for one in acknowledged.values()} )


class Posting(UseCase):
    """One worker leases, claims, posts (twice: memberships move), finishes and leaves."""

    async def act(self, database: Database) -> None:
        await self.office.drain(database)

    async def check(self) -> None:
        await self.office.recover()
        await self.office.assert_sound([*FIRST, *SECOND])
        assert await self.office.state() == self.expected


class Replaying(UseCase):
    """Everything is queued again and posted again, which changes nothing."""

    async def act(self, database: Database) -> None:
        await self._replay(database)
        await self.office.drain(database)

    async def _replay(self, database: Database) -> int:
        async with database.workspace(self.office.workspace_id) as connection:
            now = self.office.context.now()
            return await deliveries.replay(connection, self.office.workspace_id, Chosen(), now, "test")

    async def check(self) -> None:
        await self.office.recover()
        turns = {row.turn for row in await self.office.outcomes()}
        assert turns in ({1}, {1, 2})
        assert len(await self.office.outcomes()) == max(turns) * len([*FIRST, *SECOND])
        assert await self._replay(self.office.database) == len([*FIRST, *SECOND])
        await self.office.recover()
        await self.office.assert_sound([*FIRST, *SECOND], turns=lambda turn: turn <= max(turns) + 1)
        assert await self.office.state() == self.expected
        assert await count(self.office.database, self.office.workspace_id, "postings") == self.postings

    postings = 0


class Fetching(UseCase):
    """A task is begun, its pages land with their cursors, it ends."""

    async def act(self, database: Database) -> None:
        await self._rounds(database).fetch_due()

    def _rounds(self, database: Database) -> Rounds:
        def http_for(_source: Source, _connector: Any) -> Http:
            return NoHttp()

        puller = Puller(database, self.office.context, SETTINGS, VAULT, http_for)
        return Rounds(database, self.office.context, self.office.connectors, puller)

    async def check(self) -> None:
        for _ in range(3):
            await self.office.recover()
            await self._rounds(self.office.database).fetch_due()
        await self.office.recover()
        await self.office.assert_sound([*FIRST, *SECOND])
        assert await self.office.state() == self.expected
        tasks = await rows(self.office.database, self.office.workspace_id, "select state, pages from fetch_tasks")
        assert [(row.state, row.pages) for row in tasks] == [("done", len(SECOND))]


class Ruling(UseCase):
    """A campaign gets another rule: one subject leaves, another joins, tallies move with them."""

    rule = Rule(hashtag="sale")

    async def act(self, database: Database) -> None:
        await self.office.change_rules(database, self.rule)

    async def check(self) -> None:
        office = self.office
        query = "select max(version) as newest from campaign_versions where campaign_id = :c"
        (version,) = await rows(office.database, office.workspace_id, query, c=office.campaign_id)
        assert (await office.proof()).differences == []
        if version.newest == 1:
            await office.change_rules(office.database, self.rule)
        await office.assert_sound([*FIRST, *SECOND])
        assert await office.state() == self.expected


# ------------------------------------------------------------------------------------------------ the tests


@pytest.fixture(params=list(Fault), ids=lambda fault: fault.value)
def fault(request: pytest.FixtureRequest) -> Fault:
    chosen: Fault = request.param
    return chosen


async def test_landing(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *Landing.new)

    async def case() -> UseCase:
        return Landing(await opened(sound), expected)

    assert await Trial(sound, spoilt).run(fault, case) >= 10


async def test_posting(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *SECOND)

    async def case() -> UseCase:
        return Posting(await opened(sound, *SECOND), expected)

    assert await Trial(sound, spoilt).run(fault, case) >= 40


async def test_replaying(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *SECOND)

    async def case() -> UseCase:
        office = await opened(sound, *SECOND)
        await office.drain(sound)
        made = Replaying(office, expected)
        made.postings = await count(sound, office.workspace_id, "postings")
        return made

    assert await Trial(sound, spoilt).run(fault, case) >= 20


async def test_fetching(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *SECOND)

    async def case() -> UseCase:
        office = await opened(sound)
        office.connectors = {"standard_webhooks": Fetched(office.clock, SECOND)}
        return Fetching(office, expected)

    assert await Trial(sound, spoilt).run(fault, case) >= 40


async def test_changing_rules(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    async def case() -> UseCase:
        office = await opened(sound, *SECOND)
        await office.drain(sound)
        return Ruling(office, expected)

    office = await opened(sound, *SECOND)
    await office.drain(sound)
    await office.change_rules(sound, Ruling.rule)
    expected = await office.state()
    await office.close()
    assert await Trial(sound, spoilt).run(fault, case) >= 10
