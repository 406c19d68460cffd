"""Postings against real PostgreSQL: what readings become in entries, balances and tallies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import pytest
import pytest_asyncio

from connectors.contract import Conversion, Kind, Observation, SubjectRef, Touchpoint, Withdrawal, day_window
from service.db.engine import Database
from service.records import Rule
from tests.bookkeeping import SUBJECT_DAYS, Books, at, counter, seen


@pytest_asyncio.fixture
async def books(database: Database) -> AsyncIterator[Books]:
    made = Books(database)
    await made.open()
    yield made


async def test_growth_since_publication_and_growth_over_a_gap(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), likes=1000)])
    await books.post(source, [counter("p", at(4), likes=1010)])
    assert await books.tally("campaign_days", "likes") == {
        date(2026, 6, 1): 1000,
        date(2026, 6, 2): 4,
        date(2026, 6, 3): 3,
        date(2026, 6, 4): 3,
    }
    assert (await books.rows("select likes from balances"))[0]["likes"] == 1010


async def test_opening_stands_before_all_days(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [counter("p", at(1), likes=340)])
    await books.post(source, [counter("p", at(2), likes=350)])
    assert await books.tally("campaign_days", "likes") == {date.min: 340, date(2026, 6, 2): 10}


async def test_a_late_reading_changes_only_its_gap(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    for day, value in ((1, 100), (4, 400), (5, 450)):
        await books.post(source, [counter("p", at(day), likes=value)])
    await books.post(source, [counter("p", at(2), likes=390)])
    assert await books.tally(SUBJECT_DAYS, "likes") == {
        date.min: 100,
        date(2026, 6, 2): 290,
        date(2026, 6, 3): 5,
        date(2026, 6, 4): 5,
        date(2026, 6, 5): 50,
    }
    assert (await books.rows("select likes from balances"))[0]["likes"] == 450


async def test_a_restated_day_counts_once_and_an_older_reading_changes_nothing(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)], zone="Europe/Berlin")
    window = day_window(date(2026, 6, 3), "America/Los_Angeles")

    def day(value: int, when: float) -> Observation:
        return Observation(
            subject=SubjectRef("p"),
            kind=Kind.PERIOD,
            metrics={"impressions": value},
            window=window,
            observed_at=at(when),
        )

    await books.post(source, [day(100, 5)])
    await books.post(source, [day(130, 7)])
    await books.post(source, [day(124, 6)])
    await books.post(source, [day(130, 8)])
    assert await books.tally("campaign_days", "impressions") == {date(2026, 6, 3): 130}
    assert [row["n"] for row in await books.rows("select count(*) as n from entries")] == [3]
    await books.post(source, [day(120, 7.5)])
    assert await books.tally("campaign_days", "impressions") == {date(2026, 6, 3): 130}


async def test_a_withdrawn_day_is_null_not_zero(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    window = day_window(date(2026, 6, 3), "UTC")
    subject = SubjectRef("p")
    await books.post(
        source,
        [Observation(subject=subject, kind=Kind.PERIOD, metrics={"sessions": 5}, window=window, observed_at=at(5))],
    )
    gone = Withdrawal(subject=subject, kind=Kind.PERIOD, window=window, metrics=("sessions",), observed_at=at(6))
    await books.post(source, [gone])
    assert await books.tally("campaign_days", "sessions") in ({}, {date(2026, 6, 3): None})


async def test_an_event_counts_once_and_moves_when_restated(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    subject = SubjectRef("p")
    order = Conversion(id="o1", at=at(1), kind="order", value=10_000_000, currency="EUR", subject=subject)
    click = Touchpoint(id="c1", at=at(1), subject=subject)
    await books.post(source, [order, order, click], [click])
    await books.post(source, [order])
    assert await books.tally("campaign_days", "orders") == {date(2026, 6, 2): 1}
    assert await books.tally("campaign_days", "clicks_link") == {date(2026, 6, 2): 1}
    moved = Conversion(
        id="o1", at=at(3), kind="order", value=9_000_000, currency="EUR", subject=subject, observed_at=at(4)
    )
    await books.post(source, [moved])
    assert await books.tally("campaign_days", "conversion_value") == {
        date(2026, 6, 2): None,
        date(2026, 6, 4): 9_000_000,
    }


async def test_check_series_and_second_sources_are_never_added(books: Books) -> None:
    first, second = await books.source(), await books.source(counts=False)
    await books.campaign([Rule(platform="instagram")])
    await books.post(first, [counter("p", at(1), likes=10), counter("p", at(1), comments=99, check=True)])
    await books.post(second, [counter("p", at(2), likes=12)])
    assert await books.tally("campaign_days", "likes") == {date.min: 10}
    assert await books.tally("campaign_days", "comments") == {date.min: None}
    assert len(await books.rows("select 1 as one from balances")) == 3


async def test_a_count_is_one_series_whatever_it_was_said_with(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    window = day_window(date(2026, 6, 3), "UTC")

    def day(when: float, currency: str | None, **metrics: int) -> Observation:
        return Observation(
            subject=SubjectRef("p"),
            kind=Kind.PERIOD,
            metrics=metrics,
            window=window,
            observed_at=at(when),
            currency=currency,
        )

    await books.post(source, [day(5, "EUR", sessions=5, spend_media=1_000_000)])
    await books.post(source, [day(6, None, sessions=5)])
    await books.post(source, [day(7, "EUR", sessions=6)])
    assert await books.tally("campaign_days", "sessions") == {date(2026, 6, 3): 6}
    assert await books.tally("campaign_days", "spend_media") == {date(2026, 6, 3): 1_000_000}


async def test_levels_and_uniques_stay_out_of_tallies(books: Books) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    await books.post(
        source,
        [
            counter("p", at(1), Kind.LEVEL, followers=10),
            counter("p", at(2), Kind.LEVEL, followers=14),
            counter("p", at(2), Kind.UNIQUE, reach=100),
        ],
    )
    assert await books.tally("campaign_days", "impressions") == {}
    balances = await books.rows("select followers, reach from balances order by followers")
    assert balances == [{"followers": 14, "reach": None}, {"followers": None, "reach": 100}]


@pytest.mark.parametrize("facts_first", [True, False])
async def test_publication_learnt_later_turns_an_opening_into_growth(books: Books, *, facts_first: bool) -> None:
    source = await books.source()
    await books.campaign([Rule(source=source.source_id)])
    fact, value = seen("p", published_at=at(1)), counter("p", at(2), likes=7)
    for item in (fact, value) if facts_first else (value, fact):
        await books.post(source, [item])
    assert await books.tally("campaign_days", "likes") == {date(2026, 6, 2): 7}
    assert await books.tally(SUBJECT_DAYS, "likes") == {date(2026, 6, 2): 7}


async def test_a_new_hashtag_moves_a_known_post_between_campaigns(books: Books) -> None:
    source = await books.source()
    a = await books.campaign([Rule(hashtag="Spring")])
    b = await books.campaign([Rule(hashtag="autumn")], zone="Asia/Kolkata")
    await books.post(source, [seen("p", hashtags=("spring",), observed_at=at(1)), counter("p", at(1, 23), likes=7)])
    await books.post(source, [seen("p", hashtags=("autumn",), observed_at=at(2)), counter("p", at(2), likes=9)])
    rows = await books.rows("select campaign_id, day, zone, likes from campaign_days order by day")
    assert [(row["campaign_id"], row["zone"], row["likes"]) for row in rows] == [
        (b, "Asia/Kolkata", 7),
        (b, "Asia/Kolkata", 2),
    ]
    await books.rules(a, [Rule(platform="instagram")])
    rows = await books.rows("select likes from campaign_days where campaign_id = :c order by day", c=a)
    assert [row["likes"] for row in rows] == [7, 2]
