"""Sources: connected accounts, their webhook addresses and keys, their state and how far they are.

Credentials, signing keys and addresses go in or are made; what is shown of them is shown once, when they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api.auth import ReadsRegistry, WritesRegistry
from service.api.models import (
    UNSET,
    Input,
    Instant,
    Line,
    Name,
    Output,
    Page,
    Paged,
    Slug,
    SourceId,
    after_id,
    page_of,
)
from service.api.state import Parts, Services
from service.fetch.standing import findings
from service.records import SourceRow, SourceState
from service.registry import options, rings, sources, subscriptions, terms, workspaces
from service.registry.sources import Freshness, NewSource

router = APIRouter(prefix="/v1/sources", tags=["sources"])

# Line ends are allowed: private keys are written over several lines.
Credential = Annotated[str, Field(min_length=1, max_length=16_384, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
_MONTH = 30 * 86_400


class SourceInput(Input):
    """An account to connect. `GET /v1/capabilities` says what each connector asks for."""

    connector: Slug
    name: Name
    account: Line = Field("", description="the platform's id of the account; empty where there is none")
    platform: Slug | None = Field(None, description="needed where the connector speaks for no platform of its own")
    options: dict[str, Any] = Field(default_factory=dict)
    credentials: dict[str, Credential] = Field(default_factory=dict, max_length=20)
    tracks_from: Instant | None = Field(
        None, description="what was published from then on counts from zero; default: now"
    )


class SourceChange(Input):
    """What changes; what is left out stays. `options` replaces all of them; a credential is removed by null."""

    name: Name = UNSET
    options: dict[str, Any] = Field(default_factory=dict)
    credentials: dict[str, Credential | None] = Field(default_factory=dict, max_length=20)


class FreshnessOutput(Output):
    """How far a source is: newest posting of the last month, newest finished fetch, deliveries that wait."""

    posted_at: Instant | None
    fetched_at: Instant | None
    waiting: int


class SourceOutput(Output):
    """A connected account. `counts` is false while another source is of record for it: its numbers are checks."""

    id: SourceId
    connector: str
    platform: str
    account: str
    name: str
    options: dict[str, Any]
    state: SourceState
    state_detail: str
    counts: bool
    tracks_from: Instant
    has_credentials: bool
    has_secret: bool
    freshness: FreshnessOutput
    created_at: Instant
    updated_at: Instant


class BudgetOutput(Output):
    """A rate limit of the platform and the part of it that is used, from 0 to 1; null where nobody knows."""

    bucket: str
    used: float | None


class StandingOutput(Output):
    """How a source stands towards its platform, as far as it is known without asking.

    An end is null where there is none or none is known. `retry_at` is until when the platform is left alone because it
    did not answer. `says` is all of it in plain words.
    """

    token_expires_at: Instant | None
    token_estimated: bool = Field(description="nobody said when it ends: reckoned from the platform's usual lifetime")
    refresh_expires_at: Instant | None
    renews: bool = Field(description="the token is renewed without a person")
    scopes: list[str] = Field(description="permissions that the connector asks for")
    missing_credentials: list[str]
    subscribed_at: Instant | None
    subscription_ends_at: Instant | None
    budgets: list[BudgetOutput]
    retry_at: Instant | None
    says: list[str]


class SourceDetail(SourceOutput):
    """A connected account with how it stands."""

    standing: StandingOutput


class SourceCreated(SourceOutput):
    """A new source. Its webhook path and a key that was made for it are shown this once."""

    webhook_path: str | None = Field(description="null where the connector takes no webhooks")
    secret: str | None = Field(description="the signing key, where one was made")
    missing_credentials: list[str] = Field(description="what the connector asks for and was not given")


class SourcePage(Page[SourceOutput]):
    """Sources in the order of their ids."""


class SecretChange(Input):
    """A new signing key, made if none is given; older ones stay valid for the overlap."""

    secret: Credential | None = None
    overlap_seconds: int = Field(86_400, ge=0, le=_MONTH)


class SecretRotated(Output):
    """The key that was made, shown this once; null where it was given."""

    secret: str | None


class AddressRotated(Output):
    """The new webhook path, shown this once; the old one ended."""

    webhook_path: str


@router.post("", status_code=201)
async def create_source(body: SourceInput, caller: WritesRegistry, parts: Parts) -> SourceCreated:
    """Connect an account."""
    wanted = NewSource(
        connector=body.connector,
        name=body.name,
        account=body.account,
        platform=body.platform,
        options=body.options,
        credentials=body.credentials,
        tracks_from=body.tracks_from,
    )
    async with parts.db.workspace(caller.workspace_id) as connection:
        vault = await workspaces.open_vault(connection, caller.workspace_id, parts.vault)
        made = await sources.create(connection, caller.workspace_id, wanted, parts.connectors, vault, parts.context)
    takes_webhooks = parts.connectors[made.row.connector].capabilities.webhook
    return SourceCreated(
        **_fields(made.row, Freshness()),
        webhook_path=_path(made.address) if takes_webhooks else None,
        secret=made.secret,
        missing_credentials=list(made.missing),
    )


@router.get("")
async def list_sources(caller: ReadsRegistry, parts: Parts, paging: Paged) -> SourcePage:
    """List sources."""
    after = after_id("source", paging)
    async with parts.db.workspace(caller.workspace_id) as connection:
        rows = await sources.listing(connection, caller.workspace_id, paging.limit + 1, after)
        shown, page = page_of(rows, paging.limit, "source", lambda row: row.source_id)
        names = [row.source_id for row in shown]
        far = await sources.freshness(connection, caller.workspace_id, names, parts.context.now())
    return SourcePage(data=[SourceOutput(**_fields(row, far[row.source_id])) for row in shown], page=page)


@router.get("/{source}")
async def get_source(source: str, caller: ReadsRegistry, parts: Parts) -> SourceDetail:
    """Return a source: its state, how far it is and how it stands towards its platform, never its secrets."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        row = await sources.load(connection, caller.workspace_id, ids.read("source", source))
        far = await sources.freshness(connection, row.workspace_id, [row.source_id], parts.context.now())
    return SourceDetail(**_fields(row, far[row.source_id]), standing=await _standing(parts, row))


