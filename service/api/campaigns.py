"""Campaigns: flights with dates, budget, goals and the rules that decide which subjects count in them.

Zone and currency never change: the tallies of a campaign are kept in them. Every other change is a new version, dated
by a posting; deleting is a version too, which archives.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from fastapi import Query as RequestQuery
from msgspec import structs
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import MICRO
from service import ids
from service.api.auth import Caller, ReadsRegistry, WritesRegistry
from service.api.campaign_rules import RuleInput, RuleOutput, read_rules, show_rule
from service.api.models import (
    UNSET,
    CampaignId,
    Currency,
    Day,
    Input,
    Instant,
    Money,
    Name,
    Output,
    Page,
    Paging,
    Slug,
    StrategyId,
    Word,
    Zone,
    after_id,
    page_of,
    referred,
)
from service.api.state import Parts, Services
from service.errors import Invalid, NotFound
from service.kpi import catalogue
from service.kpi.money import amount_text, millionths
from service.records import Campaign, CampaignKind, CampaignVersion, Goal
from service.registry import campaigns, strategies, workspaces
from service.registry.campaigns import CampaignFilter

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

Share = Annotated[str, Field(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$", examples=["0.35"])]
WindowDays = Annotated[int, Field(ge=0, le=90)]
Target = Annotated[str, Field(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$", examples=["0.025"])]


class GoalInput(Input):
    """A target for one KPI over the flight."""

    metric: Slug
    target: Target


class CampaignInput(Input):
    """A new campaign. Zone and currency default to the workspace's and stay; dates are inclusive local days."""

    name: Name
    kind: Word[CampaignKind] = Field(description="`broad`: judged on reach; `micro`: judged on clicks and conversions")
    starts: Day
    ends: Day
    strategy: StrategyId | None = None
    zone: Zone | None = None
    currency: Currency | None = None
    budget: Money | None = None
    margin: Share | None = Field(None, description="share of a conversion's value that is left after costs of goods")
    click_days: WindowDays | None = Field(None, description="days in which a click may lead to a conversion; else 7")
    view_days: WindowDays | None = Field(None, description="days in which a view may; else 1")
    goals: list[GoalInput] = Field(default_factory=list, max_length=50)
    tactics: list[Name] = Field(default_factory=list, max_length=50)
    rules: list[RuleInput] = Field(default_factory=list, max_length=100)


class CampaignChange(Input):
    """What changes; what is left out stays. Lists replace lists. `archived: false` brings a campaign back."""

    name: Name = UNSET
    kind: Word[CampaignKind] = UNSET
    starts: Day = UNSET
    ends: Day = UNSET
    budget: Money | None = None
    margin: Share | None = None
    click_days: WindowDays | None = None
    view_days: WindowDays | None = None
    goals: list[GoalInput] = Field(default_factory=list, max_length=50)
    tactics: list[Name] = Field(default_factory=list, max_length=50)
    rules: list[RuleInput] = Field(default_factory=list, max_length=100)
    archived: bool = UNSET


class GoalOutput(Output):
    """A target for one KPI over the flight."""

    metric: str
    target: str


class CampaignOutput(Output):
    """A campaign in its newest version."""

    id: CampaignId
    strategy: StrategyId | None
    version: int
    name: str
    kind: CampaignKind
    starts: Day
    ends: Day
    zone: str
    currency: str
    budget: str | None
    margin: str | None
    click_days: int | None
    view_days: int | None
    goals: list[GoalOutput]
    tactics: list[str]
    rules: list[RuleOutput]
    archived: bool
    created_at: Instant


class CampaignPage(Page[CampaignOutput]):
    """Campaigns in the order of their ids."""


class CampaignQuery(Paging):
    """Which campaigns: every stated condition holds."""

    strategy: str | None = Field(None, max_length=100)
    kind: CampaignKind | None = None
    archived: Literal["no", "only", "any"] = "no"


@router.post("", status_code=201)
async def create_campaign(body: CampaignInput, caller: WritesRegistry, parts: Parts) -> CampaignOutput:
    """Create a campaign; subjects that its rules find count in it from now on."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        home = await workspaces.get(connection, caller.workspace_id)
        version = campaigns.check(await _version(connection, caller, body))
        campaign_id = await campaigns.create(
            connection,
            caller.workspace_id,
            name=body.name,
            zone=body.zone or home.zone,
            currency=body.currency or home.currency,
            strategy_id=await _strategy(connection, caller, body.strategy),
            context=parts.context,
        )
        made = await _record(parts, connection, caller, campaign_id, version)
    await parts.finish_moves(caller.workspace_id)
    return made


@router.get("")
async def list_campaigns(
    caller: ReadsRegistry, parts: Parts, query: Annotated[CampaignQuery, RequestQuery()]
) -> CampaignPage:
    """List campaigns, those that are not archived unless asked otherwise."""
    after = after_id("campaign", query)
    strategy_id = referred("strategy", query.strategy, "?strategy") if query.strategy is not None else None
    archived = None if query.archived == "any" else query.archived == "only"
    wanted = CampaignFilter(strategy_id=strategy_id, kind=query.kind, archived=archived)
    async with parts.db.workspace(caller.workspace_id) as connection:
        rows = await campaigns.listing(connection, caller.workspace_id, query.limit + 1, after, wanted)
    shown, page = page_of(rows, query.limit, "campaign", lambda row: row.campaign_id)
    return CampaignPage(data=[_output(row) for row in shown], page=page)


@router.get("/{campaign}")
async def get_campaign(campaign: str, caller: ReadsRegistry, parts: Parts) -> CampaignOutput:
    """Return a campaign in its newest version."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        return _output(await campaigns.get(connection, caller.workspace_id, ids.read("campaign", campaign)))


