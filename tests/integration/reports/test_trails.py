"""The trails of a number: replayed changes end in the plain answer, contributions add up, nothing unknown is hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from connectors.contract import Conversion, Kind, Observation, SubjectRef, Touchpoint, day_window
from service.context import fixed
from service.db.engine import Database
from service.records import Rule
from service.reports.campaign import campaign_kpis
from service.reports.explain import campaign_explanation
from service.reports.history import campaign_history
from service.reports.provenance import campaign_provenance
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import Books, at, counter, seen
from tests.integration.ledger.test_order import made_up
from tests.seeds import seeds

NOTES = PlatformNotes(mappings={("instagram", "impressions"): "meta_views@1"}, simulated=frozenset())
JUNE: dict[str, Any] = {"range_from": date(2026, 6, 1), "range_to": date(2026, 6, 30)}
WEEK: dict[str, Any] = {"range_from": date(2026, 6, 2), "range_to": date(2026, 6, 4)}
HOURS: dict[str, Any] = {
    "range_from": datetime(2026, 6, 1, 7, tzinfo=UTC),
    "range_to": datetime(2026, 6, 4, 19, tzinfo=UTC),
}
METRICS = (
    *("likes", "engagements", "impressions", "ctr", "cvr_click", "aov", "conversion_value"),
    *("reach", "frequency", "er_reach", "followers", "follower_growth", "er_followers"),
)
POINT = ("value", "state", "reason", "numerator", "denominator", "bounds", "currency")


@pytest_asyncio.fixture
async def books(database: Database) -> AsyncIterator[Books]:
    made = Books(database)
    await made.open()
    yield made


async def answer(books: Books, campaign: UUID, metric: str, **question: Any) -> dict[str, Any]:
    """Return the value of one KPI as it is answered."""
    async with books.database.snapshot(books.workspace_id) as connection:
        found = await campaign_kpis(
            connection,
            books.workspace_id,
            campaign,
            Question(metrics=(metric,), **question),
            NOTES,
            books.context.now(),
        )
    (value,) = found.totals.values()
    return plain(value)


async def changes(
    books: Books, campaign: UUID, metric: str, after: int = 0, limit: int = 200, **question: Any
) -> dict[str, Any]:
    """Return a page of the history of one KPI."""
    async with books.database.snapshot(books.workspace_id) as connection:
        found = await campaign_history(
            connection,
            books.workspace_id,
            campaign,
            Question(metrics=(metric,), **question),
            NOTES,
            books.context.now(),
            after=after,
            limit=limit,
        )
    return plain(found)


def plain(struct: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(struct))
    return decoded


def point(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in POINT}


async def random_books(database: Database, seed: int) -> tuple[Books, UUID]:
    """Return books of every kind of item, and of profiles, with rules that change on the way."""
    books = Books(database, fixed(at(61), seed))
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")])
    for number, delivery in enumerate(made_up(seed, 24)):
        if number == 10:
            await books.rules(campaign, [Rule(hashtag="spring"), Rule(platform="instagram", in_flight=True)])
        if number == 14:
            await books.rules(campaign, [Rule(platform="instagram")])
        if number % 6 == seed % 6:
            delivery.append(profile("anna", 1000 + 7 * number, at(number % 5)))
            delivery.append(seen("p1", creator="anna", observed_at=at(number)))
        await books.post(source, delivery)
    return books, campaign


def profile(name: str, followers: int, when: datetime) -> Observation:
    return Observation(
        subject=SubjectRef(name, "profile"),  # type: ignore[arg-type]
        kind=Kind.LEVEL,
        metrics={"followers": followers},
        observed_at=when,
    )


@pytest.mark.parametrize("seed", seeds(2))
async def test_every_change_is_the_answer_as_of_its_posting(database: Database, seed: int) -> None:
    books, campaign = await random_books(database, seed)
    postings = await books.rows("select posting, recorded_at from postings order by posting")
    moved = 0
    for place, metric in enumerate(METRICS[seed % 2 :: 2]):
        question = (JUNE, WEEK, HOURS, {"preset": "lifetime"})[(place + seed) % 4]
        found = await changes(books, campaign, metric, **question)
        assert point(found["value"]) == point(await answer(books, campaign, metric, **question)), metric
        by_number = {change["number"]: change for change in found["data"]}
        stands = None
        for posting in postings:
            change = by_number.get(posting["posting"])
            then = point(await answer(books, campaign, metric, **question, as_of=posting["recorded_at"]))
            if change is not None:
                assert change["old"] == stands or stands is None
                assert change["old"] != change["new"] == then, (metric, posting)
                assert change["causes"], (metric, change)
                stands = change["new"]
                moved += 1
            elif stands is not None:
                assert stands == then, (metric, posting)
            else:
                assert (then["value"], then["bounds"]) == (None, None)
        if stands is not None:
            assert stands == point(found["value"])
    assert moved > 12


async def test_pages_of_history_are_the_history(database: Database) -> None:
    books, campaign = await random_books(database, 1)
    for metric in ("likes", "reach", "followers"):
        whole = await changes(books, campaign, metric, preset="lifetime")
        found, after, more = [], 0, True
        while more:
            page = await changes(books, campaign, metric, after=after, limit=2, preset="lifetime")
            found += page["data"]
            more = page["page"]["has_more"]
            after = int(page["page"]["next"] or 0)
        assert found == whole["data"]
        assert len(found) > 2
        assert whole["page"] == {"next": None, "has_more": False}


async def test_a_restated_day_says_so(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    for said, impressions, clicks in ((2, 1000, 20), (3, 1200, 20), (4, 1200, 20), (5, None, 21)):
        metrics = {"impressions": impressions, "clicks_link": clicks}
        await books.post(
            source,
            [
                Observation(
                    subject=SubjectRef("p"),
                    kind=Kind.PERIOD,
                    metrics={name: value for name, value in metrics.items() if value is not None},
                    window=day_window(date(2026, 6, 1), "UTC"),
                    observed_at=at(said),
                )
            ],
        )
    found = (await changes(books, campaign, "ctr", **JUNE))["data"]
    told = [(c["old"]["value"], c["new"]["value"], c["causes"], len(c["deliveries"])) for c in found]
    assert told == [
        (None, 0.02, ["growth", "membership"], 1),
        (0.02, 0.0166666666667, ["source_restated"], 2),
        (0.0166666666667, 0.0175, ["source_restated"], 2),
    ]
    assert [(c["new"]["numerator"], c["new"]["denominator"]) for c in found] == [(20, 1000), (20, 1200), (21, 1200)]
    assert [c["number"] for c in found] == [2, 3, 5]


async def test_late_arrivals_refunds_and_members_are_causes(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(hashtag="spring")])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(4), likes=40)])
    await books.post(source, [seen("p", hashtags=("spring",), observed_at=at(4))])
    await books.post(source, [counter("p", at(2), likes=38)])
    subject = SubjectRef("p")
    order = Conversion(id="o", at=at(2), kind="order", value=9_000_000, currency="EUR", subject=subject)
    await books.post(source, [order])
    await books.post(source, [msgspec.structs.replace(order, id="r", kind="refund", value=4_000_000)])
    await books.rules(campaign, [Rule(hashtag="autumn")])
    likes = (await changes(books, campaign, "likes", **WEEK))["data"]
    assert [(c["old"]["value"], c["new"]["value"], c["causes"]) for c in likes] == [
        (None, 30, ["membership"]),
        (30, 21, ["late_arrival"]),
        (21, None, ["membership"]),
    ]
    assert [(c["joined"], c["left"]) for c in likes] == [(1, 0), (0, 0), (0, 1)]
    money = (await changes(books, campaign, "conversion_value", **WEEK))["data"]
    assert [(c["new"]["value"], c["causes"]) for c in money] == [
        ("9.00", ["growth"]),
        ("5.00", ["refund"]),
        (None, ["membership"]),
    ]
    assert money[0]["new"]["currency"] == "EUR"


async def test_followers_at_publication_come_late_and_are_stated(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(hashtag="spring")])
    post = seen("p", published_at=at(5), creator="anna", hashtags=("spring",), observed_at=at(6))
    await books.post(source, [post, counter("p", at(6), likes=51)])
    await books.post(source, [profile("anna", 10_000, at(0))])
    await books.post(source, [profile("anna", 10_450, at(7))])
    await books.post(source, [profile("anna", 10_200, at(4))])
    before = await proof(books, campaign, "er_followers", **JUNE)
    await books.post(source, [msgspec.structs.replace(post, followers_at_publish=5_100, observed_at=at(7))])
    found = (await changes(books, campaign, "er_followers", **JUNE))["data"]
    assert [(c["new"]["value"], c["new"]["denominator"], c["causes"]) for c in found] == [
        (0.0051, 10_000, ["opening"]),
        (0.005, 10_200, ["late_arrival"]),
        (0.01, 5_100, ["facts"]),
    ]
    (below,) = [one for one in before["data"] if one["role"] == "denominator"]
    assert below["contribution"] == sum(entry["share"] for entry in below["entries"]) == 10_200
    after = await proof(books, campaign, "er_followers", **JUNE)
    (below,) = [one for one in after["data"] if one["role"] == "denominator"]
    assert (below["contribution"], below["fact"], below["entries"]) == (5_100, "followers_at_publish", [])


async def test_a_suspected_reset_comes_and_goes(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), comments=500)])
    await books.post(source, [counter("p", at(2), comments=20)])
    await books.post(source, [counter("p", at(9), comments=510)])
    week: dict[str, Any] = {"range_from": date(2026, 6, 1), "range_to": date(2026, 6, 4)}
    found = (await changes(books, campaign, "comments", **week))["data"]
    assert [(c["new"]["value"], c["new"]["reason"], c["causes"]) for c in found] == [
        (500, None, ["growth", "membership"]),
        (None, "suspected_reset", ["growth", "suspected_reset"]),
        (160, None, ["growth", "reset_recovered"]),
    ]


# ------------------------------------------------------------------------------------------------ provenance


async def proof(books: Books, campaign: UUID, metric: str, **question: Any) -> dict[str, Any]:
    """Return the whole provenance of a KPI, read in pages of two."""
    found: dict[str, Any] = {}
    after = None
    while True:
        async with books.database.snapshot(books.workspace_id) as connection:
            page = plain(
                await campaign_provenance(
                    connection,
                    books.workspace_id,
                    campaign,
                    Question(metrics=(metric,), **question),
                    NOTES,
                    books.context.now(),
                    after=after,
                    limit=2,
                )
            )
        found = {**page, "data": [*found.get("data", ()), *page["data"]]}
        after = page["page"]["next"]
        if after is None:
            return found


def total(found: dict[str, Any], *roles: str) -> Any:
    """Return the exact sum of the contributions of roles; None without any."""
    amounts = [Decimal(str(one["contribution"])) for one in found["data"] if one["role"] in roles]
    return sum(amounts) if amounts else None


@pytest.mark.parametrize("seed", seeds(2))
async def test_contributions_add_up_to_the_value_and_entries_to_contributions(database: Database, seed: int) -> None:
    books, campaign = await random_books(database, seed)
    proven = 0
    for place, metric in enumerate(METRICS):
        question = (JUNE, WEEK, HOURS, {"preset": "lifetime"})[(place + seed) % 4]
        found = await proof(books, campaign, metric, **question)
        value = found["value"]
        assert point(value) == point(await answer(books, campaign, metric, **question))
        for one in found["data"]:
            shares = sum(Decimal(str(entry["share"])) for entry in one["entries"]) + Decimal(str(one["rest"]))
            assert shares == Decimal(str(one["contribution"])), (metric, one)
            assert {entry["delivery"] for entry in one["entries"]} <= {part["id"] for part in found["deliveries"]} or (
                len(found["data"]) > 2
            )
        if value["value"] is None and value["bounds"] is None:
            continue
        proven += 1
        if value["bounds"] is not None and metric == "reach":
            assert total(found, "audience") == value["bounds"]["upper"]
        elif value["denominator"] is not None and metric != "follower_growth":
            assert total(found, "numerator") == Decimal(str(value["numerator"])), metric
            assert total(found, "denominator") == Decimal(str(value["denominator"])), metric
        elif metric == "follower_growth":
            assert total(found, "end") - total(found, "start") == value["value"]
        elif value["bounds"] is None:
            assert total(found, "sum", "audience") == Decimal(str(value["value"])), metric
    assert proven > 6


async def test_evidence_names_rule_cause_and_what_is_gone(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(
        source, [seen("p", published_at=at()), counter("p", at(4), impressions=400), counter("q", at(4), likes=1)]
    )
    found = await proof(books, campaign, "impressions", **WEEK)
    (one,) = found["data"]
    assert (one["contribution"], one["mapping"], one["external_id"]) == (300, "meta_views@1", "p")
    (entry,) = one["entries"]
    assert (entry["delta"], entry["share"], entry["cause"], entry["number"]) == (400, 300, "growth", 2)
    (delivery,) = found["deliveries"]
    assert (delivery["kept"], delivery["body"], delivery["body_sha256"]) == (False, None, None)
    assert delivery["connector"] == "files"
    assert found["inputs"] == [
        {"role": "sum", "metric": "impressions", "total": 300, "reason": None, "members": 1},
    ]


async def test_costs_are_hidden_from_who_may_not_see_them(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    window = day_window(date(2026, 6, 2), "UTC")
    spent = Observation(
        subject=SubjectRef("p"),
        kind=Kind.PERIOD,
        metrics={"spend_media": 5_250_000, "clicks_link": 50},
        window=window,
        observed_at=at(3),
        currency="EUR",
    )
    await books.post(source, [spent, Touchpoint(id="t", at=at(2), subject=SubjectRef("p"))])
    seen_all = await proof(books, campaign, "cpc", **JUNE)
    assert total(seen_all, "numerator") == Decimal("5.25")
    hidden = await proof(books, campaign, "cpc", costs=False, **JUNE)
    assert hidden["value"]["reason"] == "not_permitted"
    assert {one["metric"] for one in hidden["data"]} == {"clicks_link"}
    assert "5.25" not in str(hidden)
    assert (await changes(books, campaign, "cpc", costs=False, **JUNE))["data"] == []
    assert "5.25" not in str(await words(books, campaign, "cpc", costs=False, **JUNE))


# ------------------------------------------------------------------------------------------------ words


async def words(books: Books, campaign: UUID, metric: str, **question: Any) -> dict[str, Any]:
    """Return the explanation of a KPI."""
    async with books.database.snapshot(books.workspace_id) as connection:
        found = await campaign_explanation(
            connection,
            books.workspace_id,
            campaign,
            Question(metrics=(metric,), **question),
            NOTES,
            books.context.now(),
        )
    return plain(found)


async def test_what_was_left_out_and_why(books: Books) -> None:
    source = await books.source()
    other = await books.source(counts=False)
    campaign = await books.campaign([Rule(platform="instagram")])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(4), clicks_link=8, impressions=400)])
    await books.post(
        source, [counter("old", at(3), clicks_link=7, impressions=90), counter("old", at(4), clicks_link=9)]
    )
    await books.post(other, [counter("p", at(4), impressions=401)])
    week = Observation(
        subject=SubjectRef("w"),
        kind=Kind.PERIOD,
        metrics={"impressions": 70},
        window=day_window(date(2026, 6, 4), "UTC", 7),
        observed_at=at(12),
    )
    await books.post(source, [week])
    found = await words(books, campaign, "ctr", **WEEK)
    assert "ctr@1 (Click-through rate) = clicks_link / impressions" in found["text"]
    assert found["interval"]["method"] == "wilson"
    assert found["interval"]["ignores_clustering"] is True
    told = {(one["reason"], one["metric"]): (one["members"], one["amount"]) for one in found["left_out"]}
    assert told == {
        ("missing_denominator", "impressions"): (1, None),
        ("coarser_source", "impressions"): (1, 70),
        ("counted_elsewhere", "impressions"): (1, None),
        ("history_before_tracking", "clicks_link"): (1, 7),
        ("history_before_tracking", "impressions"): (1, 90),
    }
    assert found["coverage"] == {"known": 1, "total": 3, "numerator_share": 0.75}
    assert found["meta"]["definitions"] == {"ctr": "ctr@1"}
    ever = await words(books, campaign, "ctr", preset="lifetime")
    assert {one["reason"] for one in ever["left_out"]} == {"counted_elsewhere", "missing_numerator"}


async def test_the_future_of_an_answer_has_no_history(books: Books) -> None:
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    await books.post(source, [seen("p", published_at=at()), counter("p", at(1), likes=5)])
    pinned = (await changes(books, campaign, "likes", **JUNE))["meta"]["as_of"]
    await books.post(source, [counter("p", at(2), likes=9)])
    as_of = datetime.fromisoformat(pinned)
    then = await changes(books, campaign, "likes", **JUNE, as_of=as_of)
    assert [change["new"]["value"] for change in then["data"]] == [5]
    assert (await proof(books, campaign, "likes", **JUNE, as_of=as_of))["value"]["value"] == 5
    later = as_of + timedelta(microseconds=1)
    assert len((await changes(books, campaign, "likes", **JUNE, as_of=later))["data"]) == 2
