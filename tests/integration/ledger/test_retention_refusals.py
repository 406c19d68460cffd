"""What retention took is refused with the reason and never another number; what can still be known is answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from connectors.contract import Item, Kind, Observation, SubjectRef, SubjectType, day_window
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS, sqlstate
from service.db.partitions import drop_partitions
from service.errors import Gone
from service.ledger.carry import carry
from service.ledger.resets import settle
from service.records import Rule, Verdict
from service.reports.history import campaign_history
from service.reports.question import Question
from tests.bookkeeping import Books, seen
from tests.integration.ledger.desk import Desk
from tests.integration.ledger.test_order import NOTES
from tests.integration.ledger.test_retention import EDGE, NOW, ask, assert_sound, opened, retain

P1 = SubjectRef("p1")
KEPT: dict[str, Any] = {"range_from": date(2026, 4, 7), "range_to": date(2026, 6, 20)}


def on(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def read(when: datetime, kind: Kind = Kind.LIFETIME, subject: SubjectRef = P1, **metrics: int) -> Observation:
    return Observation(subject=subject, kind=kind, metrics=metrics, observed_at=when)


def week(first: date, impressions: int) -> Observation:
    window = day_window(first, "UTC", 7)
    metrics = {"impressions": impressions}
    return Observation(subject=P1, kind=Kind.PERIOD, metrics=metrics, window=window, observed_at=on(5, 1))


ADA = SubjectRef("ada", SubjectType.PROFILE)
SCRIPT: dict[int, Sequence[Item]] = {
    0: [seen("p1", published_at=on(2, 1), hashtags=("sale",), creator="ada", observed_at=on(2, 1))],
    1: [read(on(2, 10), likes=100, comments=500, shares=300), read(on(3, 20), likes=150, comments=20)],
    2: [read(on(4, 20), likes=210, shares=10), read(on(5, 5), likes=240, comments=30, shares=40)],
    3: [read(on(2, 10), Kind.LEVEL, ADA, followers=1000), read(on(5, 1), Kind.LEVEL, ADA, followers=1200)],
    4: [read(on(2, 10), Kind.UNIQUE, reach=70), read(on(5, 1), Kind.UNIQUE, reach=90)],
    # Reaches over the edge, so that answers are whole only from its end on.
    5: [week(date(2026, 3, 31), 77), week(date(2026, 4, 7), 88)],
    6: [read(on(3, 10), likes=145)],
    7: [read(on(5, 20), comments=600)],
    8: [read(on(4, 10), shares=200)],
}


async def said(desk: Desk, **asked: Any) -> Any:
    """Return what the third campaign answers, without what it says of its own knowledge."""
    found = await ask(desk, 2, **asked)
    return msgspec.to_builtins((found.data, found.totals, found.meta.freshness))


async def history(desk: Desk, after: int, **asked: Any) -> Any:
    books = desk.books
    question = Question(metrics=("likes",), **asked)
    async with desk.database.snapshot(books.workspace_id) as connection:
        return await campaign_history(
            connection,
            books.workspace_id,
            desk.campaigns[2],
            question,
            NOTES,
            desk.context.now(),
            after=after,
            limit=50,
        )


async def judge(desk: Desk, metric: str, at: datetime, verdict: Verdict) -> None:
    books = desk.books
    (row,) = await books.rows("select subject_id from subjects where external_id = 'p1'")
    async with desk.database.workspace(books.workspace_id) as connection:
        await settle(connection, books.workspace_id, row["subject_id"], metric, at, verdict, "", desk.context)


async def test_what_was_taken_is_refused_and_the_rest_is_exact(database: Database) -> None:
    desk = await opened(database, {number: SCRIPT[number] for number in range(6)}, 3)
    await judge(desk, "shares", on(4, 20), Verdict.RESET)
    await assert_sound(desk)
    known = desk.context.now()
    desk.time += timedelta(minutes=5)
    metrics = ("likes", "shares", "impressions")
    plain = await said(desk, metrics=metrics, **KEPT)
    then = await said(desk, metrics=metrics, **KEPT, as_of=known)
    ever = await said(desk, metrics=(*metrics, "comments", "reach", "followers"), preset="lifetime")
    assert ever[1]["comments"]["reason"] == "suspected_reset"
    assert ever[1]["likes"]["value"] == 240
    assert ever[1]["shares"]["value"] == 300 + 40
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"metrics": ("likes",), "range_from": date(2026, 3, 1), "range_to": date(2026, 6, 1)}, "before 2026-04-07"),
        ({"metrics": ("likes",), "range_from": date(2026, 4, 6), "range_to": date(2026, 6, 1)}, "before 2026-04-07"),
        ({"metrics": ("likes",), "preset": "lifetime", "as_of": known}, "the range lifetime"),
        ({"metrics": ("reach",), **KEPT, "as_of": known}, "levels and people"),
        ({"metrics": ("er_followers",), **KEPT}, "followers at publication"),
        ({"metrics": ("likes",), **KEPT, "compare": "previous_period"}, "before 2026-04-07"),
        ({"metrics": ("likes",), **KEPT, "falls": "high_water"}, "the highest values"),
    )
    for question, _ in refused:
        await ask(desk, 2, **question)
    assert (await history(desk, 0, preset="lifetime")).data

    await retain(desk, EDGE)
    (carrying,) = await desk.books.rows("select max(posting) as n from postings")
    await assert_sound(desk)
    assert await said(desk, metrics=metrics, **KEPT) == plain
    assert await said(desk, metrics=metrics, **KEPT, as_of=known) == then
    assert await said(desk, metrics=(*metrics, "comments", "reach", "followers"), preset="lifetime") == ever
    for question, reason in refused:
        with pytest.raises(Gone, match=reason):
            await ask(desk, 2, **question)
    with pytest.raises(Gone, match=f"after={carrying['n']}"):
        await history(desk, 0, preset="lifetime")
    assert (await history(desk, carrying["n"], preset="lifetime")).data == ()
    assert (await history(desk, 0, **KEPT)).data
    with pytest.raises(Gone, match="cannot be settled"):
        await judge(desk, "comments", on(3, 20), Verdict.CORRECTION)
    # Twice is once: there is nothing to carry, and what is dropped again is empty.
    async with database.workspace(desk.books.workspace_id) as connection:
        assert await carry(connection, desk.books.workspace_id, EDGE, desk.context) is None
    async with database.control() as connection:
        assert len(await drop_partitions(connection, None, EDGE.date())) == 4
    assert await said(desk, metrics=metrics, **KEPT) == plain

    # A reading of before the edge is a drop; one of after it goes on from the carried value, and ends the doubt. What
    # is left of the reset that retention took in part stays.
    desk.reads("1", SCRIPT)
    await desk.land([6, 7, 8])
    await desk.drain()
    drops = await desk.books.rows("select drops from delivery_outcomes where jsonb_array_length(drops) > 0")
    assert [row["drops"][0]["reason"] for row in drops] == ["out_of_range"]
    await assert_sound(desk)
    later = (await said(desk, metrics=("likes", "comments", "shares"), preset="lifetime"))[1]
    assert {name: value["value"] for name, value in later.items()} == {"likes": 240, "comments": 600, "shares": 340}
    assert await said(desk, metrics=metrics, **KEPT, as_of=known) == then

    # Who leaves a campaign and comes back counts with what was kept.
    now = await said(desk, metrics=metrics, **KEPT)
    for rules, likes in (([], None), ([Rule(hashtag="sale")], now[1]["likes"]["value"])):
        await desk.books.rules(desk.campaigns[2], rules)
        await assert_sound(desk)
        assert (await said(desk, metrics=metrics, **KEPT))[1]["likes"]["value"] == likes
    assert await said(desk, metrics=metrics, **KEPT) == now
    assert (await said(desk, metrics=("likes",), preset="lifetime"))[1]["likes"]["value"] == 240


async def test_months_go_only_when_every_workspace_has_carried(database: Database) -> None:
    desk = Desk(database, 4, start=NOW)
    await desk.open(campaigns=False)
    other = Books(database, desk.context)
    await other.open()
    source = await other.source()
    await other.campaign([Rule(platform="instagram")])
    await other.post(source, [read(on(2, 10), likes=5)])
    await retain(desk, EDGE, drop=False)
    with pytest.raises(DATABASE_ERRORS) as refused:
        async with database.control() as connection:
            await drop_partitions(connection, None, EDGE.date())
    assert sqlstate(refused.value) == "55000"
    assert await other.rows("select likes from entries") == [{"likes": 5}]
    async with database.workspace(other.workspace_id) as connection:
        await carry(connection, other.workspace_id, EDGE, desk.context)
    async with database.control() as connection:
        assert await drop_partitions(connection, None, EDGE.date())
        names = sa.text("select count(*) from pg_class where relname like 'entries\\_2026%' and relkind = 'r'")
        kept = await connection.scalar(names)
    assert kept
    assert [row["likes"] for row in await other.rows("select likes from entries order by line")] == [5]
