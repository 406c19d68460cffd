"""Campaign answers over real books: tallies and entries agree, the past does not change, unknown is never zero."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from connectors.contract import Conversion, Kind, Observation, SubjectRef, Touchpoint, day_window
from service.context import fixed
from service.db.engine import Database, driver
from service.errors import Busy, Gone, Invalid
from service.kpi.buckets import Grain
from service.ledger.history.falls import MANY, open_falls
from service.records import Rule
from service.reports.campaign import campaign_kpis
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import START, Books, at, counter, seen
from tests.integration.ledger.test_order import made_up

NOTES = PlatformNotes(mappings={("instagram", "impressions"): "meta_views@1"}, simulated=frozenset())


@pytest_asyncio.fixture
async def books(database: Database) -> AsyncIterator[Books]:
    made = Books(database)
    await made.open()
    yield made


async def ask(books: Books, campaign: UUID, now: datetime | None = None, **question: Any) -> dict[str, Any]:
    """Return the answer as a caller reads it."""
    async with books.database.snapshot(books.workspace_id) as connection:
        answer = await campaign_kpis(
            connection, books.workspace_id, campaign, Question(**question), NOTES, now or books.context.now()
        )
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return decoded


def value(answer: dict[str, Any], slug: str) -> Any:
    return answer["totals"][slug]["value"]


async def test_unknown_is_null_with_a_reason_and_zero_is_zero(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [counter("p", at(1), clicks_all=4, impressions=100, likes=0)])
    answer = await ask(books, campaign, metrics=("ctr", "ctr_all", "likes", "saves", "cpa"), preset="lifetime")
    assert value(answer, "ctr") is None
    assert answer["totals"]["ctr"]["reason"] == "missing_numerator"
    assert value(answer, "ctr_all") == 0.04
    assert (value(answer, "likes"), answer["totals"]["likes"]["state"]) == (0, "zero")
    assert (value(answer, "saves"), answer["totals"]["saves"]["state"]) == (None, "missing")
    assert answer["totals"]["cpa"]["reason"] == "missing_denominator"
    inside = await ask(books, campaign, metrics=("impressions",), preset="flight")
    assert value(inside, "impressions") is None


async def test_days_sum_to_the_total_and_gaps_are_marked(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)], zone="Europe/Berlin")
    await books.post(source, [seen("p", published_at=at()), counter("p", at(3), likes=10)])
    answer = await ask(
        books,
        campaign,
        metrics=("likes",),
        granularity=Grain.DAY,
        range_from=date(2026, 6, 1),
        range_to=date(2026, 6, 5),
    )
    days = {row["dimensions"]["day"]: row["metrics"]["likes"]["value"] for row in answer["data"]}
    assert list(days) == [f"2026-06-0{day}" for day in range(1, 6)]
    assert sum(count or 0 for count in days.values()) == value(answer, "likes") == 10
    assert days["2026-06-05"] is None
    assert answer["data"][0]["metrics"]["likes"]["quality"] == "interpolated"


async def test_hours_and_other_zones_are_cut_from_the_entries(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(2), likes=48)])
    hours = await ask(
        books,
        campaign,
        metrics=("likes",),
        granularity=Grain.HOUR,
        range_from=date(2026, 6, 1),
        range_to=date(2026, 6, 2),
    )
    assert [row["metrics"]["likes"]["value"] for row in hours["data"]] == [1] * 48
    elsewhere = await ask(
        books,
        campaign,
        metrics=("likes",),
        granularity=Grain.DAY,
        timezone="Asia/Kolkata",
        range_from=date(2026, 6, 1),
        range_to=date(2026, 6, 3),
    )
    assert [row["metrics"]["likes"]["value"] for row in elsewhere["data"]] == [19, 24, 5]


async def test_hours_are_refused_where_a_source_gives_days(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    window = day_window(date(2026, 6, 3), "America/Los_Angeles")
    day = Observation(
        subject=SubjectRef("p"), kind=Kind.PERIOD, metrics={"sessions": 5}, window=window, observed_at=at(5)
    )
    await books.post(source, [day])
    june: dict[str, Any] = {"metrics": ("sessions",), "range_from": date(2026, 6, 1), "range_to": date(2026, 6, 5)}
    with pytest.raises(Invalid) as refused:
        await ask(books, campaign, granularity=Grain.HOUR, **june)
    assert refused.value.code == "coarser_source"
    answer = await ask(books, campaign, granularity=Grain.DAY, **june)
    assert [row["metrics"]["sessions"]["value"] for row in answer["data"]] == [None, None, 5, None, None]
    assert [warning["code"] for warning in answer["meta"]["warnings"]] == ["mixed_source_timezone"]


async def test_reach_is_bounds_and_frequency_follows(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    for post, reach in (("a", 5000), ("b", 3000), ("c", 2500)):
        await books.post(
            source, [counter(post, at(1), impressions=7000), counter(post, at(1), Kind.UNIQUE, reach=reach)]
        )
    answer = await ask(books, campaign, metrics=("reach", "frequency"), preset="lifetime")
    assert answer["totals"]["reach"]["bounds"] == {"lower": 5000, "upper": 10500}
    assert answer["totals"]["reach"]["state"] == "bounded"
    assert answer["totals"]["frequency"]["bounds"]["lower"] == 2.0
    assert answer["meta"]["mappings"] == {"instagram": ["meta_views@1"]}


async def test_followers_growth_tier_and_engagement_by_followers(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    profile = SubjectRef("anna", "profile")  # type: ignore[arg-type]

    def level(followers: int, when: datetime) -> Observation:
        return Observation(subject=profile, kind=Kind.LEVEL, metrics={"followers": followers}, observed_at=when)

    await books.post(source, [level(10_000, at(0)), level(10_200, at(4)), level(10_450, at(7))])
    await books.post(source, [seen("p", published_at=at(5), creator="anna"), counter("p", at(6), likes=51)])
    answer = await ask(
        books,
        campaign,
        metrics=("followers", "follower_growth", "follower_growth_rate", "er_followers"),
        range_from=date(2026, 6, 1),
        range_to=date(2026, 6, 10),
        dimensions=("tier",),
    )
    assert value(answer, "followers") == 10_450
    assert value(answer, "follower_growth") == 450
    assert value(answer, "follower_growth_rate") == 0.045
    assert value(answer, "er_followers") == 51 / 10_200
    assert [row["dimensions"]["tier"] for row in answer["data"]] == ["micro", None]


async def test_costs_conversions_and_the_previous_period(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    subject = SubjectRef("p")

    def spend(day: int, amount: int) -> Observation:
        return Observation(
            subject=subject,
            kind=Kind.PERIOD,
            metrics={"spend_media": amount, "impressions": 1000},
            window=day_window(date(2026, 6, day), "UTC"),
            observed_at=at(20),
            currency="EUR",
        )

    items: list[Any] = [spend(1, 10_000_000), spend(2, 20_000_000), spend(3, 5_000_000)]
    items += [Touchpoint(id=f"c{n}", at=at(2, n), subject=subject) for n in range(10)]
    items += [Conversion(id="o", at=at(2, 3), kind="order", value=70_000_000, currency="EUR", subject=subject)]
    await books.post(source, items)
    answer = await ask(
        books,
        campaign,
        metrics=("spend", "cpa", "cpc", "roas", "roi", "conversion_rate", "ctr"),
        range_from=date(2026, 6, 3),
        range_to=date(2026, 6, 3),
        compare="previous_period",
    )
    totals = answer["totals"]
    assert (totals["spend_media"]["value"], totals["spend_media"]["currency"]) == ("5.00", "EUR")
    assert totals["spend_media"]["compare"] == {"value": "20.00", "abs": "-15.00", "pct": -0.75, "reason": None}
    assert totals["cpa"]["value"] == "5.00"
    assert totals["cpc"]["value"] == "0.50"
    assert totals["roas"]["value"] == 14.0
    assert totals["roi_gross"]["value"] == 13.0
    assert totals["cvr_click"]["value"] == 0.1
    assert totals["cvr_click"]["interval"]["ignores_clustering"] is True
    assert totals["ctr"]["compare"]["reason"] == "missing_previous"
    hidden = await ask(books, campaign, metrics=("cpa", "conversions"), preset="flight", costs=False)
    assert (hidden["totals"]["cpa"]["state"], hidden["totals"]["cpa"]["reason"]) == ("suppressed", "not_permitted")
    assert value(hidden, "conversions") == 1


@pytest.mark.parametrize(("recovered", "shown"), [(499, None), (500, 500), (510, 510)])
async def test_a_suspected_reset_is_withheld_until_it_recovers(books: Books, recovered: int, shown: int | None) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), comments=500, likes=5)])
    await books.post(source, [counter("p", at(2), comments=20, likes=4)])
    answer = await ask(books, campaign, metrics=("comments", "likes"), preset="lifetime")
    assert (value(answer, "comments"), answer["totals"]["comments"]["reason"]) == (None, "suspected_reset")
    assert value(answer, "likes") == 4
    async with books.database.snapshot(books.workspace_id) as connection:
        raw = await driver(connection)
        ids = [row["subject_id"] for row in await raw.fetch("select subject_id from subjects")]
        # Among many it is found in another way.
        for asked in (ids, [*ids, *(UUID(int=place << 96) for place in range(MANY))]):
            found = await open_falls(raw, books.workspace_id, asked, ("comments", "likes"), [(at(0), at(5))], None)
            assert found == [{"comments"}]
    await books.post(source, [counter("p", at(3), comments=recovered)])
    assert value(await ask(books, campaign, metrics=("comments",), preset="lifetime"), "comments") == shown


async def test_an_answer_as_of_a_posting_never_changes(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(hashtag="spring"), Rule(platform="instagram", in_flight=True)])
    question: dict[str, Any] = {
        "metrics": ("likes", "impressions", "clicks_link", "reach", "orders"),
        "preset": "lifetime",
        "dimensions": ("platform",),
    }
    known = []
    for delivery in made_up(3, 20):
        await books.post(source, delivery)
        plain = await ask(books, campaign, **question)
        as_of = datetime.fromisoformat(plain["meta"]["as_of"])
        pinned = await ask(books, campaign, **question, as_of=as_of)
        assert pinned["totals"] == plain["totals"]
        known.append((as_of, pinned))
    await books.rules(campaign, [Rule(hashtag="sale")])
    for as_of, before in known:
        assert await ask(books, campaign, now=START + timedelta(days=99), **question, as_of=as_of) == before


async def test_mistakes_say_where_they_are(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    for question, pointer in (
        ({"metrics": ("ctr", "cpaa")}, "?metrics/1"),
        ({"preset": "last_7dd"}, "?range"),
        ({"range_from": date(2026, 6, 3), "range_to": date(2026, 6, 1)}, "?to"),
    ):
        with pytest.raises(Invalid) as refused:
            await ask(books, campaign, **question)
        assert refused.value.pointer == pointer


async def test_knowledge_times_that_cannot_be_used(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    now = books.context.now()
    await books.post(source, [counter("p", at(1), likes=1)])
    for as_of, error in (
        (now + timedelta(hours=1), Invalid),
        (now + timedelta(milliseconds=1), Invalid),
        (at(-900), Gone),
    ):
        with pytest.raises(error):
            await ask(books, campaign, preset="lifetime", as_of=as_of)
    with pytest.raises(Busy):
        await ask(books, campaign, preset="lifetime", as_of=now + timedelta(seconds=1), now=now + timedelta(seconds=2))


async def test_late_and_restated_days_at_four_knowledge_times(database: Database) -> None:
    """Golden case G29: the same question at four knowledge times."""
    facts = [
        (1, 100, datetime(2026, 5, 2, 6, tzinfo=UTC)),
        (2, 50, datetime(2026, 5, 3, 6, tzinfo=UTC)),
        (1, 130, datetime(2026, 5, 5, 6, tzinfo=UTC)),
        (1, 124, datetime(2026, 5, 20, 6, tzinfo=UTC)),
    ]
    books = Books(database, fixed(datetime(2026, 5, 1, tzinfo=UTC)))
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    for number, (day, amount, recorded_at) in enumerate(facts):
        books.context = msgspec.structs.replace(
            fixed(recorded_at, number + 7), new_id=fixed(recorded_at, number).new_id
        )
        window = day_window(date(2026, 5, day), "UTC")
        await books.post(
            source,
            [
                Observation(
                    subject=SubjectRef("p"),
                    kind=Kind.PERIOD,
                    metrics={"views": amount},
                    window=window,
                    observed_at=recorded_at,
                )
            ],
        )
    now = datetime(2026, 7, 1, tzinfo=UTC)
    for as_of, expected in ((2.5, 100), (4, 150), (10, 180), (32, 174)):
        answer = await ask(
            books,
            campaign,
            now=now,
            metrics=("views",),
            range_from=date(2026, 5, 1),
            range_to=date(2026, 5, 2),
            as_of=datetime(2026, 4, 30, tzinfo=UTC) + timedelta(days=as_of),
        )
        assert value(answer, "views") == expected
