"""Properties of the books on a real database, over made-up readings: one database, a workspace for each example.

What is true of the algebra alone is proven with thousands of cases in ``tests/unit/ledger``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.contract import Item, Kind, Observation, SubjectRef, Window, day_window
from service.context import real
from service.db.engine import Database, make_engine
from service.ledger.verify import verify
from service.records import Rule, SourceRow
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from tests.bookkeeping import SUBJECT_DAYS, Books, at, counter, seen
from tests.integration.ledger.test_order import NOTES

T = TypeVar("T")
hours = st.integers(0, 24 * 5)
counts = st.integers(0, 60)
readings = st.lists(st.tuples(hours, counts), min_size=2, max_size=5)
CHEAP = settings(
    max_examples=8,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Room:
    """A loop and a database for many examples."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        self._runner = runner
        self.database = database

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


@pytest.fixture
def room(database_url: str) -> Iterator[Room]:
    with asyncio.Runner() as runner:
        engine = make_engine(database_url, pool_size=4)
        yield Room(runner, Database(engine))
        runner.run(engine.dispose())


class Case:
    """A workspace of one example: two campaigns that count the same posts, in two zones."""

    def __init__(self, database: Database) -> None:
        self.books = Books(database, real())
        self.campaigns: list[UUID] = []

    async def open(self) -> SourceRow:
        await self.books.open()
        source = await self.books.source()
        for zone in ("Asia/Kolkata", "America/Los_Angeles"):
            self.campaigns.append(await self.books.campaign([Rule(platform="instagram")], zone=zone))
        return source

    async def post(self, source: SourceRow, *items: Item) -> None:
        """Post items, and prove the books after it."""
        await self.books.post(source, list(items))
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            report = await verify(connection, self.books.workspace_id, lambda _delivery, _version: None)
        assert report.differences == []

    async def total(self, metric: str, campaign: int = 0, **asked: Any) -> int:
        """Return what a campaign answers; nothing reported is counted as nothing."""
        question = Question(metrics=(metric,), **asked)
        books = self.books
        async with books.database.snapshot(books.workspace_id) as connection:
            found = await campaign_kpis(
                connection, books.workspace_id, self.campaigns[campaign], question, NOTES, at(61)
            )
        value = found.totals[metric]
        # What is withheld as suspected is looked at all the same: it is booked.
        assert value.reason in {None, "not_reported", "suspected_reset"}, value.reason
        return int(value.value or 0)

    async def entries(self, upto: datetime) -> int:
        rows = await self.books.rows(
            "select coalesce(sum(likes), 0)::bigint as n from entries where valid_to <= :upto", upto=upto
        )
        found: int = rows[0]["n"]
        return found

    async def days(self) -> dict[Any, Any]:
        rows = await self.books.rows(f"select day, zone, sum(likes)::bigint as n from {SUBJECT_DAYS} d group by 1, 2")
        return {(row["day"], row["zone"]): row["n"] for row in rows}


