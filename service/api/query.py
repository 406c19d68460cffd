"""The query over HTTP: the whole grammar in a body. The same words in a query string are in ``kpis``."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Response

from service import ids
from service.access.keys import Scope
from service.api import kpi_answers
from service.api.auth import Caller, ReadsKpis
from service.api.kpi_answers import platform_notes
from service.api.queries import as_body, query_of
from service.api.query_models import OtherInput, QueryInput
from service.api.state import Parts, Services
from service.errors import Invalid
from service.reports.answer import AnswerOut
from service.reports.query.answer import query_kpis as answer_query
from service.reports.query.columns import ColumnsAnswerOut, columns_of

router = APIRouter(prefix="/v1/kpis", tags=["kpis"])
_encode = msgspec.json.Encoder().encode
_NAME = "#/components/schemas/{name}"
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, by rows or by columns",
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": _NAME.format(name=one)} for one in ("AnswerOut", "ColumnsAnswerOut")]}
            }
        },
    }
}
"""The answers of every route that takes the grammar."""


def components() -> dict[str, Any]:
    """Return the JSON Schemas that the document needs beside those of bodies, by name."""
    other = OtherInput.model_json_schema(by_alias=True, ref_template=_NAME.format(name="{model}"))
    return kpi_answers.schemas(AnswerOut, ColumnsAnswerOut) | {"OtherInput": other}


@router.post("/query", response_class=Response, responses=ANSWERS)
async def query_kpis(body: QueryInput, caller: ReadsKpis, parts: Parts) -> Response:
    """Answer any question about campaigns: KPIs by time and dimension, filtered, compared, in pages, as of any instant.

    Asking changes nothing; it is a POST because a question may be long.
    """
    try:
        return await answered(body, caller, parts)
    except Invalid as error:
        raise as_body(error) from None


async def answered(body: QueryInput, caller: Caller, parts: Services) -> Response:
    """Answer a query in one snapshot. Raises what ``query_of`` and the report do."""
    address = None
    if caller.principal.may(Scope.PROVENANCE_READ) and len(body.scope.campaigns) == 1:
        campaign = ids.show("campaign", ids.read("campaign", body.scope.campaigns[0]))
        address = f"/v1/campaigns/{campaign}/kpis"
    query = query_of(body, costs=caller.principal.may(Scope.COSTS_READ), evidence=address)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        answer = await answer_query(
            connection, caller.workspace_id, query, platform_notes(parts.connectors), parts.context.now()
        )
    shaped = columns_of(answer) if body.format == "columns" else answer
    return Response(_encode(shaped), media_type="application/json")
