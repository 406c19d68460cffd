"""Falls of counters: what is withheld because a counter fell below a tenth, and saying what the fall was."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.access import keys
from service.access.keys import Scope
from service.api.auth import ReadsProvenance, WritesRegistry
from service.api.kpi_answers import declared, schemas
from service.api.models import CampaignId, Input, Instant, Output, Paging, Slug, SubjectId, Word
from service.api.state import Parts
from service.records import Verdict
from service.reports.falls import FallsOut, campaign_falls
from service.reports.question import COSTS

router = APIRouter(prefix="/v1", tags=["kpis"])


def components() -> dict[str, Any]:
    """Return the JSON Schemas of the list, by name, for the OpenAPI document."""
    return schemas(FallsOut)


class FallQuery(Paging):
    """Which falls of the campaign's subjects, newest first."""

    state: Literal["open", "any"] = Field("open", description="`open`: numbers are withheld until somebody settles it")


class VerdictInput(Input):
    """What a step of a counter is: `reset` (it began anew at zero), or `correction` (the fall stands as it is)."""

    metric: Slug = Field(examples=["comments"])
    at: Instant = Field(description="the reading that the counter fell to, as the list of falls names it")
    verdict: Word[Verdict]


class SettledOutput(Output):
    """A verdict in the books."""

    subject: SubjectId
    metric: str
    at: Instant
    old: int
    new: int
    verdict: Verdict
    posting: int


@router.get(
    "/campaigns/{campaign}/falls",
    response_class=Response,
    responses=declared(FallsOut, "The falls"),
)
async def list_campaign_falls(
    campaign: CampaignId, asked: Annotated[FallQuery, RequestQuery()], caller: ReadsProvenance, parts: Parts
) -> Response:
    """List counters of a campaign's subjects that fell below a tenth: what is withheld until somebody says why."""
    campaign_id = ids.read("campaign", campaign)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        found = await campaign_falls(
            connection,
            caller.workspace_id,
            campaign_id,
            parts.context.now(),
            settled=asked.state == "any",
            costs=caller.principal.may(Scope.COSTS_READ),
            after=asked.after,
            limit=asked.limit,
        )
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.post("/subjects/{subject}/falls")
async def settle_fall(subject: SubjectId, body: VerdictInput, caller: WritesRegistry, parts: Parts) -> SettledOutput:
    """Say what a fall was. Said again it changes nothing; said otherwise, the newest holds.

    A reset reads as growth from zero, a correction as the fall that it is. Answers as of before stay as they were.
    """
    subject_id = ids.read("subject", subject)
    if body.metric in COSTS:
        keys.require(caller.principal, Scope.COSTS_READ)
    actor = ids.show("key", caller.principal.key_id)
    async with parts.db.workspace(caller.workspace_id) as connection:
        said = await parts.settle_fall(
            connection, caller.workspace_id, subject_id, body.metric, body.at, body.verdict, actor, parts.context
        )
    return SettledOutput(
        subject=ids.show("subject", said.subject_id),
        metric=said.metric,
        at=said.at,
        old=said.old,
        new=said.new,
        verdict=said.verdict,
        posting=said.posting,
    )