@router.patch("/{campaign}")
async def update_campaign(campaign: str, body: CampaignChange, caller: WritesRegistry, parts: Parts) -> CampaignOutput:
    """Record a new version of a campaign; subjects join and leave by its rules at once."""
    campaign_id = ids.read("campaign", campaign)
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        found = await campaigns.get(connection, caller.workspace_id, campaign_id)
        changes = await _changes(connection, caller, body)
        version = campaigns.check(structs.replace(found.current, **changes))
        if version == found.current:
            return _output(found)
        changed = await _record(parts, connection, caller, campaign_id, version)
    await parts.finish_moves(caller.workspace_id)
    return changed


@router.delete("/{campaign}")
async def archive_campaign(campaign: str, caller: WritesRegistry, parts: Parts) -> CampaignOutput:
    """Archive a campaign: it leaves the lists and keeps its numbers; again changes nothing."""
    campaign_id = ids.read("campaign", campaign)
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        found = await campaigns.get(connection, caller.workspace_id, campaign_id)
        if found.current.archived:
            return _output(found)
        version = structs.replace(found.current, archived=True)
        changed = await _record(parts, connection, caller, campaign_id, version)
    await parts.finish_moves(caller.workspace_id)
    return changed


async def _record(
    parts: Services, connection: AsyncConnection, caller: Caller, campaign_id: UUID, version: CampaignVersion
) -> CampaignOutput:
    await parts.record_version(connection, caller.workspace_id, campaign_id, version, parts.context)
    return _output(await campaigns.get(connection, caller.workspace_id, campaign_id))


async def _strategy(connection: AsyncConnection, caller: Caller, text: str | None) -> UUID | None:
    if text is None:
        return None
    strategy_id = referred("strategy", text, "/strategy")
    try:
        return (await strategies.get(connection, caller.workspace_id, strategy_id)).strategy_id
    except NotFound as error:
        raise Invalid(str(error), pointer="/strategy", code="unknown_id") from None


async def _version(connection: AsyncConnection, caller: Caller, body: CampaignInput) -> CampaignVersion:
    return CampaignVersion(
        name=body.name,
        kind=body.kind,
        starts=body.starts,
        ends=body.ends,
        budget=_millionths(body.budget),
        margin=_millionths(body.margin),
        click_days=body.click_days,
        view_days=body.view_days,
        goals=_goals(body.goals),
        tactics=tuple(body.tactics),
        rules=await read_rules(connection, caller.workspace_id, body.rules),
    )


async def _changes(connection: AsyncConnection, caller: Caller, body: CampaignChange) -> dict[str, Any]:
    changes = body.changes()
    for name in changes.keys() & {"budget", "margin"}:
        changes[name] = _millionths(changes[name])
    if "goals" in changes:
        changes["goals"] = _goals(body.goals)
    if "tactics" in changes:
        changes["tactics"] = tuple(body.tactics)
    if "rules" in changes:
        changes["rules"] = await read_rules(connection, caller.workspace_id, body.rules)
    return changes


def _millionths(text: str | None) -> int | None:
    return None if text is None else millionths(text)


def _share(margin: int) -> str:
    return format((Decimal(margin) / MICRO).normalize(), "f")


def _goals(goals: Sequence[GoalInput]) -> tuple[Goal, ...]:
    return tuple(Goal(metric=_kpi(goal.metric, number), target=goal.target) for number, goal in enumerate(goals))


def _kpi(name: str, number: int) -> str:
    try:
        return catalogue.resolve(name).slug
    except catalogue.UnknownKpi as error:
        error.pointer = f"/goals/{number}/metric"
        raise


def _output(campaign: Campaign) -> CampaignOutput:
    now = campaign.current
    return CampaignOutput(
        id=ids.show("campaign", campaign.campaign_id),
        strategy=ids.show("strategy", campaign.strategy_id) if campaign.strategy_id is not None else None,
        version=campaign.version,
        name=now.name,
        kind=now.kind,
        starts=now.starts,
        ends=now.ends,
        zone=campaign.zone,
        currency=campaign.currency,
        budget=amount_text(now.budget, campaign.currency) if now.budget is not None else None,
        margin=_share(now.margin) if now.margin is not None else None,
        click_days=now.click_days,
        view_days=now.view_days,
        goals=[GoalOutput(metric=goal.metric, target=goal.target) for goal in now.goals],
        tactics=list(now.tactics),
        rules=[show_rule(rule) for rule in now.rules],
        archived=now.archived,
        created_at=campaign.created_at,
    )
