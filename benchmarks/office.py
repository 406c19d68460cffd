"""What is set up before anything is measured: a workspace with sources and campaigns, by the service's own means."""

from __future__ import annotations

from uuid import UUID

import msgspec

from benchmarks import pages
from benchmarks.plan import CAMPAIGNS, SOURCES
from connectors import standard_webhooks
from service import ids
from service.access import keys
from service.api.campaigns import CampaignInput, create_campaign
from service.api.sources import SourceInput, create_source
from service.api.state import Services
from service.commands.running import caller
from service.registry import workspaces

CONNECTORS = {"synthetic": pages.CONNECTOR, "standard_webhooks": standard_webhooks.CONNECTOR}
HASHTAGS = tuple(f"campaign{n}" for n in range(CAMPAIGNS))


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook address and the key that its sender signs with."""

    path: str
    secret: str


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: ids, the addresses of pushing sources, and a key of the API."""

    workspace_id: UUID
    sources: tuple[UUID, ...]
    campaigns: tuple[UUID, ...]
    hooks: tuple[Hook, ...] = ()
    key: str = ""


async def opened(
    parts: Services,
    *,
    pushed: bool = False,
    hashtags: tuple[str, ...] = HASHTAGS,
    platforms: tuple[str, ...] = ("shop",),
) -> Office:
    """Make a workspace with eight sources, pulled or pushed, and one campaign for each hashtag.

    ``platforms`` are dealt out among sources that push.
    """
    home = workspaces.new("Measured", "UTC", "EUR", parts.context)
    async with parts.db.workspace(home.workspace_id) as connection:
        await workspaces.create(connection, home, parts.vault)
        key = await keys.create(connection, home.workspace_id, "measuring", [keys.Scope.ADMIN], parts.context)
    who = caller(home.workspace_id)
    sources = [
        await create_source(
            SourceInput.model_validate(
                {"name": f"source {n}", "account": pages.account(n)}
                | (
                    {"connector": "standard_webhooks", "platform": platforms[n % len(platforms)]}
                    if pushed
                    else {"connector": "synthetic", "credentials": {"access_token": "none"}}
                )
            ),
            who,
            parts,
        )
        for n in range(SOURCES)
    ]
    campaigns = [
        await create_campaign(
            CampaignInput.model_validate(
                {
                    "name": tag,
                    "kind": "micro",
                    "starts": "2026-01-01",
                    "ends": "2027-12-31",
                    "rules": [{"hashtag": tag}],
                }
            ),
            who,
            parts,
        )
        for tag in hashtags
    ]
    return Office(
        workspace_id=home.workspace_id,
        sources=tuple(ids.read("source", source.id) for source in sources),
        campaigns=tuple(ids.read("campaign", campaign.id) for campaign in campaigns),
        hooks=tuple(Hook(path=source.webhook_path or "", secret=source.secret or "") for source in sources),
        key=key.token,
    )
