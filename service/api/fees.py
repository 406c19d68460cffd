"""Fees: what creators and production cost, booked on the posts that bear them, exact to the minor unit.

A booking is a delivery in the item language, from a source that a workspace has for itself on each platform: kept as
sent, booked, restated and proven like all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter
from fastapi import Query as RequestQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api.auth import Caller, ReadsCosts, WritesDeliveries
from service.api.fee_parts import FeeInput, Reference, parts_of
from service.api.models import (
    Day,
    DeliveryId,
    Output,
    Query,
    SubjectId,
    referred,
)
from service.api.state import Parts, Services
from service.errors import Busy, Invalid, NotFound
from service.kpi.allocation import Part, named
from service.kpi.money import amount_text
from service.records import OWN_ACCOUNT, SourceRow
from service.registry import checks, creators, sources, workspaces
from service.registry.sources import OWN_CONNECTOR, NewSource
from service.reports.fees import Bearers, Bearing, Booked, bearers_of, fees, items_of

router = APIRouter(prefix="/v1/fees", tags=["creators"])


class PartOutput(Output):
    """What a post bears on a day."""

    subject: SubjectId
    platform: str
    external_id: str
    day: Day
    amount: str


class FeeOutput(Output):
    """A fee as it is booked, or stands. `deliveries` are those that say it, and are read soon."""

    reference: str
    metric: str
    amount: str
    currency: str
    allocation: str | None
    parts: list[PartOutput]
    taken_back: int
    deliveries: list[DeliveryId]


class FeeList(Output):
    """Fees as they stand."""

    data: list[FeeOutput]


class FeeQuery(Query):
    """Which fees."""

    reference: Reference | None = None


@router.post("", status_code=202)
async def book_fee(body: FeeInput, caller: WritesDeliveries, parts: Parts) -> FeeOutput:
    """Book a fee on posts: parts are whole minor units and add up to it. They count as soon as they are read."""
    async with parts.db.snapshot(caller.workspace_id) as connection:
        found = await _bearers(connection, caller, body, parts)
        own = await sources.all_own(connection, caller.workspace_id)
        await _refuse_waiting(connection, caller, own, parts)
        before = await fees(connection, caller.workspace_id, [one.source_id for one in own], body.reference)
    currency = body.currency or found.campaign.currency
    shares = parts_of(body, found, currency)
    cells = [cell for one in before for cell in one.cells]
    by_id = {member.subject_id.hex: member for member in found.members}
    said = [(by_id[part.id], part) for part in shares]
    zone = found.campaign.zone
    items = items_of(body.reference, body.metric, currency, zone, said, cells, parts.context.now())
    deliveries = [await _land(parts, caller, platform, of_it, body.reference) for platform, of_it in items.items()]
    return FeeOutput(
        reference=body.reference,
        metric=body.metric,
        amount=amount_text(sum(part.amount for part in shares), currency),
        currency=currency,
        allocation=named(body.allocation.rule),
        parts=[_part(member, part, currency) for member, part in said],
        taken_back=sum(one["type"] == "withdrawal" for of_it in items.values() for one in of_it),
        deliveries=[ids.show("delivery", delivery) for delivery in deliveries],
    )


@router.get("")
async def list_fees(caller: ReadsCosts, parts: Parts, query: Annotated[FeeQuery, RequestQuery()]) -> FeeList:
    """List fees as they stand in the books, with the posts that bear them."""
    async with parts.db.snapshot(caller.workspace_id) as connection:
        own = await sources.all_own(connection, caller.workspace_id)
        found = await fees(connection, caller.workspace_id, [one.source_id for one in own], query.reference)
    return FeeList(data=[_stands(one) for one in found])


async def _bearers(connection: AsyncConnection, caller: Caller, body: FeeInput, parts: Services) -> Bearers:
    """Return the posts that may bear a fee. Raises :class:`Invalid` where there is none."""
    if body.currency is not None:
        checks.currency(body.currency, "/currency")
    profiles = None
    try:
        if body.creator is not None:
            creator_id = referred("creator", body.creator, "/creator")
            profiles = (await creators.get(connection, caller.workspace_id, creator_id)).profiles
    except NotFound as error:
        raise Invalid(str(error), pointer="/creator", code="no_such_creator") from None
    try:
        campaign_id = referred("campaign", body.campaign, "/campaign")
        found = await bearers_of(connection, caller.workspace_id, campaign_id, profiles, parts.context.now())
    except NotFound as error:
        raise Invalid(str(error), pointer="/campaign", code="no_such_campaign") from None
    if not found.bearers:
        place = "/campaign" if body.creator is None else "/creator"
        raise Invalid("no post of it counts in the campaign yet", pointer=place, code="no_posts")
    return found


async def _refuse_waiting(
    connection: AsyncConnection, caller: Caller, own: Sequence[SourceRow], parts: Services
) -> None:
    """Refuse a booking while one before it is not read: what it would replace is not known yet."""
    names = [one.source_id for one in own]
    far = await sources.freshness(connection, caller.workspace_id, names, parts.context.now())
    if any(one.waiting for one in far.values()):
        raise Busy("a booking before this one is being read", 1.0)


async def _land(parts: Services, caller: Caller, platform: str, items: list[dict[str, object]], reference: str) -> UUID:
    """Keep what is said about one platform as a delivery of the workspace's own source there."""
    source = await _source(parts, caller, platform)
    body = msgspec.json.encode(
        {"type": "tallybook.batch", "timestamp": parts.context.now().isoformat(), "data": {"items": items}}
    )
    request = {"filename": f"fee {reference}"}
    key = parts.context.new_id().hex
    landed = await parts.lander.land(source, key=key, body=body, channel="upload", request=request)
    return landed.delivery_id


async def _source(parts: Services, caller: Caller, platform: str) -> SourceRow:
    """Return the source that a workspace has for itself on a platform, made when it is first needed."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        found = await sources.all_own(connection, caller.workspace_id, platform)
        if found:
            return found[0]
        wanted = NewSource(connector=OWN_CONNECTOR, name="Fees", account=OWN_ACCOUNT, platform=platform)
        vault = await workspaces.open_vault(connection, caller.workspace_id, parts.vault)
        made = await sources.create(connection, caller.workspace_id, wanted, parts.connectors, vault, parts.context)
        return made.row


def _part(member: Bearing, part: Part, currency: str) -> PartOutput:
    return PartOutput(
        subject=ids.show("subject", member.subject_id),
        platform=member.platform,
        external_id=member.external_id,
        day=part.day,
        amount=amount_text(part.amount, currency),
    )


def _stands(one: Booked) -> FeeOutput:
    return FeeOutput(
        reference=one.reference,
        metric=one.metric,
        amount=amount_text(one.amount, one.currency),
        currency=one.currency,
        allocation=None,
        parts=[
            PartOutput(
                subject=ids.show("subject", cell.subject_id),
                platform=cell.platform,
                external_id=cell.external_id,
                day=cell.day,
                amount=amount_text(cell.amount, cell.currency),
            )
            for cell in one.cells
        ],
        taken_back=0,
        deliveries=[],
    )
