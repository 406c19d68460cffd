"""One fault at every database call of every use case: the books end as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any

import pytest

from connectors.contract import Http, Source
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS
from service.errors import Busy
from service.fetch.pull import Puller
from service.fetch.rounds import Rounds
from service.inbox import deliveries
from service.inbox.deliveries import Chosen
from service.inbox.store import Kept, Landed
from service.records import Rule
from tests.faults.driver import Fault, Spoilt
from tests.faults.office import FIRST, LEASE, SECOND, Fetched, Office
from tests.integration.fetch.test_pull import NoHttp
from tests.integration.inbox.world import SETTINGS, VAULT, count, rows


class Trial:
    """A use case that is run again and again, with the fault one call later each time."""

    def __init__(self, spoilt: Spoilt) -> None:
        self.spoilt = spoilt

    async def run(self, fault: Fault, case: Callable[[], Awaitable[UseCase]]) -> None:
        """Spoil one call after the other, until there is none left."""
        assert not await self._once(None, 0, await case())
        at = 1
        while await self._once(fault, at, await case()):
            at += 1
        assert at > 1, "the use case never meets the fault"

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
            await case.check(undisturbed=not fired)
        except AssertionError as error:
            raise AssertionError(f"{fault} at call {at} ({call}): {error}") from error
        await case.close()
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

    async def check(self, *, undisturbed: bool) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        """End a case."""


async def expected_after(sound: Database, *bodies: bytes) -> dict[str, Any]:
    """Return the books of a workspace to which nothing bad happened."""
    office = await opened(sound, *bodies)
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


class OneOffice(UseCase):
    """A case with a workspace of its own."""

    async def close(self) -> None:
        await self.office.close()


class Landing(OneOffice):
    """Deliveries arrive together; one is sent twice, and one comes with another body under a key that is taken."""

    new = SECOND[:5]
    sent = MappingProxyType({"a": new[0], "b": new[1], "c": new[2], "d": new[3], "first0": FIRST[0], "first1": new[4]})

    async def act(self, database: Database) -> None:
        self.heard = await self.office.land(database, self.sent)

    async def check(self, *, undisturbed: bool) -> None:
        office = self.office
        acknowledged = {key: one for key, one in self.heard.items() if isinstance(one, Landed)}
        assert all(isinstance(one, Landed | Busy) for one in self.heard.values()), self.heard
        if undisturbed:
            assert acknowledged.keys() == self.sent.keys()
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
        assert kept >= len({one.delivery_id for one in acknowledged.values()})


class Posting(OneOffice):
    """One worker leases, claims, posts (twice: memberships move), finishes and leaves."""

    async def act(self, database: Database) -> None:
        await self.office.drain(database)

    async def check(self, *, undisturbed: bool) -> None:
        await self.office.recover()
        await self.office.assert_sound([*FIRST, *SECOND])
        assert await self.office.state() == self.expected


class Replaying(UseCase):
    """Everything is queued again and posted again, which changes nothing: one workspace serves for all cases."""

    turns = 1
    postings = 0

    async def act(self, database: Database) -> None:
        async with database.workspace(self.office.workspace_id) as connection:
            now = self.office.context.now()
            await deliveries.replay(connection, self.office.workspace_id, Chosen(), now, "test")
        await self.office.drain(database)

    async def check(self, *, undisturbed: bool) -> None:
        await self.office.recover()
        known = len(await self.office.outcomes())
        before, self.turns = self.turns, known // len([*FIRST, *SECOND])
        assert self.turns in ({before + 1} if undisturbed else {before, before + 1})
        await self.office.assert_sound([*FIRST, *SECOND], self.turns)
        assert await self.office.state() == self.expected
        assert await count(self.office.database, self.office.workspace_id, "postings") == self.postings


class Fetching(OneOffice):
    """A task is begun, its pages land with their cursors, it ends."""

    pages = (SECOND[0], SECOND[3])

    async def act(self, database: Database) -> None:
        await self._rounds(database).fetch_due()

    def _rounds(self, database: Database) -> Rounds:
        def http_for(_source: Source, _connector: Any) -> Http:
            return NoHttp()

        puller = Puller(database, self.office.context, SETTINGS, VAULT, http_for)
        return Rounds(database, self.office.context, self.office.connectors, puller)

    async def check(self, *, undisturbed: bool) -> None:
        self.office.clock.ahead += LEASE  # that of the task that failed
        done = await self._rounds(self.office.database).fetch_due()
        if undisturbed:
            assert done == []
        await self.office.recover()
        await self.office.assert_sound([*FIRST, *self.pages])
        assert await self.office.state() == self.expected
        tasks = await rows(self.office.database, self.office.workspace_id, "select state, pages from fetch_tasks")
        assert [(row.state, row.pages) for row in tasks] == [("done", len(self.pages))]


class Ruling(UseCase):
    """A campaign gets another rule, to and fro: a subject leaves, another joins, tallies move with them."""

    def __init__(self, office: Office, expected: dict[str, Any]) -> None:
        super().__init__(office, expected)
        self.by_tag = {"spring": expected}
        self.tag, self.version = "spring", 1

    async def act(self, database: Database) -> None:
        self.tag = "sale" if self.tag == "spring" else "spring"
        await self.office.change_rules(database, Rule(hashtag=self.tag))

    async def check(self, *, undisturbed: bool) -> None:
        office = self.office
        query = "select max(version) as newest from campaign_versions where campaign_id = :c"
        (found,) = await rows(office.database, office.workspace_id, query, c=office.campaign_id)
        await office.assert_sound([*FIRST, *SECOND])
        if found.newest == self.version:
            assert not undisturbed
            await office.change_rules(office.database, Rule(hashtag=self.tag))
            await office.assert_sound([*FIRST, *SECOND])
        else:
            assert found.newest == self.version + 1
        self.version += 1
        assert await office.state() == self.by_tag[self.tag]


# ------------------------------------------------------------------------------------------------ the tests


@pytest.fixture(params=list(Fault), ids=lambda fault: fault.value)
def fault(request: pytest.FixtureRequest) -> Fault:
    chosen: Fault = request.param
    return chosen


async def test_landing(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *Landing.new)

    async def case() -> UseCase:
        return Landing(await opened(sound), expected)

    await Trial(spoilt).run(fault, case)


async def test_posting(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *SECOND)

    async def case() -> UseCase:
        return Posting(await opened(sound, *SECOND), expected)

    await Trial(spoilt).run(fault, case)


async def test_replaying(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    office = await opened(sound, *SECOND)
    await office.drain(sound)
    made = Replaying(office, await office.state())
    made.postings = await count(sound, office.workspace_id, "postings")

    async def case() -> UseCase:
        return made

    await Trial(spoilt).run(fault, case)
    await office.close()


async def test_fetching(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    expected = await expected_after(sound, *Fetching.pages)

    async def case() -> UseCase:
        office = await opened(sound)
        office.connectors = {"standard_webhooks": Fetched(office.clock, Fetching.pages)}
        return Fetching(office, expected)

    await Trial(spoilt).run(fault, case)


async def test_changing_rules(sound: Database, spoilt: Spoilt, fault: Fault) -> None:
    office = await opened(sound, *SECOND)
    await office.drain(sound)
    made = Ruling(office, await office.state())
    await office.change_rules(sound, Rule(hashtag="sale"))
    made.by_tag["sale"] = await office.state()
    await office.change_rules(sound, Rule(hashtag="spring"))
    made.version = 3

    async def case() -> UseCase:
        return made

    await Trial(spoilt).run(fault, case)
    await office.close()
