"""Subjects: what platforms report numbers about, with the newest facts about them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as RequestQuery
from pydantic import Field

from connectors.contract import SubjectType
from service import ids
from service.api.auth import ReadsRegistry
from service.api.models import Output, Page, Paging, Slug, SubjectId, after_id, page_of, referred
from service.api.state import Parts
from service.registry import subjects
from service.registry.subjects import SubjectFilter, SubjectRow

router = APIRouter(prefix="/v1/subjects", tags=["subjects"])


class FactOutput(Output):
    """The newest value of a fact and when it was observed."""

    value: Any
    observed_at: str


class SubjectOutput(Output):
    """A post, reel, story, video, ad, profile, tracked link or shop. `facts` holds what was said of it, by name."""

    id: SubjectId
    platform: str
    external_id: str
    type: str
    facts: dict[str, FactOutput]


class SubjectPage(Page[SubjectOutput]):
    """Subjects in the order of their ids."""


class SubjectQuery(Paging):
    """Which subjects: every stated condition holds."""

    campaign: str | None = Field(None, max_length=100, description="those that count in it now")
    platform: Slug | None = None
    type: SubjectType | None = None


@router.get("")
async def list_subjects(
    caller: ReadsRegistry, parts: Parts, query: Annotated[SubjectQuery, RequestQuery()]
) -> SubjectPage:
    """List subjects."""
    after = after_id("subject", query)
    campaign_id = referred("campaign", query.campaign, "?campaign") if query.campaign is not None else None
    kind = query.type.value if query.type is not None else None
    wanted = SubjectFilter(campaign_id=campaign_id, platform=query.platform, type=kind)
    async with parts.db.workspace(caller.workspace_id) as connection:
        rows = await subjects.listing(connection, caller.workspace_id, query.limit + 1, after, wanted)
    shown, page = page_of(rows, query.limit, "subject", lambda row: row.subject_id)
    return SubjectPage(data=[_output(row) for row in shown], page=page)


@router.get("/{subject}")
async def get_subject(subject: str, caller: ReadsRegistry, parts: Parts) -> SubjectOutput:
    """Return a subject with the newest facts about it."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        return _output(await subjects.get(connection, caller.workspace_id, ids.read("subject", subject)))


def _output(row: SubjectRow) -> SubjectOutput:
    return SubjectOutput(
        id=ids.show("subject", row.subject_id),
        platform=row.platform,
        external_id=row.external_id,
        type=row.type,
        facts={name: FactOutput(value=value, observed_at=at) for name, (at, value) in row.facts.items()},
    )
