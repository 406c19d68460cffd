"""The conversions behind a campaign's numbers: what was sold, to whom it is credited, and what is credited to nobody.

No person is in it: neither a customer nor a click id, not even as a hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import MICRO
from service import ids
from service.db.engine import driver
from service.errors import Invalid
from service.kpi.attribution import CLICK_WINDOW_DAYS, VIEW_WINDOW_DAYS
from service.kpi.money import amount_text
from service.ledger import credited
from service.ledger.history.members import Member
from service.ledger.restatements import cause_name
from service.reports.answer import PageOut
from service.reports.question import Asked, Question, known_at, understand

MODEL = "last_click_then_view@1"
"""The model of the books."""
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


class CreditOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject gets: a share of a conversion, and of its value. ``in_campaign`` tells whether it counts here.

    ``touch`` is the kind of touch that led to it; null where none did. ``creator`` is the profile behind a subject that
    counts here.
    """

    subject: str
    platform: str
    external_id: str
    creator: str | None
    touch: str | None
    conversions: float | None
    orders: int | None
    refunds: int | None
    value: str | None
    in_campaign: bool


class ConversionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion, an order or a refund (its value below zero) as it stands.

    ``rule`` tells how its credit was found, ``cause`` why this version of it was written. ``unattributed``: nothing led
    to anybody; it is listed whether or not it counts in this campaign.
    """

    id: str
    kind: str
    at: str
    goal: str
    value: str | None
    currency: str | None
    first_order: bool | None
    rule: str
    unattributed: bool
    version: int
    cause: str
    posting: int
    recorded_at: str
    source: str
    delivery: str
    credits: tuple[CreditOut, ...]


class AttributionOut(msgspec.Struct, frozen=True, kw_only=True):
    """The model and the windows, in days, of this campaign's subjects."""

    model: str
    click_days: float
    view_days: float


class ConversionsMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the list knew: ``as_of`` pins it."""

    as_of: str
    posting: int
    start: str | None
    end_exclusive: str
    attribution: AttributionOut


class ConversionsOut(msgspec.Struct, frozen=True, kw_only=True):
    """Conversions of a campaign over a range, newest first."""

    data: tuple[ConversionOut, ...]
    meta: ConversionsMetaOut
    page: PageOut


async def campaign_conversions(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    now: datetime,
    *,
    after: str | None,
    limit: int,
) -> ConversionsOut:
    """List what a campaign is credited with, and what nobody is, inside one read-only snapshot.

    Raises NotFound, Invalid (with a pointer), Busy for an ``as_of`` that is not settled, Gone for one before the books.
    """
    raw = await driver(connection)
    asked = await understand(raw, workspace_id, campaign_id, question, now)
    members = {member.subject_id: member for member in asked.members}
    span = (asked.period.start or _EARLIEST, asked.period.end)
    number, before = asked.knowledge.number, _place(after)
    rows = await credited.sold(raw, workspace_id, sorted(members), *span, number, before, limit + 1)
    shown = rows[:limit]
    by_event: dict[bytes, list[Any]] = defaultdict(list)
    for row in await credited.credits_of(raw, workspace_id, shown):
        by_event[row["event_key"]].append(row)
    more = len(rows) > limit
    return ConversionsOut(
        data=tuple(_conversion(row, by_event[row["event_key"]], members) for row in shown),
        meta=_meta(asked),
        page=PageOut(next=_cursor(shown[-1]) if more else None, has_more=more),
    )


def _meta(asked: Asked) -> ConversionsMetaOut:
    version = asked.version
    return ConversionsMetaOut(
        as_of=known_at(asked),
        posting=asked.knowledge.posting,
        start=_text(asked.period.start) if asked.period.start is not None else None,
        end_exclusive=_text(asked.period.end),
        attribution=AttributionOut(
            model=MODEL,
            click_days=CLICK_WINDOW_DAYS if version.click_days is None else version.click_days,
            view_days=VIEW_WINDOW_DAYS if version.view_days is None else version.view_days,
        ),
    )


def _conversion(row: Mapping[str, Any], credits_: list[Any], members: Mapping[UUID, Member]) -> ConversionOut:
    currency = row["currency"] or None
    return ConversionOut(
        id=row["event_key"].hex(),
        kind=row["kind"],
        at=_text(row["at"]),
        goal=row["goal"],
        value=_money(-row["value"] if row["kind"] == "refund" and row["value"] else row["value"], currency),
        currency=currency,
        first_order=row["first_order"],
        rule=row["rule"],
        unattributed=row["rule"] == "none" or all(one["external_id"] == "unattributed" for one in credits_),
        version=row["version"],
        cause=cause_name(row["cause"]),
        posting=row["posting"],
        recorded_at=_text(row["recorded_at"]),
        source=ids.show("source", row["source_id"]),
        delivery=ids.show("delivery", row["delivery_id"]),
        credits=tuple(_credit(one, currency, members) for one in credits_),
    )


def _credit(row: Mapping[str, Any], currency: str | None, members: Mapping[UUID, Member]) -> CreditOut:
    member = members.get(row["subject_id"])
    return CreditOut(
        subject=ids.show("subject", row["subject_id"]),
        platform=row["platform"],
        external_id=row["external_id"],
        creator=member.creator if member is not None else None,
        touch=row["touch"],
        conversions=None if row["conversions"] is None else row["conversions"] / MICRO,
        orders=row["orders"],
        refunds=row["refunds"],
        value=_money(row["conversion_value"], currency),
        in_campaign=member is not None,
    )


def _money(amount: int | None, currency: str | None) -> str | None:
    return None if amount is None else amount_text(amount, currency or "")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _cursor(row: Mapping[str, Any]) -> str:
    return f"{_text(row['at'])}.{row['event_key'].hex()}"


def _place(text: str | None) -> tuple[datetime, bytes] | None:
    """Return where the page before ended. Raises :class:`Invalid` for what no page gave."""
    if text is None:
        return None
    at, _, key = text.rpartition(".")
    try:
        found = datetime.fromisoformat(at), bytes.fromhex(key)
    except ValueError:
        raise Invalid("after is the next of a page", pointer="?after", code="malformed") from None
    if found[0].tzinfo is None:
        raise Invalid("after is the next of a page", pointer="?after", code="malformed")
    return found
