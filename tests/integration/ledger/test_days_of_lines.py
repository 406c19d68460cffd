"""The first line of a day is the tally of that day by itself; what comes to it stands beside, and both are one day."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from connectors.contract import Kind, Observation, SubjectRef, Withdrawal, day_window
from service.db import embedded, migrate
from service.db.engine import Database
from service.ledger.verify import verify
from service.records import Rule
from tests.bookkeeping import SUBJECT_DAYS, Books, at, seen

ZONE = "America/Los_Angeles"
MARKED = "select e.day, e.impressions from entries e where mark & 1 <> 0 order by e.day, e.line"
BESIDE = "select day, impressions, likes from subject_days order by day"
DAYS = f"select day, impressions, likes from {SUBJECT_DAYS} d order by day"
FIRST, SECOND = date(2026, 6, 3), date(2026, 6, 4)


def said(day: date, when: float, **metrics: int) -> Observation:
    return Observation(
        subject=SubjectRef("p"),
        kind=Kind.PERIOD,
        metrics=metrics,
        window=day_window(day, ZONE),
        observed_at=at(when),
    )


def unsaid(day: date, when: float, *metrics: str) -> Withdrawal:
    window = day_window(day, ZONE)
    return Withdrawal(subject=SubjectRef("p"), kind=Kind.PERIOD, metrics=metrics, window=window, observed_at=at(when))


async def told(books: Books, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await books.rows(query)]


async def prove(books: Books) -> None:
    async with books.database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert report.differences == []


async def opened(database: Database) -> tuple[Books, Any, UUID]:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id, hashtag="in")], zone="Europe/Berlin")
    await books.post(source, [seen("p", hashtags=("in",)), said(FIRST, 5, impressions=100, likes=5)])
    return books, source, campaign


async def test_a_day_of_one_line_is_written_once(database: Database) -> None:
    books, source, _ = await opened(database)
    assert await told(books, BESIDE) == []
    assert await told(books, MARKED) == [(FIRST, 100)]
    assert await told(books, DAYS) == [(FIRST, 100, 5)]
    await books.post(source, [said(FIRST, 6, impressions=130, likes=5), said(SECOND, 6, impressions=7)])
    assert await told(books, BESIDE) == [(FIRST, 30, None)]
    assert await told(books, MARKED) == [(FIRST, 100), (SECOND, 7)]
    assert await told(books, DAYS) == [(FIRST, 130, 5), (SECOND, 7, None)]
    assert await books.tally("campaign_days", "impressions") == {FIRST: 130, SECOND: 7}
    await prove(books)


async def test_what_is_taken_back_is_null_again(database: Database) -> None:
    books, source, _ = await opened(database)
    third = SECOND + timedelta(days=1)
    await books.post(source, [said(SECOND, 6, impressions=7)])
    # The posting that takes back also brings a day: what days were is not what it makes of them.
    items = [said(FIRST, 7, impressions=90), unsaid(FIRST, 7, "likes"), said(third, 7, impressions=8, likes=1)]
    await books.post(source, items)
    assert await told(books, DAYS) == [(FIRST, 90, None), (SECOND, 7, None), (third, 8, 1)]
    assert await told(books, MARKED) == [(SECOND, 7)]
    assert await told(books, BESIDE) == [(FIRST, 90, None), (third, 8, 1)]
    assert await books.tally("campaign_days", "impressions") == {FIRST: 90, SECOND: 7, third: 8}
    assert await books.tally("campaign_days", "likes") == {FIRST: None, SECOND: None, third: 1}
    await prove(books)
    await books.post(source, [unsaid(SECOND, 8, "impressions")])
    assert await told(books, DAYS) == [(FIRST, 90, None), (third, 8, 1)]
    assert await told(books, MARKED) == []
    await prove(books)


async def test_who_joins_and_leaves_takes_its_days_along(database: Database) -> None:
    books, source, campaign = await opened(database)
    await books.post(source, [said(FIRST, 6, impressions=120, likes=5)])
    await books.rules(campaign, [Rule(source=source.source_id, hashtag="out")])
    assert await books.tally("campaign_days", "impressions") == {}
    assert await told(books, MARKED) == [(FIRST, 100)]
    await books.rules(campaign, [Rule(source=source.source_id, hashtag="in")])
    assert await books.tally("campaign_days", "impressions") == {FIRST: 120}
    assert await told(books, BESIDE) == [(FIRST, 20, None)]
    await prove(books)


@pytest.mark.parametrize("beside", [True, False])
async def test_the_migration_is_undone_without_a_loss(database: Database, owner_url: str, beside: bool) -> None:
    books, source, _ = await opened(database)
    if beside:
        await books.post(source, [said(FIRST, 6, impressions=130, likes=5)])
    found = await told(books, DAYS)
    settings = migrate.config(owner_url, embedded.SERVICE)
    revision = ScriptDirectory.from_config(settings).get_revision("0016")
    assert revision is not None
    await asyncio.to_thread(command.downgrade, settings, str(revision.down_revision))
    assert await told(books, BESIDE) == found
    await asyncio.to_thread(command.upgrade, settings, "head")
    assert await told(books, DAYS) == found
    await books.post(source, [said(FIRST, 7, impressions=140, likes=5)])
    assert (await told(books, DAYS))[0][:2] == (FIRST, 140)
    await prove(books)
