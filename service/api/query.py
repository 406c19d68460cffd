"""The query over HTTP: the whole grammar in a body. The same words in a query string are in ``kpis``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.access.keys import Scope
from service.api import answers, exports, kpi_answers, query_schemas
from service.api.answers import Asking
from service.api.auth import Caller, ReadsKpis
from service.api.kpi_answers import REF, platform_notes
from service.api.queries import FORMS, query_of
from service.api.query_models import CompareInput, MetricInput, OtherInput, QueryInput, RangeInput
from service.api.query_words import as_body
from service.api.state import Parts, Services
from service.errors import Invalid
from service.reports.answer import AnswerOut
from service.reports.query.answer import query_kpis as answer_query
from service.reports.query.asked import Query
from service.reports.query.columns import ColumnsAnswerOut, columns_of
from service.reports.query.dimensions import is_dated
from service.reports.question import Question

router = APIRouter(prefix="/v1/kpis", tags=["kpis"])
_encode = msgspec.json.Encoder().encode


def _answers() -> dict[int | str, dict[str, Any]]:
    declared = answers.declared(AnswerOut, "The answer, by rows or by columns")
    either = [{"$ref": REF.format(name=one)} for one in ("AnswerOut", "ColumnsAnswerOut")]
    declared[200]["content"]["application/json"]["schema"] = {"anyOf": either}
    return declared


ANSWERS = _answers()
"""The answers of every route that takes the grammar."""


def components() -> dict[str, Any]:
    """Return the JSON Schemas that the document needs beside those of bodies, by name."""
    own: dict[str, Any] = {}
    for model in (MetricInput, RangeInput, CompareInput, OtherInput):
        schema = model.model_json_schema(by_alias=True, ref_template=REF.format(name="{model}"))
        own |= schema.pop("$defs", {}) | {model.__name__: schema}
    return kpi_answers.schemas(AnswerOut, ColumnsAnswerOut) | query_schemas.components() | own


@router.post("/query", response_class=Response, responses=ANSWERS)
async def query_kpis(request: Request, body: QueryInput, caller: ReadsKpis, parts: Parts) -> Response:
    """Answer any question about campaigns: KPIs by time and dimension, filtered, compared, in pages, as of any instant.

    Asking changes nothing; it is a POST because a question may be long.
    """
    try:
        return await answered(request, body, caller, parts)
    except Invalid as error:
        raise as_body(error) from None


async def answered(request: Request, body: QueryInput, caller: Caller, parts: Services) -> Response:
    """Answer a query in one snapshot, or say that the answer is unchanged. Raises what the report does."""
    form = body.format if body.format is None else FORMS.get(body.format, body.format)
    address = None
    if caller.principal.may(Scope.PROVENANCE_READ) and len(body.scope.campaigns) == 1:
        campaign = ids.show("campaign", ids.read("campaign", body.scope.campaigns[0]))
        address = f"/v1/campaigns/{campaign}/kpis"
    query = query_of(body, costs=caller.principal.may(Scope.COSTS_READ), evidence=address)
    if (form or exports.accepted(request.headers.get("accept"))) in ("csv", "ndjson") and not _is_limited(body):
        query = msgspec.structs.replace(query, limit=None)
    home, notes = caller.workspace_id, platform_notes(parts.connectors)

    async def report(connection: AsyncConnection, question: Question, now: datetime) -> msgspec.Struct:
        asked = msgspec.structs.replace(query, question=question)
        answer = await answer_query(connection, home, asked, notes, now)
        return columns_of(answer) if form == "columns" else answer

    if not is_dated(query):
        # What is read as it is now has no tag: it changes without a posting.
        async with parts.db.snapshot(home) as connection:
            found = await report(connection, query.question, parts.context.now())
        return Response(_encode(found), media_type="application/json")
    words = {"query": query.written, "form": form}
    asking = Asking(
        question=query.question, words=words, campaign=_only(query), form="json" if form == "columns" else form
    )
    return await answers.answered(request, caller, parts, asking, report)


def _is_limited(body: QueryInput) -> bool:
    return "page" in body.model_fields_set


def _only(query: Query) -> UUID | None:
    """Return the campaign that alone decides about an answer, None where others have a part in it."""
    compare = query.compare
    alone = compare is None or (compare.campaign is None and compare.to != "previous_flight")
    one = len(query.scope.campaigns) == 1 and query.scope.strategy is None
    return query.scope.campaigns[0] if one and alone and not query.attribution and query.tier_policy is None else None
