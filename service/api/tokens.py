"""Read tokens for browsers, made with a key that stays on a server."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from pydantic import Field

from service.access import tokens
from service.access.keys import Scope
from service.access.tokens import LONGEST, MOST_CAMPAIGNS, READS
from service.api.auth import ReadsKpis
from service.api.models import CampaignId, Input, Instant, Output, Word, referred
from service.api.state import Parts
from service.errors import Invalid, NotFound
from service.registry import campaigns, workspaces

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


class TokenInput(Input):
    """What a token is for."""

    campaigns: list[CampaignId] = Field(min_length=1, max_length=MOST_CAMPAIGNS)
    scopes: list[Word[Scope]] = Field(
        default_factory=lambda: [Scope.KPIS_READ],
        min_length=1,
        max_length=len(READS),
        description="of `kpis:read`, `provenance:read` and `costs:read` those that the key has",
    )
    seconds: int = Field(
        int(LONGEST.total_seconds()), ge=10, le=int(LONGEST.total_seconds()), description="how long it lasts"
    )


class TokenOutput(Output):
    """A token: `Authorization: Bearer` of requests about its campaigns."""

    token: str
    campaigns: list[CampaignId]
    scopes: list[Scope]
    expires_at: Instant


@router.post("", status_code=201)
async def create_token(body: TokenInput, caller: ReadsKpis, parts: Parts) -> TokenOutput:
    """Make a short-lived token that reads the answers about some campaigns, and nothing else."""
    home, named = caller.workspace_id, dict.fromkeys(body.campaigns)
    wanted = {referred("campaign", text, f"/campaigns/{place}"): place for place, text in enumerate(named)}
    async with parts.db.workspace(home) as connection:
        for campaign_id, place in wanted.items():
            try:
                await campaigns.get(connection, home, campaign_id)
            except NotFound:
                raise Invalid("no such campaign", pointer=f"/campaigns/{place}", code="unknown_id") from None
        vault = await workspaces.open_vault(connection, home, parts.vault)
    lasting = timedelta(seconds=body.seconds)
    made = tokens.make(vault, caller.principal, wanted, body.scopes, lasting, parts.context.now())
    return TokenOutput(
        token=made.token, campaigns=list(named), scopes=sorted(set(body.scopes)), expires_at=made.expires_at
    )
