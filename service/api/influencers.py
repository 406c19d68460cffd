"""Who made a campaign."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service.access.keys import Scope
from service.api import kpi_answers
from service.api.auth import ReadsKpis
from service.api.campaign_reports import declared, told
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId, referred
from service.api.policies import Policy
from service.api.state import Parts
from service.reports.influencers import Choice, campaign_influencers
from service.reports.influencers_answer import InfluencersOut

router = APIRouter(prefix="/v1/campaigns", tags=["kpis", "creators"])


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    return kpi_answers.schemas(InfluencersOut)


class InfluencersQuery(RangeQuery):
    """Which KPIs creators are shown by (the first orders them), under which tiers, against what."""

    metrics: str | None = Field(
        None,
        max_length=1000,
        description="KPIs, comma-separated; the first orders, by its careful limit; default: `er_followers` and more",
    )
    tier_policy: Policy | None = Field(None, description="name or name@version; default `brief_four_tier`")
    benchmark: Policy | None = Field(None, description="name or name@version; its base must be that of the first KPI")
    against: CampaignId | None = Field(None, description="another campaign, to tell the mix of tiers from the rest")
    exclude_suspect: bool = Field(default=False, description="show totals without suspect engagement too")
    level: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the intervals")


@router.get(
    "/{campaign}/influencers", response_class=Response, responses=declared(InfluencersOut, "Creators, best first")
)
async def get_campaign_influencers(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[InfluencersQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """List the creators of a campaign with their tiers, an index against a benchmark, and reasons to look again."""
    question = msgspec.structs.replace(
        over_range(asked),
        metrics=tuple(word.strip() for word in (asked.metrics or "").split(",") if word.strip()),
        costs=caller.principal.may(Scope.COSTS_READ),
        level=asked.level,
    )
    choice = Choice(
        tier_policy=asked.tier_policy,
        benchmark=asked.benchmark,
        against=None if asked.against is None else referred("campaign", asked.against, "?against"),
        exclude_suspect=asked.exclude_suspect,
    )
    return await told(request, campaign_influencers, campaign, question, caller, parts, choice=choice)
