"""Writers side by side: sources that share campaigns, subjects and creators, while rules change under them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest_asyncio

from connectors.contract import Item
from service.context import fixed
from service.db.engine import Database
from service.ledger.verify import verify
from service.records import Rule, SourceRow
from tests.bookkeeping import Books, at, counter
from tests.integration.ledger.test_order import made_up


@pytest_asyncio.fixture
async def books(database: Database) -> AsyncIterator[Books]:
    made = Books(database, fixed(at(61), 11))
    await made.open()
    yield made


async def _post_all(books: Books, source: SourceRow, deliveries: list[list[Item]]) -> None:
    for delivery in deliveries:
        await books.post(source, delivery)


async def test_four_sources_and_changing_rules_end_with_proven_books(books: Books) -> None:
    # Three of one platform share every subject, so that facts, memberships and tallies meet.
    sources = [await books.source(platform, counts=counts) for platform, counts in
               (("instagram", True), ("instagram", False), ("instagram", False), ("tiktok", True))]  # fmt: skip
    campaign = await books.campaign([Rule(hashtag="spring")], zone="Asia/Kolkata")
    await books.campaign([Rule(platform="instagram"), Rule(platform="tiktok")], zone="America/Los_Angeles")

    async def change_rules() -> None:
        for tag in ("sale", "spring", "none", "sale"):
            await books.rules(campaign, [Rule(hashtag=tag)])

    writers = [_post_all(books, source, made_up(seed, 15)) for seed, source in enumerate(sources)]
    await asyncio.gather(*writers, change_rules())
    async with books.database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert report.differences == []
    assert report.checked["postings"] == 4 * 15 + 2 + 4


async def test_the_same_rows_from_many_writers_do_not_deadlock(books: Books) -> None:
    sources = [await books.source(f"p{number}") for number in range(6)]
    await books.campaign([Rule(source=source.source_id) for source in sources])
    posts = [f"post-{number}" for number in range(40)]

    async def write(source: SourceRow, order: list[str]) -> None:
        for day in range(1, 6):
            await books.post(source, [counter(post, at(day), likes=day) for post in order])

    orders = itertools.cycle((posts, posts[::-1]))
    await asyncio.gather(*(write(source, next(orders)) for source in sources))
    rows = await books.rows("select sum(likes)::int as likes from campaign_days")
    assert rows[0]["likes"] == 6 * 40 * 5
