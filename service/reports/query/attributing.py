"""KPIs whose conversions are credited otherwise than the books do: the same sums, other columns of what was sold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from service.errors import Invalid
from service.kpi.attribution import CLICK_WINDOW_DAYS, VIEW_WINDOW_DAYS, Model, Windows
from service.ledger.history.attributions import SOLD, Credited, credited_under
from service.ledger.history.spans import Span
from service.reports.query.asked import Attribution, Query
from service.reports.query.sides import Side
from service.reports.sums import Sums
from service.reports.tables import Tables


async def attributed(raw: asyncpg.Connection[Any], query: Query, sides: Sequence[Side]) -> list[Side]:
    """Return sides with the sums of each way of crediting that the query asks for.

    Raises :class:`Invalid` where another way cannot be reckoned: of the past, and of paid and organic apart.
    """
    if not query.attribution:
        return list(sides)
    _refuse(query, sides)
    return [await _one(raw, query, side) for side in sides]


def _refuse(query: Query, sides: Sequence[Side]) -> None:
    place = "?metrics"
    if any(side.sums is not side.whole for side in sides):
        why = "who is credited is not told apart into paid and organic"
        raise Invalid(why, pointer=place, code="attribution_of_paid")
    if any(side.asked.knowledge.number is not None for side in sides):
        why = "other models are reckoned from what is known now, not from what was known then"
        raise Invalid(why, pointer=place, code="attribution_as_of")
    by_slug = {kpi.slug: kpi for kpi in sides[0].asked.kpis}
    for slug in query.attribution:
        if slug in by_slug and not set(by_slug[slug].needs) & set(SOLD):
            raise Invalid(f"nothing in {slug} is credited to anybody", pointer=place, code="not_attributed")


async def _one(raw: asyncpg.Connection[Any], query: Query, side: Side) -> Side:
    ways: dict[Attribution, Sums] = {}
    for way in query.attribution.values():
        if way not in ways:
            ways[way] = await _sums(raw, side, way)
    return msgspec.structs.replace(side, otherwise={slug: ways[way] for slug, way in query.attribution.items()})


async def _sums(raw: asyncpg.Connection[Any], side: Side, way: Attribution) -> Sums:
    asked, spans = side.asked, side.stretch.spans
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    model = way.model or Model.LAST
    found = await credited_under(raw, asked.workspace_id, start, end, model, _windows(way))
    tables = Tables.of(side.stretch, SOLD, len(asked.members), asked.exchange)
    places = {member.subject_id: place for place, member in enumerate(asked.members)}
    for one in found:
        if one.subject_id in places:
            _add(tables, spans, places[one.subject_id], one)
    return _replaced(side.sums, tables)


def _windows(way: Attribution) -> Windows | None:
    if way.click_days is None and way.view_days is None:
        return None
    click = CLICK_WINDOW_DAYS if way.click_days is None else way.click_days
    view = VIEW_WINDOW_DAYS if way.view_days is None else way.view_days
    return Windows(click_days=click, view_days=view)


def _add(tables: Tables, spans: Sequence[Span], place: int, one: Credited) -> None:
    for span in spans:
        if span.start <= one.at < span.end:
            tables.add(span.number, place, one.currency, one.metrics)


def _replaced(sums: Sums, tables: Tables) -> Sums:
    currencies = sums.currencies | tables.currencies
    by_bucket = {}
    for number, part in sums.by_bucket.items():
        sold = {key: column for key, column in tables.by_span[number].columns().items() if key in part.columns}
        columns: Mapping[str, Any] = {**part.columns, **sold}
        by_bucket[number] = msgspec.structs.replace(part, columns=columns)
    currency = sums.currency if len(currencies) < 2 else None  # noqa: PLR2004 - one or none
    if sums.currency is not None and len(currencies) == 1:
        currency = next(iter(currencies))
    return msgspec.structs.replace(sums, by_bucket=by_bucket, currencies=currencies, currency=currency)
