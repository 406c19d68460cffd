"""The KPI endpoint: a question in a query string, the answer as the report gives it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.access.keys import Scope
from service.api import answers, exports, kpi_answers
from service.api.answers import Asking
from service.api.auth import ReadsKpis
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId
from service.api.state import Parts
from service.errors import Invalid
from service.kpi.buckets import Grain
from service.registry.checks import nearest
from service.reports.answer import AnswerOut
from service.reports.campaign import campaign_kpis
from service.reports.question import COMPARISONS, DIMENSIONS, FALLS, HIGH_WATER, Question

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    return kpi_answers.schemas(AnswerOut)


class KpiQuery(RangeQuery):
    """A question about one campaign. Lists are comma-separated words."""

    metrics: str | None = Field(
        None,
        max_length=2000,
        description="KPIs by slug or alias, comma-separated; without it what the campaign's kind opens on",
        examples=["impressions,ctr,cpa"],
    )
    granularity: str = Field("total", max_length=20, description="`total`, `hour`, `day`, `week` or `month`")
    dimensions: str | None = Field(None, max_length=200, description="`platform`, `tier`, or both")
    compare: str | None = Field(None, max_length=40, description="`previous_period`")
    level: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the intervals")
    form: str | None = Field(
        None, alias="format", max_length=20, description="`json`, `csv` or `ndjson`; default: what `Accept` prefers"
    )
    falls: str = Field(
        "signed",
        max_length=20,
        description="`signed`: a fall is negative growth; `high_water`: none is, later growth first fills the hole",
    )


@router.get("/{campaign}/kpis", response_class=Response, responses=answers.declared(AnswerOut))
async def get_campaign_kpis(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[KpiQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Answer how a campaign is doing: values with intervals, states and reasons, compared and as of any instant."""
    campaign_id = ids.read("campaign", campaign)
    home, notes = caller.workspace_id, kpi_answers.platform_notes(parts.connectors)
    address = f"/v1/campaigns/{ids.show('campaign', campaign_id)}/kpis"
    question = msgspec.structs.replace(
        _question(asked),
        costs=caller.principal.may(Scope.COSTS_READ),
        # What is proven is the books, and these are signed.
        evidence=address if asked.falls != HIGH_WATER and caller.principal.may(Scope.PROVENANCE_READ) else None,
    )
    form = _one_of(asked.form, tuple(exports.FORMS), "?format") if asked.form else None

    async def report(connection: AsyncConnection, question: Question, now: datetime) -> AnswerOut:
        return await campaign_kpis(connection, home, campaign_id, question, notes, now)

    asking = Asking(question=question, campaign=campaign_id, form=form)
    return await answers.answered(request, caller, parts, asking, report)


def _question(asked: KpiQuery) -> Question:
    return msgspec.structs.replace(
        over_range(asked),
        metrics=tuple(words(asked.metrics)),
        granularity=Grain(_one_of(asked.granularity, tuple(grain.value for grain in Grain), "?granularity")),
        dimensions=tuple(dict.fromkeys(_one_of(word, DIMENSIONS, "?dimensions") for word in words(asked.dimensions))),
        compare=_one_of(asked.compare, COMPARISONS, "?compare") if asked.compare else None,
        level=asked.level,
        falls=_one_of(asked.falls, FALLS, "?falls"),
    )


def words(text: str | None) -> list[str]:
    """Return the words of a list."""
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _one_of(word: str, allowed: tuple[str, ...], pointer: str) -> str:
    if word in allowed:
        return word
    raise Invalid(
        f"{word[:40]!r} is not one of them",
        pointer=pointer,
        code="not_allowed",
        allowed=allowed,
        nearest=nearest(word, allowed),
    )
