"""Conversions credited otherwise than the books do, per KPI of a query."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.contract import Conversion, SubjectRef, Touchpoint
from service.db.engine import Database
from service.errors import Invalid
from service.kpi.attribution import Model
from service.records import Rule
from service.reports.query.answer import query_kpis
from service.reports.query.asked import Attribution, Query, Scope
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import Books, at, seen

NOTES = PlatformNotes(mappings={}, simulated=frozenset())
METRICS = ("conversions", "conversion_value", "orders")


async def test_each_kpi_has_the_model_that_it_is_asked_with(database: Database) -> None:
    books = Books(database)
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(platform="instagram")])
    await books.post(source, [seen(name, published_at=at(1)) for name in "abcd"])
    touches = [
        Touchpoint(id=f"t{name}", at=at(20 - age), subject=SubjectRef(name), customer="zoe")
        for name, age in (("a", 14.0), ("b", 6.5), ("c", 3.0), ("d", 0.5))
    ]
    order = Conversion(id="o1", at=at(20), kind="order", value=100_000_000, currency="EUR", customer="zoe")
    refund = Conversion(
        id="r1", at=at(21), kind="refund", value=10_000_000, currency="EUR", refund_of="o1", customer="zoe"
    )
    await books.post(source, [*touches, order, refund])

    async def ask(way: Attribution | None, **more: Any) -> Any:
        ways = {} if way is None else dict.fromkeys(METRICS, way)
        question = Question(metrics=METRICS, preset="flight", dimensions=("subject",), **more)
        query = Query(question=question, scope=Scope(campaigns=(campaign,)), attribution=ways)
        async with database.snapshot(books.workspace_id) as connection:
            answer = await query_kpis(connection, books.workspace_id, query, NOTES, at(61))
        return msgspec.to_builtins(answer)

    names = {row["subject_id"].hex: row["external_id"] for row in await books.rows("select * from subjects")}

    def shares(answer: Any, slug: str) -> dict[str, Any]:
        return {
            names[row["dimensions"]["subject"].removeprefix("sub_")]: row["metrics"][slug]["value"]
            for row in answer["data"]
            if row["metrics"][slug]["value"] is not None
        }

    assert shares(await ask(None), "conversion_value") == {"d": "90.00"}
    wide = Attribution(model=Model.LINEAR, click_days=30.0)
    linear = await ask(wide)
    assert shares(linear, "conversions") == {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}
    assert shares(linear, "conversion_value") == {"a": "22.50", "b": "22.50", "c": "22.50", "d": "22.50"}
    assert linear["totals"]["conversion_value"]["value"] == "90.00"
    assert linear["meta"]["attribution"]["conversions"] == {
        "model": "linear",
        "click_window_days": 30.0,
        "view_window_days": None,
    }
    position = await ask(Attribution(model=Model.POSITION))
    assert shares(position, "conversions") == {"b": 0.4, "c": 0.2, "d": 0.4}
    assert shares(await ask(Attribution(model=Model.FIRST, click_days=1.0)), "conversions") == {"d": 1}
    for answer in (linear, position):
        assert answer["totals"]["orders"]["value"] == 1
    with pytest.raises(Invalid) as refused:
        await ask(wide, as_of=(await books.rows("select min(recorded_at) as at from postings"))[0]["at"])
    assert refused.value.code == "attribution_as_of"
    books_way = await ask(Attribution(model=Model.LAST))
    assert books_way["totals"] == (await ask(None))["totals"]
