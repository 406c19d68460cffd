"""Writers side by side and a reader of the past: numbers follow each other in time, and what was answered stands."""

from __future__ import annotations

import asyncio
import itertools
import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import Connector
from service.context import Context
from service.db.engine import Database
from service.inbox.land import Lander
from service.kpi.buckets import Grain
from service.pipeline.run import post_deliveries
from service.pipeline.worker import Worker
from service.records import ClaimedDelivery, Outcome, SourceRow
from service.reports.campaign import campaign_kpis
from service.reports.question import PlatformNotes, Question
from tests.faults.office import LEASE, START, Office, at, body, click, item, likes, views
from tests.integration.inbox.world import SETTINGS, make_source, rows

NOTES = PlatformNotes(mappings={}, simulated=frozenset())
SKEWS = (-20.0, -3.0, 0.0, 20.0)
"""Seconds that the clocks of the writers are off."""
ROUNDS = 12
QUESTION = Question(
    metrics=("likes", "impressions", "clicks_link", "ctr", "reach", "followers"),
    range_from=date(2025, 6, 1),
    range_to=date(2025, 6, 20),
    granularity=Grain.DAY,
    dimensions=("platform",),
)


def skewed(context: Context, seconds: float) -> Context:
    """Return the context of a host whose clock is off."""
    return msgspec.structs.replace(context, now=lambda: context.now() + timedelta(seconds=seconds))


def said(rng: random.Random, writer: int, number: int) -> bytes:
    """Return a delivery of one writer: what all of them say of the same posts, in no order of time."""
    post, day = f"p{rng.randint(0, 3)}", rng.randint(1, 14)
    tags = [tag for tag in ("spring", "sale") if rng.random() < 0.5]
    return body(
        likes(post, day, rng.randint(0, 99)),
        views(post, rng.randint(1, 14), rng.randint(0, 99), 15 + rng.random()),
        item("unique", post, observed_at=at(day), metrics={"reach": rng.randint(1, 50)}),
        item("subject", post, observed_at=at(day + rng.random()), hashtags=tags),
        click(f"{writer}-{number}", post, day),
    )


async def write(office: Office, source: SourceRow, writer: int, context: Context) -> None:
    """Land and post, a few deliveries at a time, as one process does."""
    rng = random.Random(writer)
    lander = Lander(office.database, context, SETTINGS)
    await lander.start()
    worker = Worker(office.database, context, SETTINGS, office.connectors)
    for turn in range(ROUNDS):
        for number in (2 * turn, 2 * turn + 1):
            await lander.land(source, key=str(number), body=said(rng, writer, number))
        await worker.drain()
    await lander.stop()


async def answer(office: Office, as_of: datetime) -> bytes:
    """Return what a caller reads who asks for both campaigns what was known at an instant."""
    question = msgspec.structs.replace(QUESTION, as_of=as_of)
    async with office.database.snapshot(office.workspace_id) as connection:
        found = [
            await campaign_kpis(connection, office.workspace_id, campaign, question, NOTES, office.context.now())
            for campaign in (office.everything, office.campaign_id)
        ]
    return msgspec.json.encode([(one.data, one.totals, one.meta) for one in found])


class Reader:
    """Asks again and again for the newest instant, and for instants it has asked for before."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.known: dict[datetime, bytes] = {}
        self.again = 0

    async def run(self, stop: asyncio.Event) -> None:
        rng = random.Random(5)
        while not stop.is_set():
            (newest,) = await rows(self.office.database, self.office.workspace_id, "select recorded_at from books")
            for as_of in (newest.recorded_at, rng.choice([*self.known, newest.recorded_at])):
                await self.ask(as_of)

    async def ask(self, as_of: datetime) -> None:
        found = await answer(self.office, as_of)
        self.again += as_of in self.known
        assert self.known.setdefault(as_of, found) == found, as_of


async def test_the_past_stands_while_writers_with_wrong_clocks_go_on(sound: Database) -> None:
    office = Office(sound)
    await office.open()
    sources = [office.source] + [
        await make_source(
            sound,
            office.context,
            office.workspace_id,
            connector="standard_webhooks",
            platform="shop",
            tracks_from=START,
            counts=number < 2,
        )
        for number in range(1, len(SKEWS))
    ]
    reader, stop = Reader(office), asyncio.Event()
    reading = asyncio.create_task(reader.run(stop))
    contexts = [skewed(office.context, seconds) for seconds in SKEWS]
    try:
        await asyncio.gather(
            *(write(office, source, number, contexts[number]) for number, source in enumerate(sources))
        )
    finally:
        stop.set()
        await reading
    await office.recover()
    for as_of in list(reader.known):
        await reader.ask(as_of)
    numbers = {msgspec.json.encode(msgspec.json.decode(found)[0][1]) for found in reader.known.values()}
    assert len(numbers) >= 3, "the totals that were asked for hardly change"
    assert reader.again > len(reader.known)
    found = await rows(sound, office.workspace_id, "select posting, recorded_at from postings order by posting")
    times = [row.recorded_at for row in found]
    assert [row.posting for row in found] == list(range(1, len(found) + 1))
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    report = await office.proof()
    assert report.differences == []
    assert report.checked["deliveries"] == len(SKEWS) * 2 * ROUNDS
    await office.close()


class Held:
    """Posts, and then waits with its transaction open."""

    def __init__(self) -> None:
        self.posted = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(
        self,
        connection: Any,
        workspace_id: Any,
        source: SourceRow,
        deliveries: Sequence[ClaimedDelivery],
        connector_of: Callable[[str], Connector],
        context: Context,
        *,
        exclusive: bool = False,
    ) -> list[Outcome]:
        outcomes = await post_deliveries(
            connection, workspace_id, source, deliveries, connector_of, context, exclusive=exclusive
        )
        self.posted.set()
        await self.go_on.wait()
        return outcomes


async def test_two_writers_in_one_gap_end_as_one(sound: Database) -> None:
    """A worker stalls past its lease with two knots open; another posts between them. Only one may be in the books."""
    gap = body(likes("p", 2, 10), likes("p", 12, 110))
    early, late = body(likes("p", 5, 30), click("early", "p")), body(likes("p", 8, 90), click("late", "p"))
    expected = await _in_turn(sound, gap, early, late)
    office = Office(sound)
    await office.open()
    await office.store([gap], "gap")
    await office.drain(sound)
    await office.store([early], "early")
    held = Held()
    stalled = asyncio.create_task(
        Worker(sound, office.context, SETTINGS, office.connectors, post=held).drain(), name="stalled"
    )
    await held.posted.wait()
    await office.store([late], "late")
    office.clock.ahead += LEASE
    other = asyncio.create_task(office.drain(sound))
    await asyncio.sleep(0.3)  # it has the lease by now, and waits for a row that the stalled one wrote
    held.go_on.set()
    await asyncio.gather(stalled, other)
    await office.recover()
    await office.assert_sound([gap, early, late])
    assert await office.state() == expected
    await office.close()


async def _in_turn(sound: Database, *bodies: bytes) -> dict[str, Any]:
    office = Office(sound)
    await office.open()
    for number, each in enumerate(bodies):
        await office.store([each], str(number))
        await office.drain(sound)
    await office.close()
    return await office.state()
