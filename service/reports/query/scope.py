"""What a query is about: its campaigns as they stood at one posting, put together as one, with distinct subjects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.errors import Invalid
from service.ledger.history.campaigns import Campaign, campaign_at, campaigns_at, campaigns_of_strategy
from service.ledger.history.members import Member, Members
from service.records import CampaignKind
from service.reports.query.asked import Scope


class Scoped(msgspec.Struct, frozen=True, kw_only=True):
    """The campaigns of a query. ``whole`` stands for all of them: their subjects once each, their flights as one.

    ``counts_in`` is the campaigns by subject.
    """

    campaigns: tuple[Campaign, ...]
    whole: Campaign
    counts_in: Mapping[UUID, tuple[Campaign, ...]]

    @property
    def zones(self) -> frozenset[str]:
        """Return the zones that the campaigns' days are kept in."""
        return frozenset(campaign.zone for campaign in self.campaigns)

    @property
    def ids(self) -> tuple[UUID, ...]:
        """Return the ids of the campaigns."""
        return tuple(campaign.campaign_id for campaign in self.campaigns)

    @property
    def is_one(self) -> bool:
        """Tell whether it is one campaign."""
        return len(self.campaigns) == 1


async def scoped(
    raw: asyncpg.Connection[Any], workspace_id: UUID, scope: Scope, as_of: datetime | None, now: datetime
) -> Scoped:
    """Return the campaigns of a query. Raises what ``campaign_at`` does, and Invalid for a strategy without any."""
    ids: Sequence[UUID] = scope.campaigns
    if scope.strategy is not None:
        ids = await campaigns_of_strategy(raw, workspace_id, scope.strategy)
    if not ids:
        raise Invalid("no campaign belongs to this strategy", pointer="?scope/strategy", code="no_campaigns")
    if len(set(ids)) == 1 and scope.strategy is None:
        return one(await campaign_at(raw, workspace_id, ids[0], as_of, now))
    found = await campaigns_at(raw, workspace_id, ids, as_of, now)
    if not found:
        raise Invalid("none of the campaigns was there then", pointer="?as_of", code="no_campaigns")
    return together(found)


def one(campaign: Campaign) -> Scoped:
    """Return a single campaign as a scope."""
    counts_in = dict.fromkeys(campaign.members.subject_ids, (campaign,))
    return Scoped(campaigns=(campaign,), whole=campaign, counts_in=counts_in)


def together(campaigns: Sequence[Campaign]) -> Scoped:
    """Return several campaigns as one: distinct subjects, from the first day to the last."""
    if len(campaigns) == 1:
        return one(campaigns[0])
    counts_in: dict[UUID, list[Campaign]] = defaultdict(list)
    members: dict[UUID, Member] = {}
    for campaign in campaigns:
        for member in campaign.members:
            counts_in[member.subject_id].append(campaign)
            members.setdefault(member.subject_id, member)
    margins = {campaign.version.margin for campaign in campaigns}
    version = msgspec.structs.replace(
        campaigns[0].version,
        name="",
        kind=CampaignKind.BROAD,
        starts=min(campaign.version.starts for campaign in campaigns),
        ends=max(campaign.version.ends for campaign in campaigns),
        budget=None,
        margin=margins.pop() if len(margins) == 1 else None,
    )
    ordered = sorted(members.values(), key=lambda member: (member.platform, member.external_id))
    whole = msgspec.structs.replace(campaigns[0], version=version, members=Members(ordered))
    return Scoped(
        campaigns=tuple(campaigns),
        whole=whole,
        counts_in={subject_id: tuple(found) for subject_id, found in counts_in.items()},
    )
