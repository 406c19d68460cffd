"""Campaigns against each other: one against one by address, several against one by body. The report gives the words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as RequestQuery
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.access.keys import Scope
from service.api import answers, kpi_answers
from service.api.answers import Asking
from service.api.auth import Caller, ReadsKpis
from service.api.campaign_reports import declared as tagged
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.models import CampaignId, Input, Instant, Slug, Word, Zone, referred
from service.api.state import Parts, Services
from service.errors import Invalid, NotFound
from service.kpi.catalogue import resolve
from service.kpi.versus import Margin
from service.kpi.views import Look
from service.reports.question import Question
from service.reports.versus import Versus
from service.reports.versus_answer import VersusOut
from service.reports.versus_terms import Align
from service.reports.versus_words import campaigns_versus

router = APIRouter(prefix="/v1", tags=["kpis"])

_PEEKING = "limits that hold however often one looks; false: for one look that was planned beforehand"
_TUNING = "trials (or events, or amounts) of both at which such limits are tightest; must be fixed before looking"
_STRATA = "`platform`: compared platform by platform; `none`: pooled"
_ALIGN = "`auto`: like parts of both flights while one is running; `full`: each as far as it has come"
_PLACES = {"?range": "/range/preset", "?from": "/range/from", "?to": "/range/to"}

Level = Annotated[float, Field(ge=0.5, le=0.999)]
Strata = Literal["platform", "none"]
Tuning = Annotated[int, Field(ge=1, le=10**9)]


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the answer, by name, for the OpenAPI document."""
    return kpi_answers.schemas(VersusOut)


class MarginInput(Input):
    """What would not matter: a difference in the unit of the KPI, or a fraction of the other campaign's value."""

    absolute: Annotated[float, Field(gt=0, le=1e9)] | None = None
    relative: Annotated[float, Field(gt=0, le=10)] | None = None


_margins: TypeAdapter[dict[str, MarginInput]] = TypeAdapter(dict[str, MarginInput])


class VersusQuery(RangeQuery):
    """One campaign against another."""

    metrics: str | None = Field(
        None, max_length=1000, description="ratios, comma-separated; without it what the first is judged by"
    )
    level: Level = Field(0.95, description="confidence level")
    peeking: bool = Field(default=True, description=_PEEKING)
    tuning_n: Tuning | None = Field(None, description=_TUNING)
    strata: Strata = Field("platform", description=_STRATA)
    align: Align = Field(Align.AUTO, description=_ALIGN)
    margins: str | None = Field(
        None,
        max_length=2000,
        description="JSON by KPI: what would not matter",
        examples=['{"ctr":{"absolute":0.005}}'],
    )


class RangeInput(Input):
    """A preset, or both ends: local days (inclusive) or instants (half-open)."""

    preset: Annotated[str, Field(max_length=40)] | None = None
    from_: Annotated[str, Field(max_length=40)] | None = Field(None, alias="from")
    to: Annotated[str, Field(max_length=40)] | None = None


class VersusOptionsInput(Input):
    """How to look."""

    level: Level = 0.95
    peeking: bool = Field(default=True, description=_PEEKING)
    tuning_n: Tuning | None = Field(None, description=_TUNING)
    strata: Strata = Field("platform", description=_STRATA)
    align: Word[Align] = Field(Align.AUTO, description=_ALIGN)
    false_discovery_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    margins: dict[Slug, MarginInput] = Field(default_factory=dict, max_length=20)


class ComparisonInput(Input):
    """Campaigns, each against `base`. What is asked at once shares one false-discovery rate."""

    campaigns: list[CampaignId] = Field(min_length=1, max_length=20)
    base: CampaignId
    metrics: list[Slug] = Field(default_factory=list, max_length=20)
    range: RangeInput | None = None
    timezone: Zone | None = None
    as_of: Instant | None = None
    options: VersusOptionsInput = Field(default_factory=VersusOptionsInput)