@router.post("/{source}/subscribe")
async def subscribe_source(source: str, caller: WritesRegistry, parts: Parts) -> SourceDetail:
    """Ask the platform of a source to push to its webhook address; a lease is renewed from then on."""
    await parts.subscriber.subscribe(caller.workspace_id, ids.read("source", source))
    return await get_source(source, caller, parts)


async def _standing(parts: Services, row: SourceRow) -> StandingOutput:
    found = await parts.standings.of(row)
    return StandingOutput(
        token_expires_at=found.token_expires_at,
        token_estimated=found.token_estimated,
        refresh_expires_at=found.refresh_expires_at,
        renews=found.renews,
        scopes=list(found.scopes),
        missing_credentials=list(found.missing_credentials),
        subscribed_at=found.subscribed_at,
        subscription_ends_at=found.subscription_ends_at,
        budgets=[BudgetOutput(bucket=one.bucket, used=one.used) for one in found.budgets],
        retry_at=found.retry_at,
        says=[finding.text for finding in findings(found, parts.context.now())],
    )


@router.patch("/{source}")
async def update_source(source: str, body: SourceChange, caller: WritesRegistry, parts: Parts) -> SourceOutput:
    """Change a source. New options hold for what arrives from now on; new credentials wake one that lost its own."""
    changes = body.changes()
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id)
        row = await sources.load(connection, caller.workspace_id, ids.read("source", source), lock=True)
        if "options" in changes:
            connector = options.connector_named(parts.connectors, row.connector)
            changes["options"] = options.plain(options.decode(connector, body.options))
        if "credentials" in changes:
            changes["credentials"] = await _sealed(parts, connection, row, body.credentials)
        changed = await sources.update(connection, row, parts.context, **changes)
        await _begin_terms(parts, connection, changed, body.credentials)
        if body.credentials and row.state is SourceState.NEEDS_REAUTH:
            changed = await sources.resume(connection, caller.workspace_id, row.source_id, parts.context)
        return await _output(parts, connection, changed)


