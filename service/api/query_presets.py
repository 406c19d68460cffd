"""Questions that frontends ask all day, each a query with most words filled in: a chart, a table, a funnel, a pulse."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.access.keys import Scope
from service.api import kpi_answers, query
from service.api.auth import Caller, ReadsKpis
from service.api.kpi_answers import declared, platform_notes
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId, Instant, Query
from service.api.queries import query_of
from service.api.query_strings import CampaignQuery, body_of
from service.api.query_words import one_of
from service.api.state import Parts, Services
from service.errors import Invalid
from service.kpi.catalogue import Kind, resolve
from service.reports.query.answer import query_kpis
from service.reports.query.freshness import FreshnessOut, Habits, campaign_freshness
from service.reports.query.funnel import METRICS, FunnelOut, funnel_of
from service.reports.query.integrity import IntegrityOut, campaign_integrity
from service.reports.query.pulse import PulseOut, campaign_pulse
from service.reports.question import DIMENSIONS, Question

router = APIRouter(prefix="/v1/campaigns/{campaign}", tags=["kpis"])
_encode = msgspec.json.Encoder().encode
DimensionName = Annotated[str, Path(max_length=40, description="what to break down by", examples=["platform"])]


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answers, by name, for the OpenAPI document."""
    return kpi_answers.schemas(FunnelOut, PulseOut, FreshnessOut, IntegrityOut)


class TimeseriesQuery(CampaignQuery):
    """A question about a course of time."""

    granularity: str = Field("auto", max_length=20, description="`auto`, `hour`, `day`, `week` or `month`")


class TopQuery(CampaignQuery):
    """A question about the best: of posts, unless other dimensions are named."""

    limit: int | None = Field(10, ge=1, le=1000, description="how many")


class PulseQuery(Query):
    """The last minutes of metrics that are sums."""

    metrics: str | None = Field(None, max_length=2000, description="comma-separated; default: what moves in minutes")


class KnownQuery(Query):
    """Nothing but the knowledge."""

    as_of: Instant | None = None


@router.get("/kpis/timeseries", response_class=Response, responses=query.ANSWERS)
async def get_kpi_timeseries(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[TimeseriesQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Answer as a course of time: every bucket of the range, with a state where there is no number."""
    return await query.answered(request, body_of(asked, campaign), caller, parts)


@router.get("/kpis/breakdown/{dimension}", response_class=Response, responses=query.ANSWERS)
async def get_kpi_breakdown(
    request: Request,
    campaign: CampaignId,
    dimension: DimensionName,
    asked: Annotated[CampaignQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Answer by one dimension, the greatest of the first KPI first; `dimensions` adds further ones."""
    one_of(dimension, DIMENSIONS, "path:dimension")
    body = body_of(asked, campaign)
    named = list(dict.fromkeys((dimension, *body.dimensions)))
    body = body.model_copy(update={"dimensions": named, "order": body.order or _first(asked)})
    return await query.answered(request, body, caller, parts)


@router.get("/kpis/top", response_class=Response, responses=query.ANSWERS)
async def get_kpi_top(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[TopQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Rank posts by the first KPI: rates by the lower limit of their interval, so that luck alone does not win."""
    body = body_of(asked, campaign)
    order = body.order or _first(asked, careful=True)
    body = body.model_copy(update={"dimensions": body.dimensions or ["subject"], "order": order})
    return await query.answered(request, body, caller, parts)


def _first(asked: CampaignQuery, *, careful: bool = False) -> list[Any] | None:
    """Return the order by the first KPI that is named; careful: rates by their lower limit."""
    name = next((word.strip() for word in (asked.metrics or "").split(",") if word.strip()), None)
    if name is None or name.startswith("["):
        return None
    try:
        kpi = resolve(name)
    except Invalid:
        # Whoever reads the metrics says what is wrong with it.
        return None
    by_limit = careful and kpi.kind in (Kind.RATIO, Kind.RETURN)
    return [kpi.slug, "desc", {"by": "lower_limit"}] if by_limit else [kpi.slug, "desc"]


@router.get("/kpis/funnel", response_class=Response, responses=declared(FunnelOut, "The stages"))
async def get_kpi_funnel(
    campaign: CampaignId, asked: Annotated[RangeQuery, RequestQuery()], caller: ReadsKpis, parts: Parts
) -> Response:
    """Answer from impression to order: each stage, and the rate that leads to it with its interval."""
    body = body_of(asked, campaign, metrics=[{"key": key} for key in METRICS])
    asking = query_of(body, costs=True, evidence=None)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        notes = platform_notes(parts.connectors)
        answer = await query_kpis(connection, caller.workspace_id, asking, notes, parts.context.now())
    return _response(funnel_of(answer))


@router.get("/kpis/pulse", response_class=Response, responses=declared(PulseOut, "The last minutes"))
async def get_kpi_pulse(
    campaign: CampaignId, asked: Annotated[PulseQuery, RequestQuery()], caller: ReadsKpis, parts: Parts
) -> Response:
    """Answer for the last 5, 15 and 60 minutes against the stretches before: provisional, and never part of a day."""
    metrics = tuple(word.strip() for word in (asked.metrics or "").split(",") if word.strip())
    question = Question(metrics=metrics, costs=caller.principal.may(Scope.COSTS_READ))
    async with parts.db.snapshot(caller.workspace_id) as connection:
        found = await campaign_pulse(
            connection, caller.workspace_id, ids.read("campaign", campaign), question, parts.context.now()
        )
    return _response(found)


@router.get("/freshness", response_class=Response, responses=declared(FreshnessOut, "How fresh the numbers are"))
async def get_campaign_freshness(
    campaign: CampaignId, asked: Annotated[KnownQuery, RequestQuery()], caller: ReadsKpis, parts: Parts
) -> Response:
    """Tell how fresh a campaign's numbers are, by platform: last reading, lag, and what may still be restated."""
    question = Question(metrics=("impressions",), preset="lifetime", as_of=asked.as_of)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        campaign_id = ids.read("campaign", campaign)
        found = await campaign_freshness(
            connection, caller.workspace_id, campaign_id, question, _habits(parts), parts.context.now()
        )
    return _response(found)


def _habits(parts: Services) -> dict[str, Habits]:
    return {
        connector.platform: Habits(lag=connector.capabilities.lag, settle=connector.capabilities.settle)
        for connector in parts.connectors.values()
        if connector.platform
    }


@router.get("/integrity", response_class=Response, responses=declared(IntegrityOut, "The checks"))
async def get_campaign_integrity(
    campaign: CampaignId, asked: Annotated[RangeQuery, RequestQuery()], caller: ReadsKpis, parts: Parts
) -> Response:
    """Prove a campaign's sums: days, platforms, paid and organic add up, tallies are entries, sales are credits."""
    question = _with_range(asked, caller)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        found = await campaign_integrity(
            connection, caller.workspace_id, ids.read("campaign", campaign), question, parts.context.now()
        )
    return _response(found)


def _with_range(asked: RangeQuery, caller: Caller) -> Question:
    question = over_range(asked)
    if not caller.principal.may(Scope.COSTS_READ):
        question = msgspec.structs.replace(question, costs=False)
    return question


def _response(found: msgspec.Struct) -> Response:
    return Response(_encode(found), media_type="application/json")