def midnight(day: date) -> datetime:
    """Return where a day begins in the zone of the first campaign."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Asia/Kolkata"))


def highest(points: Sequence[tuple[int, int]], hour: int) -> int:
    """Return the value of a counter at the instant of a reading."""
    return max(value for when, value in points if when == hour)


def test_the_sum_up_to_any_reading_is_its_value_and_a_reading_in_a_gap_changes_only_that_gap(room: Room) -> None:
    @CHEAP
    @given(readings)
    def example(points: list[tuple[int, int]]) -> None:
        room.run(checked(points))

    async def checked(points: list[tuple[int, int]]) -> None:
        case = Case(room.database)
        source = await case.open()
        known: list[tuple[int, int]] = []
        for hour, value in points:
            before = await case.days()
            await case.post(source, counter("p", at(hours=hour), likes=value))
            earlier = max((when for when, _ in known if when < hour), default=None)
            later = min((when for when, _ in known if when > hour), default=None)
            known.append((hour, value))
            for when, _ in known:
                assert await case.entries(at(hours=when)) == highest(known, when)
            if earlier is not None and later is not None:
                low, high = at(hours=earlier).date() - timedelta(days=1), at(hours=later).date() + timedelta(days=1)
                after = await case.days()
                outside = {key for key in before.keys() | after.keys() if not low <= key[0] <= high}
                assert all(before.get(key) == after.get(key) for key in outside)
        assert await case.total("likes", preset="lifetime") in {0, highest(known, max(known)[0])}

    example()


def test_splitting_a_range_never_changes_a_total(room: Room) -> None:
    @CHEAP
    @given(readings, st.lists(st.integers(0, 24 * 6 * 4), min_size=3, max_size=5, unique=True))
    def example(points: list[tuple[int, int]], quarters: list[int]) -> None:
        room.run(checked(sorted(points), sorted(quarters)))

    async def checked(points: list[tuple[int, int]], quarters: list[int]) -> None:
        case = Case(room.database)
        source = await case.open()
        # No reading falls below a tenth: what is withheld cannot be summed.
        items = [counter("p", at(hours=hour), likes=100 + value) for hour, value in points]
        await case.post(source, seen("p", published_at=at()), *items)
        edges = [at(hours=quarter / 4) for quarter in quarters]
        parts = [await case.total("likes", range_from=a, range_to=b) for a, b in pairwise(edges)]
        assert sum(parts) == await case.total("likes", range_from=edges[0], range_to=edges[-1])
        # Whole days come from tallies, the rest from the entries.
        first, last = date(2026, 5, 30), date(2026, 6, 8)
        whole = await case.total("likes", range_from=first, range_to=last)
        for middle in (date(2026, 6, 1), date(2026, 6, 3)):
            left = await case.total("likes", range_from=first, range_to=middle)
            right = await case.total("likes", range_from=middle + timedelta(days=1), range_to=last)
            assert left + right == whole == highest(points, points[-1][0]) + 100
            cut = await case.total("likes", range_from=midnight(first), range_to=midnight(middle + timedelta(days=1)))
            assert cut == left

    example()


def test_grains_campaigns_and_sources_of_one_account_count_once(room: Room) -> None:
    @CHEAP
    @given(st.integers(0, 99), st.integers(0, 99), st.permutations(range(4)))
    def example(first: int, second: int, order: list[int]) -> None:
        room.run(checked(first, second, order))

    def said(metrics: dict[str, int], window: Window, *, check: bool) -> Observation:
        return Observation(
            subject=SubjectRef("p"), kind=Kind.PERIOD, metrics=metrics, window=window, observed_at=at(9), check=check
        )

    async def checked(first: int, second: int, order: list[int]) -> None:
        case = Case(room.database)
        source = await case.open()
        other = await case.books.source(counts=False)
        days = [(date(2026, 6, 2), first), (date(2026, 6, 3), second)]
        own = [said({"impressions": value}, day_window(day, "UTC"), check=False) for day, value in days]
        week = said({"impressions": first + second}, day_window(date(2026, 6, 1), "UTC", 7), check=True)
        start = datetime(2026, 6, 2, 7, tzinfo=UTC)
        hour = said({"impressions": first}, Window(start=start, end=start + timedelta(hours=1)), check=True)
        posts = [(source, own), (source, [week, hour]), (other, own), (source, own)]
        for place in order:
            await case.post(posts[place][0], *posts[place][1])
        for campaign in (0, 1):
            asked = {"range_from": date(2026, 6, 1), "range_to": date(2026, 6, 5)}
            assert await case.total("impressions", campaign, **asked) == first + second

    example()


def test_two_sources_that_write_into_one_gap_at_once(room: Room) -> None:
    @CHEAP
    @given(st.lists(st.tuples(st.integers(25, 95), counts), min_size=2, max_size=4))
    def example(points: list[tuple[int, int]]) -> None:
        room.run(checked(points))

    async def checked(points: list[tuple[int, int]]) -> None:
        case = Case(room.database)
        sources = [await case.open(), await case.books.source(counts=False)]
        gap = [counter("p", at(1), likes=100), counter("p", at(4), likes=200)]
        for source in sources:
            await case.books.post(source, gap)
        items = [counter("p", at(hours=hour), likes=100 + value) for hour, value in points]
        await asyncio.gather(*(case.books.post(source, [item]) for source in sources for item in items[:1]))
        for item in items[1:]:
            await asyncio.gather(*(case.books.post(source, [item, item]) for source in sources))
        await case.post(sources[0], *gap)
        rows = await case.books.rows("select likes from balances")
        assert [row["likes"] for row in rows] == [200, 200]
        asked = {"range_from": date(2026, 6, 1), "range_to": date(2026, 6, 8)}
        assert [await case.total("likes", campaign, **asked) for campaign in (0, 1)] == [100, 100]

    example()