@router.get("/campaigns/{campaign}/versus/{other}", response_class=Response, responses=tagged(VersusOut, "Verdicts"))
async def get_campaign_versus(
    request: Request,
    campaign: CampaignId,
    other: CampaignId,
    asked: Annotated[VersusQuery, RequestQuery()],
    caller: ReadsKpis,
    parts: Parts,
) -> Response:
    """Say whether a campaign is better than another: better, worse, equivalent, undecided, not comparable, and why."""
    words = tuple(word.strip() for word in (asked.metrics or "").split(",") if word.strip())
    versus = Versus(
        question=msgspec.structs.replace(over_range(asked), metrics=words),
        look=Look(level=asked.level, peeking=asked.peeking, tuning=asked.tuning_n),
        margins=_read_margins(asked.margins),
        by_platform=asked.strata == "platform",
        align=asked.align,
        false_discovery_rate=round(1 - asked.level, 9),
    )
    try:
        return await _told(request, [ids.read("campaign", campaign)], other, versus, caller, parts)
    except Invalid as error:
        if error.code == "no_such_campaign":
            raise NotFound(str(error)) from None
        if error.code == "same_campaign":
            raise _moved(error, "path:other") from None
        raise


@router.post("/comparisons", response_class=Response, responses=tagged(VersusOut, "Verdicts"))
async def compare_campaigns(request: Request, body: ComparisonInput, caller: ReadsKpis, parts: Parts) -> Response:
    """Compare campaigns with one other: false discoveries are controlled over all campaigns and KPIs asked.

    Asking changes nothing; sent again with the `ETag` of its answer as `If-None-Match`, 304 says that it still stands.
    """
    options = body.options
    given = [referred("campaign", one, f"/campaigns/{at}") for at, one in enumerate(dict.fromkeys(body.campaigns))]
    try:
        versus = Versus(
            question=_question(body),
            look=Look(level=options.level, peeking=options.peeking, tuning=options.tuning_n),
            margins=_checked({key: _margin(one) for key, one in options.margins.items()}, "/options/margins"),
            by_platform=options.strata == "platform",
            align=options.align,
            false_discovery_rate=options.false_discovery_rate,
        )
        return await _told(request, given, body.base, versus, caller, parts)
    except Invalid as error:
        pointer = _PLACES.get(error.pointer, error.pointer.replace("?margins", "/options/margins").replace("?", "/", 1))
        raise _moved(error, pointer) from None


def _moved(error: Invalid, pointer: str) -> Invalid:
    return Invalid(str(error), pointer=pointer, code=error.code, allowed=error.allowed, nearest=error.nearest)


def _question(body: ComparisonInput) -> Question:
    span = body.range or RangeInput()
    asked = RangeQuery.model_validate(
        {
            "range": span.preset,
            "from": span.from_,
            "to": span.to,
            "timezone": body.timezone,
            "as_of": body.as_of,
        }
    )
    return msgspec.structs.replace(over_range(asked), metrics=tuple(body.metrics))


async def _told(
    request: Request, campaigns: Sequence[UUID], base: str, versus: Versus, caller: Caller, parts: Services
) -> Response:
    """Answer with a tag: any posting of the workspace may change what is said of several campaigns."""
    home, other = caller.workspace_id, ids.read("campaign", base)
    question = msgspec.structs.replace(versus.question, costs=caller.principal.may(Scope.COSTS_READ))

    async def report(connection: AsyncConnection, question: Question, now: datetime) -> VersusOut:
        asked = msgspec.structs.replace(versus, question=question)
        return await campaigns_versus(connection, home, campaigns, other, asked, now)

    asking = Asking(question=question, words=("versus", campaigns, other, versus), form="json")
    return await answers.answered(request, caller, parts, asking, report)


def _read_margins(text: str | None) -> dict[str, Margin]:
    """Return margins out of a query string. Raises :class:`Invalid`."""
    if text is None:
        return {}
    try:
        given = _margins.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"/{step}" for step in first["loc"])
        raise Invalid(
            'margins are JSON, as {"ctr":{"absolute":0.005}}', pointer=f"?margins{place}", code="malformed"
        ) from None
    return _checked({key: _margin(one) for key, one in given.items()}, "?margins")


def _margin(given: MarginInput) -> Margin:
    return Margin(absolute=given.absolute, relative=given.relative)


def _checked(given: Mapping[str, Margin], pointer: str) -> dict[str, Margin]:
    """Return margins by slug. Raises :class:`Invalid` for what is no KPI, and for a margin that is both or neither."""
    found = {}
    for key, margin in given.items():
        try:
            slug = resolve(key).slug
        except Invalid as error:
            raise _moved(error, f"{pointer}/{key}") from None
        if (margin.absolute is None) is (margin.relative is None):
            raise Invalid(
                "a margin is absolute or relative",
                pointer=f"{pointer}/{key}",
                code="bad_margin",
                allowed=("absolute", "relative"),
            )
        found[slug] = margin
    return found
