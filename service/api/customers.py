"""Customers of a campaign, and how mature its conversions are. Nobody is named."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service.api import kpi_answers
from service.api.auth import ReadsKpis
from service.api.campaign_reports import declared, told
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId
from service.api.state import Parts
from service.reports.customers import CustomersOut, campaign_customers
from service.reports.maturity import MaturityOut, campaign_maturity

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answers, by name, for the OpenAPI document."""
    return kpi_answers.schemas(CustomersOut, MaturityOut)


class MaturityQuery(RangeQuery):
    """Over which days of clicks."""

    level: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the intervals")


class CustomersQuery(MaturityQuery):
    """Over which range, and in how many days a new customer counts as one who came back."""

    window_days: int = Field(30, ge=1, le=365, description="days in which a second order counts as retention")


@router.get("/{campaign}/customers", response_class=Response, responses=declared(CustomersOut, "The customers"))
async def get_campaign_customers(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[CustomersQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Count new and returning customers with a credited order, and how many of the new ones bought again in time."""
    question = msgspec.structs.replace(over_range(asked), level=asked.level)
    return await told(request, campaign_customers, campaign, question, caller, parts, window_days=asked.window_days)


@router.get("/{campaign}/maturity", response_class=Response, responses=declared(MaturityOut, "How mature it is"))
async def get_campaign_maturity(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[MaturityQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Say what the conversion rate will be when all has arrived, by how late conversions came to be known so far."""
    question = msgspec.structs.replace(over_range(asked), level=asked.level)
    return await told(request, campaign_maturity, campaign, question, caller, parts)
