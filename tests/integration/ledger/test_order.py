"""Arrival order does not matter: any order, duplication and batching of deliveries ends with the same books."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from connectors.contract import (
    Conversion,
    Item,
    Kind,
    Observation,
    SubjectRef,
    SubjectType,
    Touchpoint,
    Withdrawal,
    day_window,
)
from service.context import Context, fixed
from service.db.engine import Database
from service.kpi.buckets import Grain
from service.kpi.catalogue import CATALOGUE
from service.ledger.verify import Report, verify
from service.records import Rule
from service.reports.campaign import campaign_kpis
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import SUBJECT_DAYS, Books, at, counter, seen
from tests.seeds import seeds

POSTS = ("p1", "p2")
NOTES = PlatformNotes(mappings={}, simulated=frozenset())
BALANCES = """
select s.external_id, r.kind, r.scope, b.at, b.earlier, b.likes, b.comments, b.followers, b.reach
from balances b join subjects s using (workspace_id, subject_id) join series r using (workspace_id, series_id)
order by 1, 2, 3
"""
DAYS = f"""
select s.external_id, d.day, d.zone, d.basis, d.days, d.currency, d.paid, d.likes, d.comments, d.impressions,
  d.clicks_link, d.orders, d.refunds, d.conversions, d.conversion_value, d.carried
from {SUBJECT_DAYS} d join subjects s using (workspace_id, subject_id) order by 1, 2, 3, 4, 5, 6, 7
"""
CAMPAIGN_DAYS = """
select c.zone as campaign, d.day, d.zone, d.basis, d.days, d.currency, d.paid, d.likes, d.comments, d.impressions,
  d.clicks_link, d.orders, d.refunds, d.conversions, d.conversion_value
from campaign_days d join campaigns c using (workspace_id, campaign_id) order by 1, 2, 3, 4, 5, 6, 7
"""


def made_up(seed: int, count: int) -> list[list[Item]]:
    """Return deliveries of every kind of item, with repeated instants, falls, restatements and changed facts."""
    rng = random.Random(seed)
    return [[_item(rng) for _ in range(rng.randint(1, 3))] for _ in range(count)]


def _item(rng: random.Random) -> Item:  # noqa: PLR0911 - one kind of item a branch
    post = rng.choice(POSTS)
    when = at(rng.randint(0, 5), rng.choice((0, 13)))
    subject = SubjectRef(post, rng.choice((SubjectType.POST, SubjectType.POST, SubjectType.REEL, SubjectType.PROFILE)))
    day = day_window(date(2026, 6, rng.randint(1, 2)), rng.choice(("UTC", "America/Los_Angeles")))
    match rng.randint(0, 9):
        case 0 | 1 | 2:
            metrics = {name: rng.randint(0, 30) for name in ("likes", "comments") if rng.random() < 0.7}
            return counter(post, when, Kind.LIFETIME, check=False, **(metrics or {"likes": 3}))
        case 3:
            return counter(post, when, Kind.LEVEL, followers=rng.randint(0, 30))
        case 4:
            return counter(post, when, Kind.UNIQUE, reach=rng.randint(0, 30))
        case 5 | 6:
            metrics = {name: rng.randint(0, 4) for name in ("impressions", "clicks_link") if rng.random() < 0.7}
            return Observation(
                subject=subject, kind=Kind.PERIOD, metrics=metrics or {"impressions": 1}, window=day, observed_at=when
            )
        case 7:
            if rng.random() < 0.5:
                return Withdrawal(
                    subject=subject, kind=Kind.PERIOD, window=day, metrics=("impressions",), observed_at=when
                )
            return Touchpoint(id=f"c{rng.randint(0, 3)}", at=at(rng.randint(0, 5)), subject=subject)
        case 8:
            return Conversion(
                id=f"o{rng.randint(0, 3)}",
                at=at(rng.randint(0, 5)),
                kind=rng.choice(("order", "refund")),
                value=rng.randint(0, 9) * 1_000_000,
                currency="EUR",
                subject=subject if rng.random() < 0.7 else None,
                observed_at=when,
            )
        case _:
            return seen(
                post,
                observed_at=when,
                published_at=at(rng.choice((-9, 0, 2))) if rng.random() < 0.6 else None,
                hashtags=tuple(tag for tag in ("spring", "sale") if rng.random() < 0.5),
            )


async def books_of(
    database: Database, batches: Sequence[Sequence[Sequence[Item]]], context: Context
) -> tuple[Mapping[str, Any], Report]:
    """Post batches of deliveries to a new workspace with three campaigns; return its books and their proof."""
    books = Books(database, context)
    await books.open()
    source = await books.source()
    campaigns = [
        await books.campaign([Rule(hashtag="spring")], zone="Asia/Kolkata"),
        await books.campaign([Rule(platform="instagram")], zone="America/Los_Angeles"),
        await books.campaign([Rule(hashtag="sale"), Rule(hashtag="spring", in_flight=True)], zone="UTC"),
    ]
    for batch in batches:
        await books.post(source, *batch)
    found: dict[str, list[Any]] = {
        "balances": await books.rows(BALANCES),
        "subject_days": await books.rows(DAYS),
        "campaign_days": await books.rows(CAMPAIGN_DAYS),
        "facts": await books.rows("select external_id, type, facts from subjects order by 1"),
    }
    for row in found["facts"]:
        row["facts"] = {name: fact for name, fact in row["facts"].items() if not name.startswith("source:")}
    found["answers"] = [await _answers(books, campaign) for campaign in campaigns]
    async with database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    return found, report


async def _answers(books: Books, campaign: UUID) -> list[Any]:
    """Return what is said of every KPI of a campaign: values, states, intervals, comparisons; not of knowledge."""
    asked = [
        Question(metrics=tuple(CATALOGUE), preset="lifetime", dimensions=("platform", "tier")),
        Question(
            metrics=tuple(CATALOGUE),
            range_from=date(2026, 6, 1),
            range_to=date(2026, 6, 8),
            granularity=Grain.DAY,
            compare="previous_period",
        ),
    ]
    said = []
    for question in asked:
        async with books.database.snapshot(books.workspace_id) as connection:
            answer = await campaign_kpis(connection, books.workspace_id, campaign, question, NOTES, books.context.now())
        said.append(msgspec.to_builtins((answer.data, answer.totals, answer.comparison, answer.meta.warnings)))
    return said


def variations(deliveries: Sequence[Sequence[Item]], seed: int) -> list[list[list[Sequence[Item]]]]:
    """Return the deliveries one by one, reversed and twice each in sevens, shuffled in one batch."""
    shuffled = [*deliveries, *deliveries]
    random.Random(seed).shuffle(shuffled)
    twice = [delivery for delivery in reversed(deliveries) for _ in range(2)]
    return [
        [[delivery] for delivery in deliveries],
        [twice[start : start + 7] for start in range(0, len(twice), 7)],
        [shuffled],
        [[delivery] for delivery in shuffled],
    ]


@pytest.mark.parametrize("seed", seeds(6))
async def test_order_duplication_and_batching(database: Database, seed: int) -> None:
    deliveries = made_up(seed, 48)
    context = fixed(at(61), seed)
    results = [await books_of(database, batches, context) for batches in variations(deliveries, seed)]
    for found, report in results:
        assert report.differences == []
        for part, rows in found.items():
            assert rows == results[0][0][part], part
