"""Campaigns: what never changes of them, and reads joined with the newest version.

A version is written by the ledger alone, since it moves memberships and tallies with it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.db.tables import campaign_versions, campaigns
from service.errors import Invalid, NotFound
from service.records import Campaign, CampaignKind, CampaignVersion, Goal, Rule
from service.registry import checks


class CampaignFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of campaigns is narrowed to; None is no condition."""

    strategy_id: UUID | None = None
    kind: CampaignKind | None = None
    archived: bool | None = None


async def create(
    connection: AsyncConnection,
    workspace_id: UUID,
    *,
    name: str,
    zone: str,
    currency: str,
    strategy_id: UUID | None,
    context: Context,
) -> UUID:
    """Insert the identity of a campaign and return its id; its first version follows in the same transaction.

    Raises :class:`Invalid` for an unknown zone or currency. The strategy must exist.
    """
    campaign_id = context.new_id()
    values = {
        "workspace_id": workspace_id,
        "campaign_id": campaign_id,
        "strategy_id": strategy_id,
        "name": name,
        "zone": checks.zone(zone, "/zone"),
        "currency": checks.currency(currency, "/currency"),
        "created_at": context.now(),
    }
    await connection.execute(campaigns.insert().values(values))
    return campaign_id


def check(version: CampaignVersion) -> CampaignVersion:
    """Return a version that makes sense. Raises :class:`Invalid` naming what does not."""
    if version.ends < version.starts:
        raise Invalid("a campaign ends on or after the day it starts", pointer="/ends", code="ends_before_start")
    for number, rule in enumerate(version.rules):
        if rule == Rule():
            raise Invalid("a rule states at least one condition", pointer=f"/rules/{number}", code="empty_rule")
    seen: set[str] = set()
    for number, goal in enumerate(version.goals):
        if goal.metric in seen:
            pointer = f"/goals/{number}/metric"
            raise Invalid("a campaign has one goal per metric", pointer=pointer, code="duplicate")
        seen.add(goal.metric)
    return version


async def get(connection: AsyncConnection, workspace_id: UUID, campaign_id: UUID) -> Campaign:
    """Return a campaign with its newest version. Raises :class:`NotFound`."""
    row = (await connection.execute(_newest(workspace_id).where(campaigns.c.campaign_id == campaign_id))).one_or_none()
    if row is None:
        raise NotFound("no such campaign")
    return _read(row)


async def listing(
    connection: AsyncConnection,
    workspace_id: UUID,
    limit: int,
    after: UUID | None = None,
    wanted: CampaignFilter | None = None,
) -> list[Campaign]:
    """Return campaigns with their newest versions in the order of their ids."""
    query = _newest(workspace_id)
    if after is not None:
        query = query.where(campaigns.c.campaign_id > after)
    query = _narrowed(query, wanted or CampaignFilter())
    return [_read(row) for row in await connection.execute(query.order_by(campaigns.c.campaign_id).limit(limit))]


async def naming_creator(connection: AsyncConnection, workspace_id: UUID, creator_id: UUID) -> list[UUID]:
    """Return the campaigns whose newest rules name a creator."""
    named = sa.cast([{"creator": str(creator_id)}], JSONB)
    query = _newest(workspace_id).where(campaign_versions.c.rules.contains(named))
    return sorted(row.campaign_id for row in await connection.execute(query))


def _newest(workspace_id: UUID) -> sa.Select[Any]:
    older = campaign_versions.alias("older")
    newest = (
        sa.select(sa.func.max(older.c.version))
        .where(older.c.workspace_id == workspace_id, older.c.campaign_id == campaigns.c.campaign_id)
        .scalar_subquery()
    )
    version = campaign_versions
    joined = campaigns.join(
        version,
        sa.and_(
            version.c.workspace_id == campaigns.c.workspace_id,
            version.c.campaign_id == campaigns.c.campaign_id,
            version.c.version == newest,
        ),
    )
    identity = (campaigns.c.strategy_id, campaigns.c.zone, campaigns.c.currency, campaigns.c.created_at)
    return sa.select(version, *identity).select_from(joined).where(campaigns.c.workspace_id == workspace_id)


def _narrowed(query: sa.Select[Any], wanted: CampaignFilter) -> sa.Select[Any]:
    if wanted.strategy_id is not None:
        query = query.where(campaigns.c.strategy_id == wanted.strategy_id)
    if wanted.kind is not None:
        query = query.where(campaign_versions.c.kind == wanted.kind.value)
    if wanted.archived is not None:
        query = query.where(campaign_versions.c.archived == wanted.archived)
    return query


def _read(row: sa.Row[Any]) -> Campaign:
    current = CampaignVersion(
        name=row.name,
        kind=CampaignKind(row.kind),
        starts=row.starts,
        ends=row.ends,
        budget=row.budget,
        margin=row.margin,
        click_days=row.click_days,
        view_days=row.view_days,
        goals=msgspec.convert(row.goals, tuple[Goal, ...]),
        tactics=tuple(row.tactics),
        rules=msgspec.convert(row.rules, tuple[Rule, ...]),
        archived=row.archived,
    )
    return Campaign(
        campaign_id=row.campaign_id,
        strategy_id=row.strategy_id,
        zone=row.zone,
        currency=row.currency,
        created_at=row.created_at,
        version=row.version,
        current=current,
    )
