"""A campaign under the models of attribution that a reader chooses."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service.api import kpi_answers
from service.api.auth import ReadsKpis
from service.api.campaign_reports import declared, told
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId
from service.api.state import Parts
from service.errors import Invalid
from service.kpi.attribution import HALF_LIFE_DAYS
from service.kpi.models import NAMED
from service.reports.attribution import Model, ModelsOut, campaign_attribution, check

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])

_MOST_WEIGHTS = 20


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    return kpi_answers.schemas(ModelsOut)


class AttributionQuery(RangeQuery):
    """Which models, under which windows."""

    models: str | None = Field(
        None,
        max_length=200,
        description="comma-separated: `first`, `last`, `last_click_then_view` (that of the books), `linear`, "
        "`position`, `time_decay`, `custom`; default: all but the last",
    )
    click_days: float | None = Field(None, ge=0, le=90, description="window of clicks; default: as booked")
    view_days: float | None = Field(None, ge=0, le=90, description="window of views; default: as booked")
    half_life_days: float = Field(HALF_LIFE_DAYS, gt=0, le=90, description="of `time_decay`")
    weights: str | None = Field(
        None, max_length=400, description="of `custom`, comma-separated, from the last touch back", examples=["3,2,1"]
    )


@router.get("/{campaign}/attribution", response_class=Response, responses=declared(ModelsOut, "Under each model"))
async def get_campaign_attribution(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[AttributionQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Divide conversions anew by other models: exact, with what leads nowhere beside it. Nothing is booked."""
    names = tuple(dict.fromkeys(word.strip() for word in (asked.models or "").split(",") if word.strip()))
    model = check(
        Model(
            models=names or tuple(NAMED),
            click_days=asked.click_days,
            view_days=asked.view_days,
            half_life_days=asked.half_life_days,
            weights=_weights(asked.weights),
        )
    )
    return await told(request, campaign_attribution, campaign, over_range(asked), caller, parts, model=model)


def _weights(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or len(found) > _MOST_WEIGHTS or not all(0 <= weight <= 1e6 for weight in found):  # noqa: PLR2004
        text = f"1 to {_MOST_WEIGHTS} numbers that are not negative"
        raise Invalid(text, pointer="?weights", code="bad_weights")
    return found
