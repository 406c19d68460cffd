"""The KPI endpoint of a campaign: a question in a query string, the answer as the report gives it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery

from service.api import query
from service.api.auth import ReadsKpis
from service.api.models import CampaignId
from service.api.query_strings import CampaignQuery, body_of
from service.api.state import Parts

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])


@router.get("/{campaign}/kpis", response_class=Response, responses=query.ANSWERS)
async def get_campaign_kpis(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[CampaignQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Answer how a campaign is doing: values with intervals, states and reasons, compared and as of any instant."""
    return await query.answered(request, body_of(asked, campaign), caller, parts)


def words(text: str | None) -> list[str]:
    """Return the words of a list."""
    return [word.strip() for word in text.split(",") if word.strip()] if text else []
