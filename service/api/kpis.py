"""The KPI endpoint: a question in a query string, the answer as the report gives it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.access.keys import Scope
from service.api import kpi_answers
from service.api.auth import ReadsKpis
from service.api.kpi_answers import answered, declared
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
    falls: str = Field(
        "signed",
        max_length=20,
        description="`signed`: a fall is negative growth; `high_water`: none is, later growth first fills the hole",
    )


@router.get("/{campaign}/kpis", response_class=Response, responses=declared(AnswerOut, "The answer"))
async def get_campaign_kpis(
    campaign: CampaignId, asked: Annotated[KpiQuery, RequestQuery()], caller: ReadsKpis, parts: Parts
) -> Response:
    """Answer how a campaign is doing: values with intervals, states and reasons, compared and as of any instant."""
    address = f"/v1/campaigns/{ids.show('campaign', ids.read('campaign', campaign))}/kpis"
    question = msgspec.structs.replace(
        _question(asked),
        costs=caller.principal.may(Scope.COSTS_READ),
        # What is proven is the books, and these are signed.
        evidence=address if asked.falls != HIGH_WATER and caller.principal.may(Scope.PROVENANCE_READ) else None,
    )
    return await answered(campaign_kpis, campaign, question, caller, parts)


def _question(asked: KpiQuery) -> Question:
    return msgspec.structs.replace(
        over_range(asked),
        metrics=tuple(_words(asked.metrics)),
        granularity=Grain(_one_of(asked.granularity, tuple(grain.value for grain in Grain), "?granularity")),
        dimensions=tuple(dict.fromkeys(_one_of(word, DIMENSIONS, "?dimensions") for word in _words(asked.dimensions))),
        compare=_one_of(asked.compare, COMPARISONS, "?compare") if asked.compare else None,
        level=asked.level,
        falls=_one_of(asked.falls, FALLS, "?falls"),
    )


def _words(text: str | None) -> list[str]:
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
