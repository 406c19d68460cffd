"""The conversions of a campaign, with whom they are credited to. No person is named."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.access.keys import Scope
from service.api.auth import ReadsProvenance
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import MOST, CampaignId
from service.api.state import Parts
from service.reports.conversions import ConversionsOut, campaign_conversions

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])

_encode = msgspec.json.Encoder().encode
_REF = "#/components/schemas/{name}"


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    _, found = msgspec.json.schema_components([ConversionsOut], ref_template=_REF)
    return found


class ConversionsQuery(RangeQuery):
    """Conversions over a range, a page at a time, newest first."""

    limit: int = Field(50, ge=1, le=MOST, description="conversions of this page at most")
    after: str | None = Field(None, max_length=100, description="`page.next` of the page before")


@router.get(
    "/{campaign}/conversions",
    operation_id="getCampaignConversions",
    response_class=Response,
    responses={
        200: {
            "description": "The conversions",
            "content": {"application/json": {"schema": {"$ref": _REF.format(name="ConversionsOut")}}},
        }
    },
)
async def get_campaign_conversions(
    campaign: CampaignId, asked: Annotated[ConversionsQuery, RequestQuery()], caller: ReadsProvenance, parts: Parts
) -> Response:
    """List what is credited to a campaign, and what is credited to nobody, with the rule that decided."""
    campaign_id = ids.read("campaign", campaign)
    question = msgspec.structs.replace(
        over_range(asked), metrics=("conversions",), costs=caller.principal.may(Scope.COSTS_READ)
    )
    async with parts.db.snapshot(caller.workspace_id) as connection:
        answer = await campaign_conversions(
            connection,
            caller.workspace_id,
            campaign_id,
            question,
            parts.context.now(),
            after=asked.after,
            limit=asked.limit,
        )
    return Response(_encode(answer), media_type="application/json")
