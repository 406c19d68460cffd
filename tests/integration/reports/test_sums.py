"""Two ways to the same sums: tallies and entries agree in amounts, currencies, marks and doubts, on every grid."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from connectors.contract import Conversion, Item, Kind, Observation, SubjectRef, Touchpoint, Withdrawal, day_window
from service.context import fixed
from service.db.engine import Database, driver
from service.kpi.buckets import Grain
from service.kpi.catalogue import CATALOGUE
from service.kpi.periods import previous
from service.ledger.verify import verify
from service.records import Rule
from service.reports.question import Asked, PlatformNotes, Question, understand
from service.reports.stretches import stretch
from service.reports.sums import Sums, sums_of
from tests.bookkeeping import Books, at, counter, seen
from tests.seeds import seeds

ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Europe/London")
POSTS = ("p1", "p2", "p3")
NOTES = PlatformNotes(mappings={}, simulated=frozenset())
RANGES: tuple[dict[str, Any], ...] = (
    {"range_from": date(2026, 6, 24), "range_to": date(2026, 7, 8)},
    {"range_from": date(2026, 7, 1), "range_to": date(2026, 7, 1)},
    {"range_from": date(2026, 6, 30), "range_to": date(2026, 7, 6)},
    {"range_from": date(2026, 5, 1), "range_to": date(2026, 9, 30)},
    {"preset": "this_week"},
    {"preset": "this_month"},
    {"preset": "last_3d"},
    {"preset": "lifetime"},
)


def items(rng: random.Random) -> Item:  # noqa: PLR0911 - one kind of item a branch
    """Return an item around the turn of June to July: counters over midnights, days, weeks, money, events."""
    subject = SubjectRef(rng.choice(POSTS))
    when = at(rng.randint(24, 36), rng.choice((0, 0, 7, 13.5, 18.5)))
    first = date(2026, 6, 24) + timedelta(days=rng.randint(-4, 14))
    match rng.randint(0, 8):
        case 0 | 1 | 2:
            metrics = {name: rng.choice((2, 30, 40, 400)) for name in ("likes", "comments") if rng.random() < 0.7}
            return counter(subject.external_id, when, Kind.LIFETIME, check=False, **(metrics or {"likes": 3}))
        case 3 | 4:
            window = day_window(first, rng.choice(ZONES), rng.choice((1, 1, 1, 1, 3, 9)))
            keys = [name for name in ("impressions", "likes", "spend_media") if rng.random() < 0.5] or ["impressions"]
            if rng.random() < 0.2:
                return Withdrawal(
                    subject=subject, kind=Kind.PERIOD, window=window, metrics=("impressions",), observed_at=when
                )
            return Observation(
                subject=subject,
                kind=Kind.PERIOD,
                metrics={name: rng.randint(0, 9) for name in keys},
                window=window,
                observed_at=when,
                currency=rng.choice(("EUR", "EUR", "EUR", "USD")),
            )
        case 5:
            return seen(
                subject.external_id,
                observed_at=when,
                published_at=at(rng.choice((-3, 21, 28.25))) if rng.random() < 0.6 else None,
                hashtags=("spring",) if rng.random() < 0.8 else (),
            )
        case 6:
            return Touchpoint(id=f"c{rng.randint(0, 5)}", at=when, subject=subject)
        case 7:
            return Conversion(
                id=f"o{rng.randint(0, 5)}", at=when, kind="order", value=5_000_000, currency="EUR", subject=subject
            )
        case _:
            return counter(subject.external_id, when, Kind.LEVEL, followers=rng.randint(0, 30))


async def filled(database: Database, seed: int, count: int = 40) -> tuple[Books, UUID]:
    """Return books with a campaign in a zone that changes with the seed."""
    rng = random.Random(seed)
    books = Books(database, fixed(at(61), seed))
    await books.open()
    sources = [await books.source(), await books.source()]
    campaign = await books.campaign([Rule(platform="instagram")], zone=ZONES[seed % len(ZONES)])
    await books.campaign([Rule(hashtag="spring")], zone="Asia/Kathmandu")
    for _ in range(count):
        await books.post(rng.choice(sources), [items(rng) for _ in range(rng.randint(1, 4))])
    return books, campaign


async def both(
    books: Books, campaign: UUID, now: datetime, grain: Grain = Grain.TOTAL, **question: Any
) -> tuple[Asked, list[Sums], list[Sums]]:
    """Return the sums of a range, and of the one before it, from tallies and from entries."""
    async with books.database.snapshot(books.workspace_id) as connection:
        raw = await driver(connection)
        metrics = tuple(CATALOGUE)
        whole = Question(metrics=metrics, granularity=grain, **question)
        asked = await understand(raw, books.workspace_id, campaign, whole, now)
        asked = msgspec.structs.replace(asked, doubtful=NOTES.doubtful)
        assert asked.home
        stretches = [stretch(asked.period, grain, 1)]
        earlier = previous(asked.period)
        if earlier is not None:
            stretches.append(stretch(earlier, grain, 1, elapsed=True))
        kept = await sums_of(raw, asked, stretches)
        cut = await sums_of(raw, msgspec.structs.replace(asked, home=False), stretches)
    return asked, kept, cut


def told(sums: Sums) -> dict[str, Any]:
    """Return all that sums say, as plain data."""
    return {
        "currency": sums.currency,
        "marks": sums.marks,
        "suspected": sums.suspected,
        "by_bucket": {
            number: {
                key: [
                    value if known else None for value, known in zip(c.values.tolist(), c.known.tolist(), strict=True)
                ]
                for key, c in part.columns.items()
            }
            for number, part in sums.by_bucket.items()
        },
    }


@pytest.mark.parametrize("seed", seeds(4))
async def test_tallies_and_entries_say_the_same(database: Database, seed: int) -> None:
    books, campaign = await filled(database, seed)
    marked: set[str] = set()
    for place, question in enumerate(RANGES):
        ever = question.get("preset") == "lifetime"
        now = at(61) if ever else at(30 + place % 7, 13 if place % 2 else 0)
        grains = [Grain.TOTAL] if ever else [Grain.TOTAL, Grain.DAY, Grain.WEEK]
        for grain in grains:
            _, kept, cut = await both(books, campaign, now, grain, **question)
            for one, other in zip(kept, cut, strict=True):
                assert told(one) == told(other), (question, grain)
                names = ("interpolated", "windowed", "coarse", "source_zones")
                marked |= {name for name in names if getattr(one.marks, name)}
    assert marked == {"interpolated", "windowed", "coarse", "source_zones"}
    async with database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert report.differences == []


async def interpolated(books: Books, campaign: UUID, days: Sequence[date]) -> frozenset[str]:
    """Return the metrics that the edges of whole days cut, told by both ways."""
    _, kept, cut = await both(books, campaign, books.context.now(), range_from=days[0], range_to=days[-1])
    assert kept[0].marks.interpolated == cut[0].marks.interpolated
    return kept[0].marks.interpolated


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
async def test_a_line_over_the_turn_of_a_month_is_cut_there(database: Database, zone: str) -> None:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")], zone=zone)
    await books.post(source, [seen("p", published_at=at(28, 6)), counter("p", at(33, 6), likes=50)])
    assert await interpolated(books, campaign, [date(2026, 7, 1), date(2026, 7, 31)]) == {"likes"}
    assert await interpolated(books, campaign, [date(2026, 6, 1), date(2026, 6, 30)]) == {"likes"}
    assert await interpolated(books, campaign, [date(2026, 6, 1), date(2026, 7, 31)]) == set()


async def test_a_line_that_begins_with_the_month_is_not_cut(database: Database) -> None:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")])
    await books.post(source, [seen("p", published_at=at(30)), counter("p", at(33), likes=50)])
    assert await interpolated(books, campaign, [date(2026, 7, 1), date(2026, 7, 31)]) == set()
    assert await interpolated(books, campaign, [date(2026, 7, 2), date(2026, 7, 31)]) == {"likes"}


async def test_a_reading_at_midnight_takes_the_cut_away(database: Database) -> None:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")])
    await books.post(source, [seen("p", published_at=at(1)), counter("p", at(4), likes=30, saves=3)])
    third = [date(2026, 6, 3), date(2026, 6, 9)]
    assert await interpolated(books, campaign, third) == {"likes", "saves"}
    await books.post(source, [counter("p", at(2), likes=9)])
    assert await interpolated(books, campaign, third) == {"saves"}


async def test_a_running_day_is_cut_from_the_entries(database: Database) -> None:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")])
    await books.post(source, [seen("p", published_at=at(7)), counter("p", at(17), likes=240)])
    asked, kept, cut = await both(books, campaign, at(16, 6), preset="this_week")
    assert asked.period.days[0] == date(2026, 6, 15)
    (total,) = kept[1].by_bucket.values()
    assert total.columns["likes"].values.tolist() == [54]
    assert [told(one) for one in kept] == [told(one) for one in cut]
    assert kept[1].marks.interpolated == {"likes"}


async def test_freshness_is_the_newest_reading_of_any_line(database: Database) -> None:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")])
    await books.post(source, [counter("p", at(3), likes=1), counter("q", at(2), Kind.LEVEL, followers=4)])
    await books.post(source, [counter("q", at(5), followers=4, kind=Kind.LEVEL)])
    await books.post(source, [counter("p", at(4), likes=1, check=True)])
    found = []
    for posting in await books.rows("select recorded_at from postings order by posting"):
        async with database.snapshot(books.workspace_id) as connection:
            raw = await driver(connection)
            question = Question(as_of=posting["recorded_at"])
            found.append((await understand(raw, books.workspace_id, campaign, question, books.context.now())).freshness)
    assert found == [{}, {"instagram": at(3)}, {"instagram": at(5)}, {"instagram": at(5)}]
