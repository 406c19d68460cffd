"""What is unusual about a campaign."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.access.keys import Scope
from service.api import kpi_answers
from service.api.auth import ReadsKpis
from service.api.campaign_reports import declared, told
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId
from service.api.state import Parts
from service.kpi.anomaly import THRESHOLD
from service.kpi.buckets import Grain
from service.reports.signals import campaign_signals
from service.reports.signals_answer import SignalsOut

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    return kpi_answers.schemas(SignalsOut)


class SignalsQuery(RangeQuery):
    """What is watched, over which days (default: the last 28 whole ones)."""

    metrics: str | None = Field(
        None, max_length=1000, description="metrics that add up, comma-separated; default: those most looked at"
    )
    granularity: Literal["day", "hour"] = Field("day", description="`day`, or `hour` for at most 14 days")
    threshold: float = Field(THRESHOLD, ge=2, le=20, description="robust z from which on a bucket is a spike")


@router.get("/{campaign}/signals", response_class=Response, responses=declared(SignalsOut, "What is unusual"))
async def get_campaign_signals(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[SignalsQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """List spikes, lasting shifts and swarms of posts, each with what is usual and how far off it is."""
    given = over_range(asked)
    address = f"/v1/campaigns/{ids.show('campaign', ids.read('campaign', campaign))}/kpis"
    open_range = given.preset is None and given.range_from is None
    question = msgspec.structs.replace(
        given,
        preset="last_28d_complete" if open_range else given.preset,
        metrics=tuple(word.strip() for word in (asked.metrics or "").split(",") if word.strip()),
        granularity=Grain(asked.granularity),
        costs=caller.principal.may(Scope.COSTS_READ),
        evidence=address if caller.principal.may(Scope.PROVENANCE_READ) else None,
    )
    return await told(request, campaign_signals, campaign, question, caller, parts, threshold=asked.threshold)
