"""What retention leaves is exact: before months go their values are carried, and what needs them is refused."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from connectors.contract import (
    Conversion,
    Item,
    Kind,
    Observation,
    SubjectRef,
    Touchpoint,
    Window,
    Withdrawal,
    day_window,
)
from service.db.engine import Database
from service.db.partitions import drop_partitions
from service.errors import Gone
from service.kpi.buckets import Grain
from service.ledger.carry import carry
from service.reports.campaign import campaign_kpis
from service.reports.question import Question
from tests.bookkeeping import seen
from tests.integration.ledger.desk import Desk
from tests.integration.ledger.test_order import NOTES
from tests.seeds import seeds

FIRST = datetime(2026, 1, 10, tzinfo=UTC)
EDGE = datetime(2026, 4, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu")
WHOLE = date(2026, 4, 12)
"""A day that begins after the reach of every window that began before the edge."""
COUNT = 60
SUMMED = ("likes", "impressions", "clicks_link", "ctr", "orders", "conversion_value", "engagements")
PEOPLE = ("reach", "followers", "follower_growth")


def over_months(  # noqa: C901 - one kind of item a branch
    seed: int, count: int, *, first: datetime = FIRST, days: int = 160
) -> dict[int, list[Item]]:
    """Return deliveries about half a year: counters, days of several zones, windows over edges, events, facts."""
    rng = random.Random(seed)

    def when() -> datetime:
        return first + timedelta(days=rng.randint(0, days), hours=rng.choice((0, 5, 13)), minutes=rng.choice((0, 17)))

    def one() -> Item:  # noqa: PLR0911 - one kind of item a branch
        subject = SubjectRef(rng.choice(("p1", "p2", "p3")))
        at = when()
        match rng.randint(0, 8):
            case 0 | 1:
                metrics = {name: rng.randint(0, 500) for name in ("likes", "comments") if rng.random() < 0.7}
                return Observation(subject=subject, kind=Kind.LIFETIME, metrics=metrics or {"likes": 3}, observed_at=at)
            case 2:
                return Observation(
                    subject=subject, kind=Kind.LEVEL, metrics={"followers": rng.randint(0, 99)}, observed_at=at
                )
            case 3:
                return Observation(
                    subject=subject, kind=Kind.UNIQUE, metrics={"reach": rng.randint(0, 99)}, observed_at=at
                )
            case 4 | 5:
                day = (first + timedelta(days=rng.randint(0, days))).date()
                window = day_window(day, rng.choice(ZONES), rng.choice((1, 1, 1, 7)))
                said = window.end + timedelta(days=rng.randint(0, 5))
                if rng.random() < 0.1:
                    return Withdrawal(
                        subject=subject, kind=Kind.PERIOD, window=window, metrics=("impressions",), observed_at=said
                    )
                metrics = {"impressions": rng.randint(0, 99), "clicks_link": rng.randint(0, 9)}
                return Observation(subject=subject, kind=Kind.PERIOD, metrics=metrics, window=window, observed_at=said)
            case 6:
                start = at.replace(minute=0)
                window = Window(start=start, end=start + timedelta(hours=1))
                return Observation(
                    subject=subject,
                    kind=Kind.PERIOD,
                    metrics={"impressions": rng.randint(0, 9)},
                    window=window,
                    observed_at=at + timedelta(hours=2),
                )
            case 7:
                if rng.random() < 0.4:
                    return Touchpoint(id=f"c{rng.randint(0, 9)}", at=at, subject=subject)
                return Conversion(
                    id=f"o{rng.randint(0, 9)}", at=at, kind="order", value=5_000_000, currency="EUR", subject=subject
                )
            case _:
                return seen(
                    subject.external_id,
                    observed_at=at,
                    published_at=when() - timedelta(days=40) if rng.random() < 0.6 else None,
                    hashtags=tuple(tag for tag in ("spring", "sale") if rng.random() < 0.5),
                )

    return {number: [one() for _ in range(rng.randint(1, 3))] for number in range(count)}


async def opened(database: Database, script: Mapping[int, Sequence[Item]], seed: int) -> Desk:
    """Return a desk that has read a script; its source has tracked everything from the start."""
    desk = Desk(database, seed, start=NOW)
    await desk.open()
    async with database.workspace(desk.books.workspace_id) as connection:
        await connection.execute(sa.text("update sources set tracks_from = :at"), {"at": FIRST - timedelta(days=60)})
    desk.sources = [msgspec.structs.replace(row, tracks_from=FIRST - timedelta(days=60)) for row in desk.sources]
    desk.reads("1", script)
    await desk.land(script)
    await desk.drain()
    return desk


async def retain(desk: Desk, edge: datetime, *, drop: bool = True) -> None:
    async with desk.database.workspace(desk.books.workspace_id) as connection:
        assert await carry(connection, desk.books.workspace_id, edge, desk.context) is not None
    if drop:
        async with desk.database.control() as connection:
            dropped = await drop_partitions(connection, None, edge.date())
        assert dropped


async def since(desk: Desk) -> date:
    """Return the first day that begins, everywhere, after what retention took."""
    (row,) = await desk.books.fetch("select max(since) as at from retentions")
    return date.fromordinal(row["at"].toordinal() + 2)


async def ask(desk: Desk, campaign: int, **asked: Any) -> Any:
    question = Question(**asked)
    books = desk.books
    async with desk.database.snapshot(books.workspace_id) as connection:
        return await campaign_kpis(
            connection, books.workspace_id, desk.campaigns[campaign], question, NOTES, desk.context.now()
        )


async def answers(desk: Desk, first: date, *, lifetime: bool = True, metrics: Sequence[str] = SUMMED) -> list[Any]:
    """Return what is said of the kept time in several zones and grains, and of everything; not of knowledge."""
    said = []
    for campaign in range(len(desk.campaigns)):
        asked: list[dict[str, Any]] = [
            {"range_from": first, "range_to": date(2026, 6, 28), "granularity": Grain.DAY},
            {"range_from": first, "range_to": date(2026, 6, 28), "timezone": "Asia/Kathmandu"},
            {"range_from": first, "range_to": first + timedelta(days=3), "compare": None},
        ]
        if lifetime:
            asked += [{"preset": "lifetime"}, {"preset": "lifetime", "timezone": "Asia/Kathmandu"}]
        for question in asked:
            found = await ask(desk, campaign, metrics=tuple(metrics), **question)
            # The zones of days that went are not warned of any more.
            codes = {warning.code for warning in found.meta.warnings} - {"mixed_source_timezone"}
            said.append(msgspec.to_builtins((found.data, found.totals, found.meta.freshness, codes)))
    return said


async def assert_sound(desk: Desk) -> None:
    report = await desk.proof()
    assert report.differences == []


BALANCES = "select subject_id, series_id, likes, comments, followers, reach from balances order by 1, 2"


async def kept_as_of(desk: Desk, known: datetime) -> list[Any]:
    """Return what was known at an instant of the kept time: sums, which need nothing of before. None is refused."""
    asked: dict[str, Any] = {"metrics": SUMMED, "range_from": WHOLE, "range_to": date(2026, 6, 28), "as_of": known}
    found: list[Any] = []
    for campaign in range(3):
        try:
            found.append(await ask(desk, campaign, **asked))
        except Gone:
            found.append(None)
    return found


@pytest.mark.parametrize("seed", seeds(4))
async def test_what_is_kept_stays_exact(database: Database, seed: int) -> None:
    desk = await opened(database, over_months(seed, COUNT), seed)
    await assert_sound(desk)
    balances = await desk.books.rows(BALANCES)
    known = desk.time
    desk.time += timedelta(minutes=5)
    plain = await answers(desk, WHOLE, metrics=(*SUMMED, *PEOPLE))
    past = await kept_as_of(desk, known)
    for drop in (False, True):
        if drop:
            async with database.control() as connection:
                assert len(await drop_partitions(connection, None, EDGE.date())) == 4 * 16
        else:
            await retain(desk, EDGE, drop=False)
        assert await since(desk) <= WHOLE
        await assert_sound(desk)
        assert await answers(desk, WHOLE, metrics=(*SUMMED, *PEOPLE)) == plain
        # How fresh it was may be among what was taken: then it is refused, and never another number.
        assert all(found in (None, then) for found, then in zip(await kept_as_of(desk, known), past, strict=True))
        assert await desk.books.rows(BALANCES) == balances
        assert await desk.books.rows("select 1 as one from balances where at < :edge", edge=EDGE) == []
    assert await desk.books.rows("select 1 as one from entries where valid_from < :edge", edge=EDGE) == []