@router.post("/{source}/rotate-secret")
async def rotate_source_secret(source: str, body: SecretChange, caller: WritesRegistry, parts: Parts) -> SecretRotated:
    """Put a new signing key first; senders may use the older ones until the overlap ends."""
    generated = rings.new_secret(parts.context) if body.secret is None else None
    async with parts.db.workspace(caller.workspace_id) as connection:
        row = await sources.load(connection, caller.workspace_id, ids.read("source", source), lock=True)
        vault = await workspaces.open_vault(connection, caller.workspace_id, parts.vault)
        value, overlap = body.secret or generated or "", timedelta(seconds=body.overlap_seconds)
        await sources.rotate_secret(connection, row, vault, value, overlap, parts.context)
    return SecretRotated(secret=generated)


@router.post("/{source}/rotate-address")
async def rotate_source_address(source: str, caller: WritesRegistry, parts: Parts) -> AddressRotated:
    """Give a source a new webhook address; the old one ends at once."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        row = await sources.load(connection, caller.workspace_id, ids.read("source", source), lock=True)
        vault = await workspaces.open_vault(connection, caller.workspace_id, parts.vault)
        address = await sources.rotate_address(connection, caller.workspace_id, row.source_id, parts.context, vault)
        await subscriptions.moved(connection, caller.workspace_id, row.source_id, parts.context.now())
    return AddressRotated(webhook_path=_path(address))


@router.post("/{source}/pause")
async def pause_source(source: str, caller: WritesRegistry, parts: Parts) -> SourceOutput:
    """Stop fetching a source; what is pushed is still kept."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        row = await sources.pause(connection, caller.workspace_id, ids.read("source", source), parts.context)
        return await _output(parts, connection, row)


@router.post("/{source}/resume")
async def resume_source(source: str, caller: WritesRegistry, parts: Parts) -> SourceOutput:
    """Fetch a source again."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        row = await sources.resume(connection, caller.workspace_id, ids.read("source", source), parts.context)
        return await _output(parts, connection, row)


async def _sealed(
    parts: Services, connection: AsyncConnection, row: SourceRow, given: Mapping[str, str | None]
) -> bytes | None:
    """Return the credentials of a source with the changes that were given, sealed."""
    connector = options.connector_named(parts.connectors, row.connector)
    options.refuse_ring(given)
    options.sort_credentials(connector, dict.fromkeys(given, ""))
    vault = await workspaces.open_vault(connection, row.workspace_id, parts.vault)
    merged: dict[str, str | None] = {**rings.unseal_credentials(vault, row.source_id, row.credentials), **given}
    kept = {name: value for name, value in merged.items() if value is not None}
    return rings.seal_credentials(vault, row.source_id, kept)


async def _begin_terms(parts: Services, connection: AsyncConnection, row: SourceRow, given: Iterable[str]) -> None:
    """Forget when the tokens of a source end where a person brought others."""
    names = frozenset(given)
    if not names:
        return
    connector = options.connector_named(parts.connectors, row.connector)
    auth = connector.auth_for(options.restored(connector, row.options))
    if auth.oauth2 is not None and names & {auth.token, auth.oauth2.key, *options.LOGIN}:
        await terms.forget(connection, row, auth.oauth2, parts.context.now())


async def _output(parts: Services, connection: AsyncConnection, row: SourceRow) -> SourceOutput:
    far = await sources.freshness(connection, row.workspace_id, [row.source_id], parts.context.now())
    return SourceOutput(**_fields(row, far[row.source_id]))


def _path(address: str) -> str:
    return f"/v1/webhooks/{address}"


def _fields(row: SourceRow, far: Freshness) -> dict[str, Any]:
    return {
        "id": ids.show("source", row.source_id),
        "connector": row.connector,
        "platform": row.platform,
        "account": row.account,
        "name": row.name,
        "options": dict(row.options),
        "state": row.state,
        "state_detail": row.state_detail,
        "counts": row.counts,
        "tracks_from": row.tracks_from,
        "has_credentials": row.credentials is not None,
        "has_secret": row.secrets is not None,
        "freshness": FreshnessOutput(posted_at=far.posted_at, fetched_at=far.fetched_at, waiting=far.waiting),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
