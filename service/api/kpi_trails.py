"""The trails of a number: its restatements, its evidence, and what it means in words.

All three ask over a range as the KPI endpoint does, and about one KPI.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.access.keys import Scope
from service.api import answers, kpi_answers
from service.api.answers import Asking
from service.api.auth import Caller, ReadsKpis, ReadsProvenance
from service.api.kpi_answers import answered, declared
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import MOST, CampaignId
from service.api.state import Parts
from service.errors import Invalid
from service.kpi.catalogue import resolve
from service.reports.explain import ExplanationOut, campaign_explanation
from service.reports.history import HistoryOut, campaign_history
from service.reports.provenance import campaign_provenance
from service.reports.provenance_answer import ProvenanceOut
from service.reports.question import Question

router = APIRouter(prefix="/v1/campaigns/{campaign}/kpis/{metric}", tags=["kpis"])

_MOST_POSTINGS = 2**62

MetricName = Annotated[str, Path(max_length=100, description="a KPI by slug or alias", examples=["ctr"])]


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answers, by name, for the OpenAPI document."""
    return kpi_answers.schemas(HistoryOut, ProvenanceOut, ExplanationOut)


class HistoryQuery(RangeQuery):
    """Restatements over a range, a page at a time, oldest first."""

    limit: int = Field(50, ge=1, le=MOST, description="changes of this page at most")
    after: int = Field(0, ge=0, le=_MOST_POSTINGS, description="`page.next` of the page before")


class ProvenanceQuery(RangeQuery):
    """Contributions over a range, a page at a time, the biggest of each side first."""

    limit: int = Field(20, ge=1, le=50, description="contributions of this page at most")
    after: str | None = Field(None, max_length=100, description="`page.next` of the page before")


class ExplainQuery(RangeQuery):
    """A range, and the confidence level of the interval."""

    level: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the interval")


@router.get("/history", response_class=Response, responses=declared(HistoryOut, "The changes, newest last"))
async def get_kpi_history(
    campaign: CampaignId,
    metric: MetricName,
    asked: Annotated[HistoryQuery, RequestQuery()],
    caller: ReadsProvenance,
    parts: Parts,
) -> Response:
    """List every posting that changed a KPI over a range: the value before and after, the causes, the deliveries."""
    question = _question(asked, metric, caller)
    return await answered(campaign_history, campaign, question, caller, parts, after=asked.after, limit=asked.limit)


@router.get("/provenance", response_class=Response, responses=declared(ProvenanceOut, "The evidence"))
async def get_kpi_provenance(
    campaign: CampaignId,
    metric: MetricName,
    asked: Annotated[ProvenanceQuery, RequestQuery()],
    caller: ReadsProvenance,
    parts: Parts,
) -> Response:
    """Prove a KPI: what each subject brings in, by which entries, from which deliveries, under which mapping rule."""
    question = _question(asked, metric, caller)
    return await answered(campaign_provenance, campaign, question, caller, parts, after=asked.after, limit=asked.limit)


@router.get(
    "/explain",
    response_class=Response,
    responses=answers.declared(ExplanationOut, "The KPI in words", exported=False),
)
async def get_kpi_explanation(
    request: Request,
    campaign: CampaignId,
    metric: MetricName,
    asked: Annotated[ExplainQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Explain a KPI: the formula with its numbers, how the interval came about, and what was left out and why."""
    question = msgspec.structs.replace(_question(asked, metric, caller), level=asked.level)
    campaign_id, notes = ids.read("campaign", campaign), kpi_answers.platform_notes(parts.connectors)

    async def report(connection: AsyncConnection, question: Question, now: datetime) -> ExplanationOut:
        return await campaign_explanation(connection, caller.workspace_id, campaign_id, question, notes, now)

    asking = Asking(question=question, words=("explain", campaign_id), form="json", timeless=True)
    return await answers.answered(request, caller, parts, asking, report)


def _question(asked: RangeQuery, metric: str, caller: Caller) -> Question:
    """Return what is asked of one KPI. Raises :class:`Invalid` for a name that is none, with the nearest."""
    try:
        kpi = resolve(metric)
    except Invalid as error:
        raise Invalid(
            str(error), pointer="path:metric", code=error.code, allowed=error.allowed, nearest=error.nearest
        ) from None
    return msgspec.structs.replace(over_range(asked), metrics=(kpi.slug,), costs=caller.principal.may(Scope.COSTS_READ))
