"""Checks of sums hold on books filled at random, and name what was broken on purpose; totals are the sums of rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from connectors.contract import ADDITIVE
from service.db.engine import Database
from service.kpi.buckets import Grain
from service.reports.query.answer import query_kpis
from service.reports.query.asked import Query, Scope
from service.reports.query.integrity import campaign_integrity
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import at
from tests.integration.reports.test_sums import filled

NOTES = PlatformNotes(mappings={}, simulated=frozenset())
SPLITS = (("platform",), ("subject",), ("paid",), ("profile", "content_type"), ("tier", "paid"))


def exact(value: Any) -> int:
    """Return an additive value in millionths, so that money and counts are added exactly."""
    return int(Decimal(str(value or 0)) * 1_000_000)


@pytest.mark.parametrize("seed", [0, 3])
async def test_rows_add_up_to_totals_whatever_they_are_split_by(database: Database, seed: int) -> None:
    books, campaign = await filled(database, seed)

    async def ask(**question: Any) -> Any:
        query = Query(
            question=Question(metrics=ADDITIVE, preset="flight", **question), scope=Scope(campaigns=(campaign,))
        )
        async with database.snapshot(books.workspace_id) as connection:
            return msgspec.to_builtins(await query_kpis(connection, books.workspace_id, query, NOTES, at(61)))

    whole = (await ask())["totals"]
    assert any(whole[key]["value"] for key in ADDITIVE)
    for names in SPLITS:
        answer = await ask(dimensions=names)
        assert answer["totals"] == whole
        for key in ADDITIVE:
            if whole[key]["reason"] != "mixed_currency":
                parts = [row["metrics"][key]["value"] for row in answer["data"]]
                assert sum(map(exact, parts)) == exact(whole[key]["value"]), (names, key)
    days = await ask(granularity=Grain.DAY)
    windowed = [warning for warning in days["meta"]["warnings"] if warning["code"] == "coarser_source"]
    if not windowed:
        for key in ("likes", "comments"):
            parts = [row["metrics"][key]["value"] for row in days["data"]]
            assert sum(map(exact, parts)) == exact(whole[key]["value"])
    async with database.snapshot(books.workspace_id) as connection:
        question = Question(preset="flight")
        proved = await campaign_integrity(connection, books.workspace_id, campaign, question, at(61))
    assert proved.holds, proved


async def test_what_was_broken_is_named(database: Database) -> None:
    books, campaign = await filled(database, 1)
    async with database.workspace(books.workspace_id) as connection:
        await connection.execute(
            sa.text("update subject_days set likes = likes + 1 where likes is not null and day between :a and :b"),
            {"a": at(3).date(), "b": at(30).date()},
        )
    async with database.snapshot(books.workspace_id) as connection:
        proved = await campaign_integrity(connection, books.workspace_id, campaign, Question(preset="flight"), at(61))
    broken = {check.name: {one.metric for one in check.differences} for check in proved.checks if not check.holds}
    assert not proved.holds
    assert broken["tallies"] == broken["campaign_days"] == {"likes"}
