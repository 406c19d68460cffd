"""What was known at an instant stays what it was, to the byte, whatever is written meanwhile and by whose clock."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded, so that a failing case comes back
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from connectors.contract import Item
from service.db.engine import Database
from service.errors import Busy, Gone, Invalid
from service.kpi.buckets import Grain
from service.ledger.resets import settle
from service.records import Rule, SourceRow, Verdict
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from tests.bookkeeping import Books, at, counter
from tests.integration.ledger.desk import Desk, mutated
from tests.integration.ledger.test_order import NOTES, made_up
from tests.integration.ledger.test_retention import retain

SKEWS = (-25, -11, -3, 0, 0, 4, 13, 25)
ROUNDS = 3
JUNE: dict[str, Any] = {"range_from": date(2026, 6, 2), "range_to": date(2026, 6, 6)}
METRICS = ("likes", "engagements", "ctr", "er_reach", "er_followers", "aov", "follower_growth")
QUESTIONS = (
    Question(metrics=METRICS, **JUNE, granularity=Grain.DAY, compare="previous_period"),
    Question(metrics=METRICS, preset="lifetime", dimensions=("platform", "tier")),
    Question(metrics=("likes", "comments"), **JUNE, timezone="Asia/Kolkata", falls="high_water"),
)
_USABLE = re.compile(r"the newest usable is (\S+)")


def script(seed: int) -> dict[int, list[Item]]:
    """Return what deliveries say that are read anew."""
    return dict(enumerate(made_up(seed, 12)))


class Hammer:
    """A workspace that eight writers post to, and the answers that were given of it, each with its question."""

    def __init__(self, database: Database) -> None:
        self.desk = Desk(database, 5)
        self.answers: dict[tuple[UUID, int, datetime], bytes] = {}
        self.writing = True

    async def open(self) -> list[tuple[Books, SourceRow]]:
        """Make the workspace; return what each writer writes with. Four of them speak of the same subjects."""
        desk = self.desk
        await desk.open()
        desk.reads("1", script(90))
        writers = []
        for number, skew in enumerate(SKEWS):
            source = await desk.books.source("instagram" if number < 4 else f"platform{number}", counts=number >= 4)
            clock = msgspec.structs.replace(desk.context, now=lambda skew=skew: desk.time + timedelta(seconds=skew))
            books = Books(desk.database, clock)
            books.workspace_id = desk.books.workspace_id
            # Their made-up deliveries have ids of their own.
            books.deliveries = 1000 * (number + 1)
            writers.append((books, source))
        desk.time += timedelta(minutes=5)
        return writers

    def tick(self) -> None:
        self.desk.time += timedelta(seconds=2)

    async def ask(self, campaign: UUID, number: int, as_of: datetime) -> bytes:
        desk = self.desk
        question = msgspec.structs.replace(QUESTIONS[number], as_of=as_of)
        async with desk.database.snapshot(desk.books.workspace_id) as connection:
            found = await campaign_kpis(
                connection, desk.books.workspace_id, campaign, question, NOTES, desk.context.now()
            )
        return msgspec.json.encode(found)

    async def again(self, key: tuple[UUID, int, datetime]) -> None:
        """Ask what was asked before; it must be what was answered."""
        assert await self.ask(*key) == self.answers[key], key

    async def usable(self, rng: random.Random) -> datetime:
        """Return an instant that is settled: the newest known, or the one that a refusal names."""
        if rng.random() < 0.5:
            (row,) = await self.desk.books.rows("select recorded_at from books")
            found: datetime = row["recorded_at"]
            return found
        try:
            ahead = self.desk.time + timedelta(seconds=rng.choice((-1, 30)))
            await self.ask(self.desk.campaigns[0], 2, ahead)
        except (Busy, Invalid) as refused:
            return datetime.fromisoformat(_USABLE.findall(str(refused))[0])
        return ahead

    # -------------------------------------------------------------------------------------------- who does what

    async def write(self, books: Books, source: SourceRow, deliveries: Sequence[Sequence[Item]]) -> None:
        for delivery in deliveries:
            await books.post(source, delivery)
            self.tick()

    async def read(self, seed: int) -> None:
        rng = random.Random(seed)
        while self.writing:
            key = (rng.choice(self.desk.campaigns), rng.randrange(len(QUESTIONS)), await self.usable(rng))
            if key in self.answers:
                await self.again(key)
            else:
                self.answers[key] = await self.ask(*key)
            await self.again(rng.choice(list(self.answers)))

    async def change(self) -> None:
        """Change rules, settle a fall, read deliveries by a newer connector: each while others write and read."""
        desk = self.desk
        await desk.land(range(12))
        await desk.drain()
        await desk.books.rules(desk.campaigns[0], [Rule(hashtag="sale")])
        subject = await self.fall()
        desk.reads("2", mutated(script(90), 1, script(91)))
        await desk.replay(connector_version="1")
        self.tick()
        await self.settle(subject)
        await desk.books.rules(desk.campaigns[0], [Rule(hashtag="spring"), Rule(platform="platform5")])

    async def fall(self) -> UUID:
        books = self.desk.books
        source = await books.source("fallen")
        await books.rules(self.desk.campaigns[2], [Rule(platform="fallen"), Rule(hashtag="sale")])
        await books.post(source, [counter("f", at(1), comments=700), counter("f", at(3), comments=20)])
        (row,) = await books.rows("select subject_id from subjects where external_id = 'f'")
        found: UUID = row["subject_id"]
        return found

    async def settle(self, subject_id: UUID) -> None:
        books = self.desk.books
        async with books.database.workspace(books.workspace_id) as connection:
            await settle(
                connection, books.workspace_id, subject_id, "comments", at(3), Verdict.RESET, "", books.context
            )


async def test_answers_as_of_an_instant_never_change(database: Database) -> None:
    hammer = Hammer(database)
    writers = await hammer.open()
    readers = [asyncio.create_task(hammer.read(seed)) for seed in range(2)]
    try:
        await asyncio.gather(
            *(hammer.write(*writer, made_up(seed, ROUNDS)) for seed, writer in enumerate(writers)),
            hammer.change(),
        )
    finally:
        hammer.writing = False
        await asyncio.gather(*readers)
    (newest,) = await hammer.desk.books.rows("select recorded_at from books")
    hammer.desk.time = newest["recorded_at"] + timedelta(seconds=30)
    unsettled = (hammer.desk.campaigns[0], 0, hammer.desk.time - timedelta(seconds=1))
    with pytest.raises(Busy, match=re.escape(newest["recorded_at"].isoformat().replace("+00:00", "Z"))):
        await hammer.ask(*unsettled)
    assert len(hammer.answers) > 3
    hammer.desk.time += timedelta(hours=1)
    for key in hammer.answers:
        await hammer.again(key)
    report = await hammer.desk.proof()
    assert report.differences == []
    await retain(hammer.desk, datetime(2026, 6, 1, tzinfo=UTC))
    gone = 0
    for key, answer in hammer.answers.items():
        try:
            assert await hammer.ask(*key) == answer, key
        except Gone:
            gone += 1
    assert 0 < gone < len(hammer.answers)
