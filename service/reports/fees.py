"""Who bears a fee, and what stands of fees that were booked. Booking itself is a delivery like any other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid
from service.kpi.allocation import Bearer, Part
from service.kpi.money import amount_text
from service.kpi.periods import local_day
from service.ledger.history.campaigns import Campaign, campaign_at
from service.ledger.history.fees import MOST, SCOPE, Cell, standing
from service.ledger.history.members import Member

Bearing = Member
"""A post that bears a part of a fee."""


class Bearers(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The posts of a campaign that bear a fee, oldest first, with the campaign's zone, currency and present day."""

    campaign: Campaign
    members: tuple[Member, ...]
    bearers: tuple[Bearer, ...]
    today: date


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """What stands of one booking."""

    reference: str
    metric: str
    currency: str
    amount: int
    cells: tuple[Cell, ...]


async def bearers_of(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    profiles: Collection[tuple[str, str]] | None,
    now: datetime,
) -> Bearers:
    """Return the posts of a campaign, or those of some profiles in it. Raises NotFound."""
    raw = await driver(connection)
    campaign = await campaign_at(raw, workspace_id, campaign_id, None, now)
    posts = [
        member
        for member in campaign.members
        if member.type != "profile" and (profiles is None or (member.platform, member.creator or "") in profiles)
    ]
    today = local_day(now, campaign.zone)
    ordered = sorted(posts, key=lambda one: (_day(one, campaign, today), one.platform, one.external_id))
    return Bearers(
        campaign=campaign,
        members=tuple(ordered),
        bearers=tuple(Bearer(id=one.subject_id.hex, day=_day(one, campaign, today)) for one in ordered),
        today=today,
    )


def _day(member: Member, campaign: Campaign, today: date) -> date:
    """Return the day a post bears its part on: of its publication, else the first of the flight that has come."""
    published = member.published_at
    day = campaign.version.starts if published is None else local_day(published, campaign.zone)
    return min(day, today)


async def fees(
    connection: AsyncConnection, workspace_id: UUID, source_ids: Sequence[UUID], reference: str | None
) -> list[Booked]:
    """Return bookings as they stand. Raises :class:`Invalid` where they have too many parts for one answer."""
    cells = await standing(await driver(connection), workspace_id, list(source_ids), reference)
    if len(cells) > MOST:
        raise Invalid(f"more than {MOST} parts: name a reference", pointer="?reference", code="too_many_parts")
    found: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.reference, cell.metric, cell.currency].append(cell)
    return [
        Booked(
            reference=reference,
            metric=metric,
            currency=currency,
            amount=sum(cell.amount for cell in of_it),
            cells=tuple(of_it),
        )
        for (reference, metric, currency), of_it in found.items()
    ]


def items_of(
    reference: str,
    metric: str,
    currency: str,
    zone: str,
    parts: Sequence[tuple[Member, Part]],
    before: Sequence[Cell],
    now: datetime,
) -> dict[str, list[dict[str, Any]]]:
    """Return by platform what is to be said in the item language: the parts, and what is taken back of before."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    at, scope = now.isoformat(), f"{SCOPE}{reference}"
    said = set()
    for member, part in parts:
        said.add((member.platform, member.external_id, part.day, zone, metric, currency))
        found[member.platform].append(
            {
                "type": "period",
                "subject": member.external_id,
                "subject_type": member.type,
                "day": part.day.isoformat(),
                "zone": zone,
                "scope": scope,
                "currency": currency,
                "observed_at": at,
                "metrics": {metric: amount_text(part.amount, currency)},
            }
        )
    for cell in before:
        if (cell.platform, cell.external_id, cell.day, cell.zone, cell.metric, cell.currency) in said:
            continue
        found[cell.platform].append(
            {
                "type": "withdrawal",
                "subject": cell.external_id,
                "subject_type": cell.type,
                "day": cell.day.isoformat(),
                "zone": cell.zone,
                "scope": scope,
                "currency": cell.currency,
                "observed_at": at,
                "metrics": [cell.metric],
            }
        )
    return dict(found)
