"""Running sums: whatever is posted, moved and built at whatever moment, answers are what they are without any."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Item, Kind, Observation, SubjectRef, Withdrawal, day_window
from service import ids
from service.api.queries import query_of
from service.api.query_models import QueryInput
from service.context import fixed, real
from service.db.engine import Database, driver
from service.db.partitions import drop_partitions
from service.db.tables import running_days
from service.errors import Gone
from service.kpi.catalogue import CATALOGUE
from service.ledger import running
from service.ledger.carry import carry
from service.ledger.history.running import standing
from service.ledger.verify import verify
from service.pipeline import summing
from service.pipeline.summing import Summer
from service.records import Rule
from service.reports import running as reading
from service.reports.answer import AnswerOut, MetricOut
from service.reports.query.answer import query_kpis
from service.reports.query.asked import Query, Scope
from service.reports.question import Question
from tests.bookkeeping import Books, at, counter, seen
from tests.integration.reports import test_sums
from tests.integration.reports.test_sums import NOTES, items
from tests.seeds import seeds

POSTS = tuple(f"p{number}" for number in range(8))
RANGES: tuple[Any, ...] = (
    "lifetime",
    {"from": "2026-06-26", "to": "2026-07-04"},
    {"from": "2026-07-01", "to": "2026-07-01"},
    {"from": "2026-06-29", "to": "2026-07-04"},
    {"from": "2026-07-03", "to": "2026-07-08"},
)
KEPT: tuple[Any, ...] = ({"from": "2026-07-12", "to": "2026-07-20"}, {"from": "2026-07-11", "to": "2026-07-30"})
MORE = sorted(CATALOGUE.keys() - {"likes", "impressions", "spend_media"})
DOLLARS = {"currency": "EUR", "exchange": {"rates": {"USD": "0.917"}}}


class Room:
    """Books with three campaigns, of which two keep their days in one zone."""

    def __init__(self, books: Books, rng: random.Random) -> None:
        self.books = books
        self.rng = rng
        self.summer = Summer(books.database, books.context)
        self.campaigns: list[UUID] = []
        self.sources: list[Any] = []
        self.built = 0
        self.read = 0

    async def open(self, zone: str) -> None:
        await self.books.open()
        self.sources = [await self.books.source(), await self.books.source()]
        self.campaigns = [
            await self.books.campaign([Rule(platform="instagram")], zone=zone),
            await self.books.campaign([Rule(hashtag="spring")], zone=zone),
            await self.books.campaign([Rule(hashtag="spring")], zone="Asia/Kathmandu"),
        ]

    async def post(self, *given: Item) -> None:
        said = given or [items(self.rng) for _ in range(self.rng.randint(1, 4))]
        await self.books.post(self.rng.choice(self.sources), said)

    async def later(self) -> None:
        """Post what changes late days alone, as most postings do."""
        name, rng = self.rng.choice(POSTS), self.rng
        read = [counter(name, at(rng.randint(36, 44) + 0.3), likes=rng.randint(300, 500))]
        await self.books.post(
            rng.choice(self.sources), [*read, shown(rng.randint(5, 14), name, impressions=rng.randint(5, 9))]
        )

    async def rule(self) -> None:
        """Change what decides about the second campaign: its members leave or come back."""
        wanted = Rule(hashtag="spring") if self.rng.random() < 0.6 else Rule(hashtag="none")
        await self.books.rules(self.campaigns[1], [wanted])

    async def build(self) -> None:
        workspace_id = self.books.workspace_id
        async with self.books.database.workspace(workspace_id) as connection:
            await running.announce(await driver(connection), workspace_id, self.books.context.now(), least=1)
        await self.summer.catch_up(workspace_id)
        self.built += 1

    def question(self, ranges: Sequence[Any]) -> dict[str, Any]:
        rng = self.rng
        scope = rng.choice(([0], [0], [1], [2], [0, 1], [1, 2]))
        return {
            "scope": {"campaigns": [ids.show("campaign", self.campaigns[place]) for place in scope]},
            "metrics": ["likes", "impressions", "spend_media", *rng.sample(MORE, 3)],
            "range": rng.choice(ranges),
            "granularity": rng.choice(("total", "total", "day", "week")),
            "dimensions": rng.choice(([], [], ["subject"], ["paid"], ["campaign"])),
            "compare": rng.choice((None, "previous_period")),
            "filters": rng.choice((None, None, None, ["is", "paid", ["paid"]])),
            **(DOLLARS if rng.random() < 0.3 else {}),
        }

    async def agree(self, ranges: Sequence[Any] = RANGES) -> None:
        """Ask a question with running sums and without."""
        asked = self.question(ranges)
        if asked["range"] == "lifetime":
            asked |= {"granularity": "total", "compare": None}
        query = query_of(QueryInput.model_validate(asked), costs=True, evidence=None)
        found, plain = await self.both(query)
        assert msgspec.json.encode(found) == msgspec.json.encode(plain), asked

    async def both(self, query: Query) -> tuple[AnswerOut | None, AnswerOut | None]:
        """Answer with running sums, and without; None where retention took what is asked for."""
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            return await self._answer(connection, query, self._standing), await self._answer(connection, query, nothing)

    async def _answer(self, connection: AsyncConnection, query: Query, standing_: Any) -> AnswerOut | None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(reading, "standing", standing_)
            patched.setattr(reading, "_pays", lambda *_: True)
            try:
                return await query_kpis(connection, self.books.workspace_id, query, NOTES, self.books.context.now())
            except Gone:
                return None

    async def _standing(self, *asked: Any) -> Any:
        found = await standing(*asked)
        self.read += len(found)
        return found

    async def proof(self) -> list[str]:
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            report = await verify(connection, self.books.workspace_id, lambda _delivery, _version: None)
        return [one.check for one in report.differences]


async def nothing(*_: Any) -> list[Any]:
    return []


async def opened(database: Database, seed: int) -> Room:
    room = Room(Books(database, fixed(at(61), seed)), random.Random(seed))
    await room.open(test_sums.ZONES[seed % len(test_sums.ZONES)])
    return room


@pytest.mark.parametrize("seed", seeds(2))
async def test_answers_are_what_they_are_without(
    database: Database, owner_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_sums, "POSTS", POSTS)
    room = await opened(database, seed)
    for _ in range(8):
        await room.post()
    for step in range(14):
        if room.rng.random() < 0.7 or step == 0:
            await room.build()
        await room.agree()
        await room.agree()
        await room.rng.choice((room.later, room.later, room.later, room.post, room.post, room.rule))()
        await room.agree()
        await room.agree()
    assert room.built > 3
    assert room.read > 10
    assert await room.proof() == []
    await room.build()
    async with database.workspace(room.books.workspace_id) as connection:
        assert await carry(connection, room.books.workspace_id, datetime(2026, 7, 1, tzinfo=UTC), room.books.context)
    async with database.control() as connection:
        assert await drop_partitions(connection, None, date(2026, 7, 1))
    for _ in range(6):
        await room.agree(KEPT)
        await room.post(counter("p1", at(42.5), likes=room.rng.randint(100, 200)))
        await room.agree(KEPT)
        await room.build()
    assert await room.proof() == []


def shown(day: int, post_id: str = "p1", said: float = 45, **metrics: int) -> Observation:
    """Return what a post was shown on a day of July."""
    return Observation(
        subject=SubjectRef(post_id),
        kind=Kind.PERIOD,
        metrics=metrics,
        window=day_window(date(2026, 7, day), "UTC"),
        observed_at=at(said),
        currency="EUR",
    )


async def july(room: Room, place: int = 0) -> Any:
    """Return the impressions of a campaign in July."""
    return (await told(room, "impressions", date(2026, 7, 1), date(2026, 7, 31), place)).value


async def told(room: Room, metric: str, first: date, last: date, place: int = 0) -> MetricOut:
    """Return a metric of a campaign, the same with running sums and without."""
    question = Question(metrics=(metric,), range_from=first, range_to=last)
    query = Query(question=question, scope=Scope(campaigns=(room.campaigns[place],)))
    answer, plain = await room.both(query)
    assert answer is not None
    assert plain is not None
    assert answer.totals == plain.totals
    assert answer.data == plain.data
    return answer.totals[metric]


async def test_days_that_begin_inside_a_line_are_told(database: Database) -> None:
    room = await opened(database, 0)
    # A line from the beginning of 21 June to noon on 5 July.
    await room.post(seen("p1", published_at=at(20)), counter("p1", at(34.5), likes=90))
    await room.build()
    for first, last, quality in (
        (date(2026, 6, 25), date(2026, 7, 20), "interpolated"),
        (date(2026, 6, 10), date(2026, 7, 4), "interpolated"),
        (date(2026, 6, 10), date(2026, 7, 20), "observed"),
    ):
        assert (await told(room, "likes", first, last)).quality == quality
    # The day after the range is touched by another post: the range is not.
    await room.post(shown(5, "p2", impressions=1))
    assert (await told(room, "likes", date(2026, 6, 10), date(2026, 7, 4))).quality == "interpolated"
    assert room.read == 4


async def test_what_a_posting_touches_is_read_from_the_tallies(database: Database) -> None:
    room = await opened(database, 0)
    spring = [seen(one, hashtags=("spring",), observed_at=at(1)) for one in ("p1", "p2")]
    await room.post(*spring, *(shown(day, one, impressions=10) for day in (2, 3, 4) for one in ("p1", "p2")))
    assert await july(room) == 60
    assert room.read == 0
    await room.build()
    assert await july(room) == 60
    assert room.read == 1
    # A withdrawn day is null again; a later one is added; both stand in the answer at once.
    gone = Withdrawal(
        subject=SubjectRef("p1"),
        kind=Kind.PERIOD,
        window=day_window(date(2026, 7, 3), "UTC"),
        metrics=("impressions",),
        observed_at=at(46),
    )
    await room.post(gone)
    assert await july(room) == 50
    await room.build()
    assert await july(room) == 50
    await room.post(shown(9, impressions=7))
    assert await july(room) == 57
    # Who leaves and comes back meanwhile has other days than its place holds.
    await room.post(seen("p1", hashtags=(), observed_at=at(3)))
    assert await july(room, place=1) == 30
    await room.post(shown(2, said=47, impressions=11))
    await room.build()
    await room.post(seen("p1", hashtags=("spring",), observed_at=at(4)))
    assert await july(room, place=1) == 58
    await room.build()
    assert await july(room, place=1) == 58
    assert await room.proof() == []


async def test_a_builder_keeps_what_it_does_not_see(database: Database) -> None:
    room = await opened(database, 0)
    workspace_id, campaign = room.books.workspace_id, room.campaigns[0]
    await room.post(shown(2, impressions=10))
    await room.build()
    await room.post(shown(3, impressions=20))
    async with database.steady(workspace_id) as connection:
        raw = await driver(connection)
        assert await raw.fetchval("select posting from books") > 0
        # Posted after the builder looked: its touch stays, and another builder goes elsewhere.
        await room.post(shown(4, impressions=40))
        assert await running.build(raw, workspace_id, campaign, room.books.context.now(), float) is not None
        async with database.steady(workspace_id) as second:
            other = await driver(second)
            assert await running.build(other, workspace_id, campaign, room.books.context.now(), float) is None
        assert await july(room) == 70
    assert await july(room) == 70
    (left,) = await room.books.rows("select first_day from running_touches where campaign_id = :c", c=campaign)
    assert left["first_day"] == date(2026, 7, 4)
    # A build that does not end leaves what was.
    before = await room.books.rows("select * from running_days order by metric, part, day")
    async with database.steady(workspace_id) as connection:
        await running.build(await driver(connection), workspace_id, campaign, room.books.context.now(), float)
        await connection.rollback()
    assert await room.books.rows("select * from running_days order by metric, part, day") == before
    await room.build()
    assert await july(room) == 70
    assert await room.books.rows("select 1 as one from running_touches") == []
    assert await room.proof() == []
    # What is not as the tallies say is found.
    third = (running_days.c.metric == "impressions") & (running_days.c.day == date(2026, 7, 3))
    async with database.workspace(workspace_id) as connection:
        (kept,) = (await connection.execute(sa.select(running_days).where(third))).mappings()
        await connection.execute(sa.delete(running_days).where(third))
    assert await room.proof() == ["running_sums"]
    wrong = kept["sums"][:1] + b"\x1f" + kept["sums"][2:]
    async with database.workspace(workspace_id) as connection:
        await connection.execute(sa.insert(running_days), {**kept, "sums": wrong})
    assert await room.proof() == ["running_sums"]


async def test_a_restated_day_is_its_line_and_what_came_to_it(database: Database) -> None:
    room = await opened(database, 0)
    await room.post(shown(2, impressions=10), shown(3, impressions=20))
    await room.post(shown(2, said=46, impressions=17))
    await room.build()
    before = room.read
    assert await july(room) == 37
    assert room.read > before
    assert "running_sums" not in await room.proof()


async def test_what_an_older_process_posts_is_not_missed(database: Database) -> None:
    room = await opened(database, 0)
    await room.post(shown(2, impressions=10), shown(3, impressions=20))
    await room.build()
    assert await july(room) == 30
    # It leaves no touch, and its row of postings has the default.
    async with database.workspace(room.books.workspace_id) as connection:
        for statement in (*ADDED, OLDER):
            await connection.execute(sa.text(statement))
    assert await july(room) == 35
    await room.build()
    assert room.read
    assert await july(room) == 35
    assert "running_sums" not in await room.proof()


async def test_a_loop_builds_what_it_hears_of(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await opened(database, 0)
    monkeypatch.setattr(summing, "LINGER_SECONDS", 0.01)
    await room.post(shown(2, impressions=10))
    await room.build()
    summer, stop = Summer(database, real()), asyncio.Event()

    async def post(*_: Any, **__: Any) -> list[Any]:
        await room.post(shown(3, impressions=20))
        return []

    monkeypatch.setattr(summer, "sweep", nothing)
    loop = asyncio.create_task(summer.run(stop))
    heard: Any = summer.hearing(post)
    assert await heard(None, room.books.workspace_id, None, [], None, None) == []
    async with asyncio.timeout(20):
        while await room.books.rows("select 1 as one from running_touches"):  # noqa: ASYNC110 - the database tells
            await asyncio.sleep(0.02)
    stop.set()
    await loop
    assert await july(room) == 30
    assert await room.proof() == []


ADDED = (
    """
    insert into subject_days (workspace_id, subject_id, day, zone, basis, days, currency, paid, impressions)
    select workspace_id, e.subject_id, e.day, s.zone, 1, e.days, s.currency, s.paid, 5
    from entries e join series s using (workspace_id, series_id) where e.day = '2026-07-02'
    """,
    "update campaign_days set impressions = 15 where day = '2026-07-02'",
)
OLDER = """
with next as (
  update books set posting = posting + 1, recorded_at = recorded_at + interval '1 s' returning workspace_id, posting,
    recorded_at
)
insert into postings (workspace_id, posting, posting_id, batch, recorded_at, cause, deliveries, entries)
select workspace_id, posting, gen_random_uuid(), 1, recorded_at, 'deliveries', 1, 1 from next
"""
