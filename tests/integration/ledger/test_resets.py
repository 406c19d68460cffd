"""What people say of falls: a reset reads as growth from zero, a correction as the fall that it is; both are dated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from connectors.contract import Item, Kind
from service.db.engine import Database
from service.errors import Invalid, NotFound
from service.kpi.buckets import Grain
from service.ledger.resets import settle
from service.ledger.verify import verify
from service.records import Rule, Settled, Verdict
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from tests.bookkeeping import SUBJECT_DAYS, Books, at, counter, seen
from tests.integration.ledger.desk import Desk
from tests.integration.reports.test_trails import NOTES, answer, changes

WEEK: dict[str, Any] = {"range_from": date(2026, 6, 1), "range_to": date(2026, 6, 5)}


@pytest_asyncio.fixture
async def books(database: Database) -> AsyncIterator[Books]:
    made = Books(database)
    await made.open()
    yield made


async def say(books: Books, subject_id: UUID, metric: str, when: datetime, verdict: Verdict) -> Settled:
    async with books.database.workspace(books.workspace_id) as connection:
        return await settle(
            connection, books.workspace_id, subject_id, metric, when, verdict, "somebody", books.context
        )


async def subject_of(books: Books, external_id: str = "p") -> UUID:
    (row,) = await books.rows("select subject_id from subjects where external_id = :p", p=external_id)
    found: UUID = row["subject_id"]
    return found


async def prove(books: Books) -> None:
    async with books.database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert report.differences == []


async def test_a_reset_is_growth_from_zero_and_the_past_still_doubts(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), comments=500, likes=7)])
    await books.post(source, [counter("p", at(2), comments=20, likes=8)])
    doubted = await answer(books, campaign, "comments", **WEEK)
    assert (doubted["value"], doubted["reason"]) == (None, "suspected_reset")
    (before,) = await books.rows("select max(recorded_at) as at from postings")
    subject_id = await subject_of(books)
    said = await say(books, subject_id, "comments", at(2), Verdict.RESET)
    assert (said.old, said.new, said.posting) == (500, 20, 4)
    assert (await answer(books, campaign, "comments", **WEEK))["value"] == 520
    assert (await answer(books, campaign, "likes", **WEEK))["value"] == 8
    assert (await answer(books, campaign, "comments", **WEEK, as_of=before["at"]))["reason"] == "suspected_reset"
    assert await books.tally("campaign_days", "comments") == {date(2026, 6, 1): 500, date(2026, 6, 2): 20}
    assert await books.rows("select comments from balances") == [{"comments": 20}]
    found = (await changes(books, campaign, "comments", **WEEK))["data"]
    assert [(c["new"]["value"], c["new"]["reason"], c["causes"]) for c in found] == [
        (500, None, ["growth", "membership"]),
        (None, "suspected_reset", ["growth", "suspected_reset"]),
        (520, None, ["reset_confirmed", "reset_settled"]),
    ]
    await prove(books)
    again = await say(books, subject_id, "comments", at(2), Verdict.RESET)
    assert (again.old, again.new, again.posting) == (500, 20, 4)
    assert await books.rows("select count(*) as n from postings") == [{"n": 4}]
    await say(books, subject_id, "comments", at(2), Verdict.CORRECTION)
    assert (await answer(books, campaign, "comments", **WEEK))["value"] == 20
    assert await books.tally("campaign_days", "comments") == {date(2026, 6, 1): 500, date(2026, 6, 2): -480}
    await prove(books)


async def test_a_correction_is_a_signed_fall(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), comments=500)])
    await books.post(source, [counter("p", at(2), comments=20), counter("p", at(2), Kind.LEVEL, followers=5)])
    subject_id = await subject_of(books)
    said = await say(books, subject_id, "comments", at(2), Verdict.CORRECTION)
    assert (said.old, said.new) == (500, 20)
    assert (await answer(books, campaign, "comments", **WEEK))["value"] == 20
    found = (await changes(books, campaign, "comments", **WEEK))["data"]
    assert found[-1]["causes"] == ["reset_settled"]
    await prove(books)
    for metric, when, error in (
        ("comments", at(3), Invalid),
        ("comments", at(1), Invalid),
        ("nonsense", at(2), Invalid),
        ("followers", at(2), Invalid),
    ):
        with pytest.raises(error):
            await say(books, subject_id, metric, when, Verdict.RESET)
    with pytest.raises(NotFound):
        await say(books, UUID(int=9), "comments", at(2), Verdict.RESET)


async def test_a_verdict_holds_whatever_arrives_late(books: Books) -> None:
    """A late value before the reset of zero leaves nothing to add, and a later one of five something again."""
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), comments=500)])
    await books.post(source, [counter("p", at(2), comments=20)])
    await say(books, await subject_of(books), "comments", at(2), Verdict.RESET)
    for hours, value, sum_of_all in ((10, 0, 20), (12, 5, 25), (11, 400, 25)):
        await books.post(source, [counter("p", at(1, hours), comments=value)])
        await prove(books)
        rows = await books.rows(f"select sum(comments)::int as n from {SUBJECT_DAYS} d")
        assert rows == [{"n": sum_of_all}]
    assert (await answer(books, campaign, "comments", **WEEK))["reason"] == "suspected_reset"


async def test_a_verdict_outlives_readings_that_are_read_otherwise(database: Database) -> None:
    """A newer connector leaves out the reading that was settled, and one more says it again."""
    desk = Desk(database, 3)
    await desk.open(campaigns=False)
    campaign = await desk.books.campaign([Rule(platform="instagram")])
    said: dict[int, list[Item]] = {
        0: [seen("p", published_at=at()), counter("p", at(1), comments=500)],
        1: [counter("p", at(2), comments=20)],
        2: [counter("p", at(3), comments=40)],
    }
    desk.reads("1", said)
    await desk.land(said)
    await desk.drain()
    await say(desk.books, await subject_of(desk.books), "comments", at(2), Verdict.RESET)
    assert (await answer(desk.books, campaign, "comments", **WEEK))["value"] == 540
    read_as: tuple[tuple[str, list[Item], int | None, str | None], ...] = (
        ("2", [], None, "suspected_reset"),
        ("3", said[1], 540, None),
    )
    for version, second, value, reason in read_as:
        desk.reads(version, said | {1: second})
        await desk.replay(since=at(0))
        found = await answer(desk.books, campaign, "comments", **WEEK)
        assert (found["value"], found["reason"]) == (value, reason)
        assert (await desk.proof()).differences == []


async def test_high_water_is_a_way_of_reading(books: Books) -> None:
    """The worked case: 100, 150, 140, 170 on four days, in days and in all, whole and across zones."""
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    for day, value in enumerate((100, 150, 140, 170)):
        await books.post(source, [counter("p", at(day), likes=value), counter("q", at(day), likes=value + 300 * day)])

    async def days(**more: Any) -> list[Any]:
        question = Question(
            metrics=("likes",),
            range_from=date(2026, 6, 1),
            range_to=date(2026, 6, 3),
            granularity=Grain.DAY,
            falls="high_water",
            **more,
        )
        async with books.database.snapshot(books.workspace_id) as connection:
            found = await campaign_kpis(connection, books.workspace_id, campaign, question, NOTES, books.context.now())
        values = [row.metrics["likes"].value for row in found.data]
        return [*values, found.totals["likes"].value]

    q = [350, 290, 330]
    signed = await answer(books, campaign, "likes", range_from=date(2026, 6, 1), range_to=date(2026, 6, 3))
    assert signed["value"] == 70 + sum(q)
    assert await days() == [50 + q[0], 0 + q[1], 20 + q[2], 70 + sum(q)]
    shifted = await days(timezone="Asia/Kolkata")
    assert sum(shifted[:-1]) == shifted[-1]
    (known,) = await books.rows("select max(recorded_at) as at from postings")
    await books.post(source, [counter("p", at(2, 12), likes=10)])
    await say(books, await subject_of(books), "likes", at(2, 12), Verdict.RESET)
    assert await days(as_of=known["at"]) == [50 + q[0], 0 + q[1], 20 + q[2], 70 + sum(q)]
    assert await days() == [50 + q[0], 0 + q[1], 10 + 160 + q[2], 220 + sum(q)]
    signed = await answer(books, campaign, "likes", range_from=date(2026, 6, 1), range_to=date(2026, 6, 3))
    assert signed["value"] == 50 - 10 + 10 + 160 + sum(q)
    await prove(books)
