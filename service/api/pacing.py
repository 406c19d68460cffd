"""A campaign against its plan."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service.access.keys import Scope
from service.api import kpi_answers
from service.api.auth import ReadsKpis
from service.api.campaign_reports import declared, told
from service.api.models import CampaignId, Instant, Query, Zone
from service.api.state import Parts
from service.kpi.pacing import Basis
from service.registry import checks
from service.reports.pacing import campaign_pacing
from service.reports.pacing_answer import PacingOut
from service.reports.question import Question

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    return kpi_answers.schemas(PacingOut)


class PacingQuery(Query):
    """How time is counted, and as of when."""

    basis: Basis = Field(Basis.DAYS, description="`days`: each as long as any other; `hours`: real ones")
    timezone: Zone | None = Field(None, description="IANA name; default: the campaign's")
    as_of: Instant | None = Field(None, description="answer with what was known then")
    level: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the projection")


@router.get("/{campaign}/pacing", response_class=Response, responses=declared(PacingOut, "Budget and goals"))
async def get_campaign_pacing(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[PacingQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Say how a campaign stands against its budget and goals, where it will end, and what is needed from now on."""
    if asked.timezone is not None:
        checks.zone(asked.timezone, "?timezone")
    question = Question(
        preset="flight",
        timezone=asked.timezone,
        as_of=asked.as_of,
        level=asked.level,
        costs=caller.principal.may(Scope.COSTS_READ),
    )
    return await told(request, campaign_pacing, campaign, question, caller, parts, basis=asked.basis)
