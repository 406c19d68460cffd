"""Golden cases of snapshots and knowledge, posed to the books and answered as a caller reads them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import Item, Kind, Observation, SubjectRef, day_window
from service.context import fixed
from service.db.engine import Database
from service.kpi.buckets import Grain
from service.ledger.verify import verify
from service.records import Rule
from service.reports.campaign import campaign_kpis
from service.reports.explain import campaign_explanation
from service.reports.question import Question
from tests.bookkeeping import Books, counter, seen
from tests.golden.cases import CASES
from tests.integration.ledger.test_order import NOTES

_SEEDS = itertools.count(1)
TRACKED = datetime(2026, 1, 1, tzinfo=UTC)


class Case:
    """One workspace with one campaign over everything; its clock is set by hand."""

    def __init__(self, database: Database, *, zone: str = "UTC", now: datetime | None = None) -> None:
        self.now = now or datetime(2026, 7, 1, tzinfo=UTC)
        self.zone = zone
        self.books = Books(database, msgspec.structs.replace(fixed(self.now, next(_SEEDS)), now=lambda: self.now))
        self.campaign = UUID(int=0)

    async def post(self, deliveries: Sequence[Sequence[Item]], *, tracks_from: datetime = TRACKED) -> None:
        """Open the books and post deliveries, each by itself."""
        await self.books.open()
        source = await self.books.source(tracks_from=tracks_from)
        self.campaign = await self.books.campaign([Rule(platform="instagram")], zone=self.zone)
        for items in deliveries:
            await self.books.post(source, items)
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            report = await verify(connection, self.books.workspace_id, lambda _delivery, _version: None)
        assert report.differences == []

    async def ask(self, **asked: Any) -> Any:
        question = Question(metrics=("likes",), **asked)
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            return await campaign_kpis(connection, self.books.workspace_id, self.campaign, question, NOTES, self.now)

    async def buckets(self, grain: Grain, first: date, last: date, **asked: Any) -> tuple[list[Any], Any]:
        """Return the numbers of a grid, and its total."""
        found = await self.ask(range_from=first, range_to=last, granularity=grain, **asked)
        return [row.metrics["likes"].value for row in found.data], found.totals["likes"]

    async def left_out(self, first: date) -> list[str]:
        question = Question(metrics=("likes",), range_from=first, range_to=first)
        async with self.books.database.snapshot(self.books.workspace_id) as connection:
            found = await campaign_explanation(
                connection, self.books.workspace_id, self.campaign, question, NOTES, self.now
            )
        return [one.reason for one in found.left_out]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_g23_a_small_fall_signed_and_by_the_highest_value(database: Database) -> None:
    golden = CASES["G23"]
    days = [date.fromisoformat(text) for text in golden.inputs["dates"]]
    read = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    values = golden.inputs["snapshots"]
    case = Case(database)
    await case.post([[counter("p", at, likes=value)] for at, value in zip(read, values, strict=True)])
    signed, total = await case.buckets(Grain.DAY, days[0], days[2])
    high, highest = await case.buckets(Grain.DAY, days[0], days[2], falls="high_water")
    assert await case.books.rows("select 1 as one from entries where flags & 64 <> 0") == []
    got = {
        "classification": ["growth" if delta >= 0 else "correction" for delta in signed],
        "deltas_signed": signed,
        "total_signed": total.value,
        "deltas_high_water": high,
        "total_high_water": highest.value,
    }
    golden.agrees(got, golden.expected)


async def test_g25_first_sight_of_a_post(database: Database) -> None:
    golden = CASES["G25"]
    for given, expected in zip(golden.inputs, golden.expected, strict=True):
        published, first_seen = instant(given["published"]), instant(given["first_seen"])
        tracks_from = published if given["tracked_from_publish"] else first_seen
        case = Case(database)
        items: list[Item] = [seen("p", published_at=published), counter("p", first_seen, likes=given["first_snapshot"])]
        await case.post([items], tracks_from=tracks_from)
        day = first_seen.date()
        (value,), total = await case.buckets(Grain.DAY, day, day)
        assert value == total.value == expected["delta"]
        (line,) = await case.books.rows("select valid_from, valid_to, likes from entries")
        if expected["window"]:
            assert [line["valid_from"], line["valid_to"]] == [instant(edge) for edge in expected["window"]]
        else:
            assert line["likes"] == expected["baseline"]
            assert expected["reason"] in await case.left_out(day)
            assert (await case.ask(preset="lifetime")).totals["likes"].value == expected["baseline"]


async def test_g26_and_g27_growth_over_days_that_nobody_looked_at(database: Database) -> None:
    for name in ("G26", "G27"):
        golden = CASES[name]
        days = [date.fromisoformat(text) for text in golden.expected["days"]]
        case = Case(database, zone=golden.inputs["timezone"])
        await case.post([[counter("p", instant(one["at"]), likes=one["value"])] for one in golden.inputs["snapshots"]])
        by_day, total = await case.buckets(Grain.DAY, days[0], days[-1])
        got: dict[str, Any] = {"deltas": by_day, "total": total.value}
        golden.agrees(got, golden.expected)
        # Hours are cut from the whole, and add up to the days.
        by_hour, total = await case.buckets(Grain.HOUR, days[0], days[-1])
        per_day = {"G26": (24, 24, 24), "G27": (24, 23, 24)}[name]
        assert len(by_hour) == sum(per_day)
        starts = [sum(per_day[:place]) for place in range(3)]
        known = [value or 0 for value in by_hour]
        hourly = [sum(known[start : start + count]) for start, count in zip(starts, per_day, strict=True)]
        golden.agrees({"deltas": hourly, "total": total.value}, golden.expected)
        # Another zone cuts the same whole.
        shifted = await case.ask(
            range_from=days[0] - timedelta(days=1), range_to=days[-1] + timedelta(days=1), timezone="Asia/Kathmandu"
        )
        assert shifted.totals["likes"].value == golden.expected["total"]
    cut = await case.ask(range_from=days[1], range_to=days[1])
    assert cut.totals["likes"].quality == CASES["G26"].expected["quality"]


async def test_g29_one_question_at_four_instants_of_knowledge(database: Database) -> None:
    golden = CASES["G29"]
    facts = sorted(golden.inputs["facts"], key=lambda fact: instant(fact["recorded_at"]))
    case = Case(database, now=instant(facts[0]["recorded_at"]) - timedelta(days=1))
    await case.post([])
    source = await case.books.source("tiktok", tracks_from=TRACKED)
    await case.books.rules(case.campaign, [Rule(platform="tiktok")])
    for fact in facts:
        case.now = instant(fact["recorded_at"])
        said = Observation(
            subject=SubjectRef("p"),
            kind=Kind.PERIOD,
            metrics={"likes": fact["value"]},
            window=day_window(date.fromisoformat(fact["day"]), "UTC"),
            observed_at=case.now,
        )
        await case.books.post(source, [said])
    case.now = instant(golden.expected[-1]["as_of"]) + timedelta(days=1)
    for expected in golden.expected:
        as_of = instant(expected["as_of"])
        days, total = await case.buckets(Grain.DAY, date(2026, 5, 1), date(2026, 5, 2), as_of=as_of)
        got = {"value": total.value, "days_known": sum(value is not None for value in days)}
        golden.agrees(got, expected)
    plain = await case.ask(range_from=date(2026, 5, 1), range_to=date(2026, 5, 2))
    assert plain.totals["likes"].value == golden.expected[-1]["value"]
