"""A newer version's reading replaces the older one: the books are as if it had read everything from the start."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded, so that a failing case comes back
from datetime import date, timedelta
from typing import Any

import pytest

from connectors.contract import Item, Kind, Observation, SubjectRef, Touchpoint, day_window
from service.db.engine import Database
from service.pipeline import claim, reread
from service.records import Rule
from tests.bookkeeping import SUBJECT_DAYS, at, counter, seen
from tests.integration.ledger import test_order
from tests.integration.ledger.desk import SETTINGS, Desk, Script, mutated
from tests.seeds import seeds

COUNT = 40
LATE = 12


async def read_from_the_start(database: Database, script: Script, seed: int, *landed: range, sources: int = 1) -> Desk:
    """Return a desk at which one version has read everything."""
    desk = Desk(database, seed)
    await desk.open(sources)
    desk.reads("2", script)
    for number, numbers in enumerate(landed):
        await desk.land(numbers, number % sources)
    await desk.drain()
    return desk


async def assert_same(desk: Desk, other: Desk) -> None:
    found, expected = await desk.state(), await other.state()
    for part, rows in expected.items():
        assert found[part] == rows, part


async def assert_sound(desk: Desk) -> None:
    report = await desk.proof()
    assert report.differences == []


async def postings(desk: Desk) -> int:
    ((found),) = await desk.books.rows("select max(posting) as n from postings")
    return int(found["n"])


@pytest.mark.parametrize("seed", seeds(5))
async def test_the_books_are_those_of_the_newer_version(database: Database, seed: int) -> None:
    first = dict(enumerate(test_order.made_up(seed, COUNT + LATE)))
    newer = mutated(first, seed, dict(enumerate(test_order.made_up(seed + 1000, COUNT + LATE))))
    desk = Desk(database, seed)
    await desk.open()
    desk.reads("1", first)
    await desk.land(range(COUNT))
    await desk.drain()
    known = desk.time
    before = await desk.as_of_answers([known])
    desk.reads("2", newer)
    report = await desk.proof()
    assert report.differences == []
    assert report.replay_would_change > 0
    desk.time += timedelta(hours=1)
    assert (await desk.replay()).posted == COUNT
    report = await desk.proof()
    assert report.differences == []
    assert report.replay_would_change == 0
    other = await read_from_the_start(database, newer, seed + 5000, range(COUNT))
    await assert_same(desk, other)
    assert await desk.as_of_answers([known]) == before
    # Twice is once, and what comes later meets the same books.
    last = await postings(desk)
    assert (await desk.replay()).entries == 0
    assert await postings(desk) == last
    for one in (desk, other):
        await one.land(range(COUNT, COUNT + LATE))
        await one.drain()
    await assert_same(desk, other)
    await assert_sound(desk)


@pytest.mark.parametrize("seed", seeds(2))
async def test_in_two_steps_and_with_the_same_points_from_two_sources(database: Database, seed: int) -> None:
    first = dict(enumerate(test_order.made_up(seed, COUNT)))
    newer = mutated(first, seed, dict(enumerate(test_order.made_up(seed + 1000, COUNT))))
    half = COUNT // 2
    desk = Desk(database, seed)
    await desk.open(2)
    desk.reads("1", first)
    for source, numbers in enumerate((range(half), range(half, COUNT))):
        await desk.land(numbers, source)
        await desk.drain()
    desk.reads("2", newer)
    middle = desk.time - timedelta(seconds=half // 2)
    await desk.replay(source_id=desk.sources[1].source_id, until=middle)
    await assert_sound(desk)
    await desk.replay(source_id=desk.sources[0].source_id)
    await assert_sound(desk)
    await desk.replay()
    assert (await desk.proof()).replay_would_change == 0
    other = await read_from_the_start(database, newer, seed + 5000, range(half), range(half, COUNT), sources=2)
    await assert_same(desk, other)


@pytest.mark.parametrize("seed", seeds(2))
async def test_by_a_third_version_and_what_the_second_could_not_read(database: Database, seed: int) -> None:
    first: Any = dict(enumerate(test_order.made_up(seed, COUNT)))
    third = mutated(first, seed + 1, dict(enumerate(test_order.made_up(seed + 2000, COUNT))))
    second: dict[int, Any] = dict(mutated(first, seed, dict(enumerate(test_order.made_up(seed + 1000, COUNT)))))
    second |= dict.fromkeys(random.Random(seed).sample(range(COUNT), 8))
    desk = Desk(database, seed)
    await desk.open()
    desk.reads("1", first)
    await desk.land(range(COUNT))
    await desk.drain()
    desk.reads("2", second)
    done = await desk.replay()
    assert (done.posted, done.dead) == (COUNT - 8, 8)
    await assert_sound(desk)
    desk.reads("3", third)
    assert (await desk.replay()).posted == COUNT
    await assert_sound(desk)
    await assert_same(desk, await read_from_the_start(database, third, seed + 5000, range(COUNT)))


# ------------------------------------------------------------------------------------------------ single things


async def two_versions(database: Database, first: dict[int, list[Item]], newer: dict[int, Any]) -> Desk:
    """Return a desk at which a first version has read everything and a newer one has read it again."""
    desk = Desk(database)
    await desk.open(campaigns=False)
    await desk.books.campaign([Rule(platform="instagram")])
    desk.reads("1", first)
    await desk.land(first)
    await desk.drain()
    desk.reads("2", newer)
    await desk.replay()
    await assert_sound(desk)
    return desk


def impressions(value: int, when: float) -> Observation:
    return Observation(
        subject=SubjectRef("p"),
        kind=Kind.PERIOD,
        metrics={"impressions": value},
        window=day_window(date(2026, 6, 3), "UTC"),
        observed_at=at(when),
    )


async def test_a_chain_is_closed_over_the_gap(database: Database) -> None:
    said = ((1, 100), (2, 390), (4, 400))
    first: dict[int, list[Item]] = {day: [counter("p", at(day), likes=value)] for day, value in said}
    desk = await two_versions(database, first, first | {2: [counter("p", at(2), comments=390)]})
    assert await desk.books.tally("campaign_days", "likes") == {
        date.min: 100,
        date(2026, 6, 2): 100,
        date(2026, 6, 3): 100,
        date(2026, 6, 4): 100,
    }
    assert await desk.books.tally("campaign_days", "comments") == {
        date.min: 390,
        date(2026, 6, 2): None,
        date(2026, 6, 3): None,
        date(2026, 6, 4): None,
    }


async def test_a_day_that_one_delivery_no_longer_says_is_that_of_another_that_was_stale(database: Database) -> None:
    first: dict[int, list[Item]] = {1: [impressions(130, 7)], 2: [impressions(124, 6)], 3: [impressions(130, 8)]}
    desk = await two_versions(database, first, first | {1: [], 3: []})
    assert await desk.books.tally("campaign_days", "impressions") == {date(2026, 6, 3): 124}
    # The instant at which it was confirmed has gone too: a value between counts.
    desk.reads("2", {4: [impressions(90, 7.5)]})
    await desk.land([4])
    await desk.drain()
    assert await desk.books.tally("campaign_days", "impressions") == {date(2026, 6, 3): 90}


async def test_what_was_never_said_does_not_make_an_older_reading_stale(database: Database) -> None:
    first: dict[int, list[Item]] = {1: [impressions(130, 7)], 2: [impressions(140, 8)]}
    desk = await two_versions(database, first, first | {2: []})
    assert await desk.books.tally("campaign_days", "impressions") == {date(2026, 6, 3): 130}
    desk.reads("2", {3: [impressions(90, 7.5)]})
    await desk.land([3])
    await desk.drain()
    assert await desk.books.tally("campaign_days", "impressions") == {date(2026, 6, 3): 90}


async def test_what_nobody_says_any_more_is_null_and_its_subject_counts_nowhere(database: Database) -> None:
    desk = await two_versions(database, {1: [impressions(130, 7)]}, {1: [counter("q", at(1), likes=3)]})
    assert await desk.books.tally("campaign_days", "impressions") == {date.min: None}  # the likes of another post
    assert await desk.books.rows("select external_id from subjects where facts = '{}'") == [{"external_id": "p"}]
    causes = await desk.books.rows("select distinct cause from entries where sign < 0")
    assert causes == [{"cause": 6}]


async def test_an_event_moves_with_its_reading(database: Database) -> None:
    def click(post: str) -> list[Item]:
        return [Touchpoint(id="c", at=at(1), subject=SubjectRef(post))]

    desk = await two_versions(database, {1: click("p"), 2: click("p")}, {1: click("q"), 2: click("q")})
    rows = await desk.books.rows(
        f"select s.external_id, d.clicks_link from {SUBJECT_DAYS} d join subjects s using (workspace_id, subject_id)"
    )
    assert rows == [{"external_id": "q", "clicks_link": 1}]


async def test_a_publication_read_otherwise_makes_an_opening_growth(database: Database) -> None:
    said = [counter("p", at(2), likes=7)]
    desk = await two_versions(
        database, {1: [seen("p", published_at=at(-30)), *said]}, {1: [seen("p", published_at=at(1)), *said]}
    )
    assert await desk.books.tally("campaign_days", "likes") == {date(2026, 6, 2): 7}


# ------------------------------------------------------------------------------------------------ what goes wrong


async def half_way(database: Database, seed: int) -> tuple[Desk, dict[int, list[Item]]]:
    """Return a desk that has read everything by a first version, with a newer one installed."""
    first = dict(enumerate(test_order.made_up(seed, COUNT)))
    newer = mutated(first, seed, dict(enumerate(test_order.made_up(seed + 1000, COUNT))))
    desk = Desk(database, seed)
    await desk.open()
    desk.reads("1", first)
    await desk.land(range(COUNT))
    await desk.drain()
    desk.reads("2", newer)
    return desk, newer


async def test_a_crash_between_two_postings_leaves_proven_books_and_is_made_up_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, newer = await half_way(database, 3)
    monkeypatch.setattr(reread, "SUBJECTS", 1)
    sound, calls = claim.hold, []

    async def hold(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 3:
            raise OSError("the machine stops")
        await sound(*given)

    monkeypatch.setattr(claim, "hold", hold)
    with pytest.raises(OSError, match="stops"):
        await desk.replay()
    await assert_sound(desk)
    desk.time += timedelta(seconds=SETTINGS.lease_seconds + 1)
    assert (await desk.drain()).posted == COUNT
    await assert_sound(desk)
    assert (await desk.proof()).replay_would_change == 0
    await assert_same(desk, await read_from_the_start(database, newer, 5003, range(COUNT)))


async def test_a_delivery_that_breaks_the_connector_keeps_its_reading_and_holds_up_nobody(database: Database) -> None:
    desk, newer = await half_way(database, 4)
    broken: Any = dict(newer) | {7: "this is no list of items"}
    desk.reads("2", broken)
    done = await desk.replay()
    assert (done.posted, done.dead) == (COUNT - 1, 1)
    report = await desk.proof()
    assert report.differences == []
    assert report.checked["deliveries"] == COUNT - 1
    desk.reads("3", newer)
    await desk.replay()
    await assert_same(desk, await read_from_the_start(database, newer, 5004, range(COUNT)))


async def test_others_post_while_readings_are_replaced(database: Database) -> None:
    first = dict(enumerate(test_order.made_up(5, COUNT)))
    newer = mutated(first, 5, dict(enumerate(test_order.made_up(1005, COUNT))))
    half = COUNT // 2
    desk = Desk(database, 5)
    await desk.open(2)
    desk.reads("1", first)
    await desk.land(range(half))
    await desk.drain()
    desk.reads("2", newer)
    await desk.queue(source_id=desk.sources[0].source_id)
    await desk.land(range(half, COUNT), 1)
    await asyncio.gather(*(desk.drain() for _ in range(3)))
    await assert_sound(desk)
    other = await read_from_the_start(database, newer, 5005, range(half), range(half, COUNT), sources=2)
    await assert_same(desk, other)
