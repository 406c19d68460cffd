"""The falls of counters, of a campaign's subjects or of all: what is withheld because of them, and what people said.

A list, no number.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.db.engine import driver
from service.errors import Invalid
from service.ledger.history.campaigns import campaign_at
from service.ledger.history.fallen import Fallen, Named, fallen, fallen_subjects
from service.records import Verdict
from service.reports.answer import PageOut
from service.reports.question import COSTS, instant


class SaidOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a fall, by which key, and the posting that holds it."""

    verdict: Verdict
    by: str
    posting: int
    recorded_at: str


class FallOut(msgspec.Struct, frozen=True, kw_only=True):
    """A counter that went from ``old`` to ``new`` in its reading at ``at``.

    ``state`` is ``open`` (withheld as ``suspected_reset``), ``recovered`` (the counter came back) or the verdict.
    """

    subject: str
    platform: str
    external_id: str
    metric: str
    at: str
    old: int
    new: int
    suspected: bool
    state: str
    said: SaidOut | None


class FallsOut(msgspec.Struct, frozen=True, kw_only=True):
    """Falls of counters, newest first."""

    data: tuple[FallOut, ...]
    page: PageOut


async def campaign_falls(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    now: datetime,
    *,
    settled: bool,
    costs: bool,
    after: str | None,
    limit: int,
) -> FallsOut:
    """Return falls of subjects that count in a campaign, newest first: the open ones, with ``settled`` all of them.

    Raises NotFound for a campaign that is not there, Invalid for an ``after`` that no page gave.
    """
    raw = await driver(connection)
    campaign = await campaign_at(raw, workspace_id, campaign_id, None, now)
    members = {member.subject_id: Named(member.platform, member.external_id) for member in campaign.members}
    before = _place(after)
    found = [
        one
        for one in await fallen(raw, workspace_id, sorted(members))
        if (settled or one.is_open) and (costs or one.metric not in COSTS)
    ]
    rest = [one for one in found if before is None or _key(one) < before]
    shown = rest[:limit]
    more = len(rest) > limit
    return FallsOut(
        data=tuple(_fall(members[one.subject_id], one) for one in shown),
        page=PageOut(next=_cursor(shown[-1]) if more else None, has_more=more),
    )


async def workspace_falls(connection: AsyncConnection, workspace_id: UUID, *, settled: bool) -> FallsOut:
    """Return falls of all subjects of a workspace, newest first: the open ones, with ``settled`` all of them."""
    raw = await driver(connection)
    subjects = await fallen_subjects(raw, workspace_id)
    found = [one for one in await fallen(raw, workspace_id, sorted(subjects)) if settled or one.is_open]
    return FallsOut(
        data=tuple(_fall(subjects[one.subject_id], one) for one in found), page=PageOut(next=None, has_more=False)
    )


def _fall(member: Named, one: Fallen) -> FallOut:
    said, fall = one.said, one.fall
    return FallOut(
        subject=ids.show("subject", one.subject_id),
        platform=member.platform,
        external_id=member.external_id,
        metric=one.metric,
        at=instant(fall.at),
        old=fall.old,
        new=fall.new,
        suspected=fall.suspected,
        state=said.verdict if said is not None else "open" if one.is_open else "recovered",
        said=None
        if said is None
        else SaidOut(verdict=said.verdict, by=said.actor, posting=said.posting, recorded_at=instant(said.recorded_at)),
    )


def _key(one: Fallen) -> tuple[datetime, UUID, str]:
    return one.fall.at, one.subject_id, one.metric


def _cursor(one: Fallen) -> str:
    return f"{instant(one.fall.at)}/{one.subject_id.hex}/{one.metric}"


def _place(text: str | None) -> tuple[datetime, UUID, str] | None:
    if text is None:
        return None
    try:
        at, subject, metric = text.split("/")
        found = datetime.fromisoformat(at), UUID(hex=subject), metric
    except ValueError:
        raise Invalid("after is the next of a page", pointer="?after", code="malformed") from None
    if found[0].tzinfo is None:
        raise Invalid("after is the next of a page", pointer="?after", code="malformed")
    return found
