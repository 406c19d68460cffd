"""Books from before conversions had versions: what was booked is carried over, and reading it again counts it once."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from connectors.contract import Conversion, SubjectRef, Touchpoint
from service.db import embedded, migrate
from service.db.engine import Database
from service.ledger.verify import verify
from service.records import Rule
from tests.bookkeeping import SUBJECT_DAYS, Books, at

_AS_BEFORE = """
insert into events (workspace_id, event_key, subject_id, series_id, at, observed_at, metrics)
select c.workspace_id, c.event_key, r.subject_id, c.series_id, c.at, c.observed_at,
  jsonb_strip_nulls(jsonb_build_object('orders', r.orders, 'refunds', r.refunds, 'conversions', r.conversions,
    'conversion_value', r.conversion_value))
from conversions c join credits r using (workspace_id, event_key, version)
"""


async def test_what_was_booked_is_carried_over_and_read_again_once(database: Database, owner_url: str) -> None:
    books = Books(database)
    await books.open()
    source = await books.source("shop")
    await books.campaign([Rule(platform="shop")])
    named: dict[str, Any] = {"subject": SubjectRef("p"), "value": 10_000_000, "currency": "EUR"}
    items = [
        Conversion(id="o1", at=at(1), kind="order", **named),
        Conversion(id="r1", at=at(2), kind="refund", refund_of="o1", **(named | {"value": 3_000_000})),
        Conversion(id="o2", at=at(1), kind="order", value=5_000_000, currency="EUR", promo_code="ANNA", customer="c"),
        Conversion(id="l1", at=at(3), goal="lead"),
        Touchpoint(id="c1", at=at(1), subject=SubjectRef("p")),
    ]
    await books.post(source, items)
    tallies = await books.rows(f"select * from {SUBJECT_DAYS} d order by subject_id, day")
    async with database.workspace(books.workspace_id) as connection:
        await connection.execute(sa.text(_AS_BEFORE))
    settings = migrate.config(owner_url, embedded.SERVICE)
    revision = ScriptDirectory.from_config(settings).get_revision("0006")
    assert revision is not None
    await asyncio.to_thread(command.downgrade, settings, str(revision.down_revision))
    await asyncio.to_thread(command.upgrade, settings, "head")
    assert await books.rows("select count(*) as n from conversions") == [{"n": 4}]
    assert await books.rows("select metrics from events") == [{"metrics": {"clicks_link": 1}}]
    await _prove(books)
    await books.post(source, items)
    assert await books.rows(f"select * from {SUBJECT_DAYS} d order by subject_id, day") == tallies
    rows = await books.rows(
        "select rule, customer is not null as named from conversions where sign = 1 and version = 2"
    )
    assert {(row["rule"], row["named"]) for row in rows} >= {("promo_code", True), ("refund_of", False)}
    await _prove(books)


async def _prove(books: Books) -> None:
    async with books.database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert report.differences == []
