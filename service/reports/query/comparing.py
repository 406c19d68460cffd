"""What an answer is compared with: an earlier range of the same campaigns, or a range of another campaign."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service import ids
from service.errors import Invalid
from service.kpi.periods import Period, of_days, of_instants, previous, previous_year, shifted
from service.ledger import kept
from service.ledger.history.campaigns import Campaign, campaign_at, campaigns_at, campaigns_of_strategy
from service.reports.query.asked import Compare, Query
from service.reports.query.scope import Scoped
from service.reports.query.scope import one as alone
from service.reports.question import Asked, pointed, resolved

_FLIGHTS = ("flight", "flight_to_date")


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """The other range, and the other campaign where there is one. ``shorter`` tells that it has fewer days."""

    period: Period
    to: str
    other: Scoped | None = None
    shorter: bool = False


async def against(
    raw: asyncpg.Connection[Any], query: Query, scoped: Scoped, asked: Asked, now: datetime
) -> Against | None:
    """Return what a query is to be compared with; None without a comparison. Raises :class:`Invalid`."""
    compare = query.compare
    if compare is None:
        return None
    if compare.campaign is not None:
        other = await campaign_at(raw, asked.workspace_id, compare.campaign, _pin(asked), now)
        return _with_campaign(compare, scoped, asked, other)
    if compare.to == "previous_flight":
        return _in_flight(compare, scoped.whole, asked, await _flight_before(raw, scoped, asked, now))
    period = _earlier(compare, asked)
    kept.refuse(asked.kept, period.start, asked.knowledge, people=asked.asks_people)
    return Against(period=period, to=compare.to)


def _pin(asked: Asked) -> datetime:
    """Return an instant that names the same knowledge."""
    return asked.question.as_of or asked.knowledge.recorded_at


def _earlier(compare: Compare, asked: Asked) -> Period:
    period = asked.period
    if period.start is None:
        raise Invalid("the range lifetime has no previous period", pointer="?compare", code="no_previous")
    if compare.first is not None and compare.last is not None:
        return _stated(compare, compare.first, compare.last, asked)
    if compare.to == "previous_year":
        found = previous_year(period, same_weekdays=compare.same_weekdays, align_elapsed=compare.elapsed)
    else:
        found = previous(period, align_elapsed=compare.elapsed)
    assert found is not None  # noqa: S101 - lifetime was refused
    return found


def _stated(compare: Compare, first: date | datetime, last: date | datetime, asked: Asked) -> Period:
    """Return a stated range: as long as the one that is asked for, or it is no comparison."""
    period, clock = asked.period, asked.knowledge.clock
    try:
        if isinstance(first, datetime) and isinstance(last, datetime):
            found = of_instants(first, last, now=clock, zone=asked.zone)
        else:
            found = of_days(first, last, now=clock, zone=asked.zone)
    except Invalid as error:
        raise pointed(error, "?compare/to") from None
    assert found.start is not None and period.start is not None  # noqa: S101, PT018 - neither is lifetime
    same = found.end - found.start == period.end - period.start
    if found.whole_days and period.whole_days:
        same = len(found.days) == len(period.days)
    if not same:
        days = f"{len(period.days)} days" if period.whole_days else str(period.end - period.start)
        raise Invalid(
            f"the other range is not as long as this one: {days}", pointer="?compare/to", code="unequal_length"
        )
    if compare.elapsed and period.partial:
        until = min(found.start + (period.until - period.start), found.until)
        return msgspec.structs.replace(found, until=until)
    return found


async def _flight_before(raw: asyncpg.Connection[Any], scoped: Scoped, asked: Asked, now: datetime) -> Campaign:
    """Return the campaign of the same strategy whose flight ended last before this one's began."""
    own = scoped.campaigns[0]
    if not scoped.is_one or own.strategy_id is None:
        why = "previous_flight is of one campaign that belongs to a strategy"
        raise Invalid(why, pointer="?compare", code="no_previous_flight")
    names = await campaigns_of_strategy(raw, asked.workspace_id, own.strategy_id)
    found = await campaigns_at(raw, asked.workspace_id, names, _pin(asked), now)
    earlier = [one for one in found if one.version.ends < own.version.starts]
    if not earlier:
        why = "no flight of the strategy ended before this one began"
        raise Invalid(why, pointer="?compare", code="no_previous_flight")
    return max(earlier, key=lambda one: (one.version.ends, one.campaign_id))


def _with_campaign(compare: Compare, scoped: Scoped, asked: Asked, other: Campaign) -> Against:
    """Return another campaign over the same dates; of a flight, over the same days since its beginning."""
    if (asked.period.preset or "") in _FLIGHTS and scoped.is_one:
        return _in_flight(compare, scoped.whole, asked, other)
    return Against(period=asked.period, to=_name(other.campaign_id), other=alone(other))


def _in_flight(compare: Compare, own: Campaign, asked: Asked, other: Campaign) -> Against:
    period, flight = asked.period, other.version
    if period.start is None:
        raise Invalid("the range lifetime is no part of a flight", pointer="?compare", code="no_previous")
    found = shifted(period, (own.version.starts - flight.starts).days, align_elapsed=compare.elapsed)
    clock = asked.knowledge.clock
    if not compare.elapsed and period.preset == "flight":
        found = of_days(flight.starts, flight.ends, now=clock, zone=asked.zone)
    shorter = bool(found.days) and found.whole_days and found.days[-1] > flight.ends
    if shorter:
        last = max(found.days[0], flight.ends)
        cut = of_days(found.days[0], last, now=clock, zone=asked.zone)
        found = msgspec.structs.replace(cut, until=min(cut.end, found.until))
    return Against(period=found, to=_name(other.campaign_id), other=alone(other), shorter=shorter)


def _name(campaign_id: UUID) -> str:
    return ids.show("campaign", campaign_id)


async def asked_of_other(raw: asyncpg.Connection[Any], asked: Asked, found: Against, other: Scoped) -> Asked:
    """Return the question as it is put to the other campaign."""
    question = msgspec.structs.replace(asked.question, timezone=asked.zone)
    whole = msgspec.structs.replace(other.whole, knowledge=asked.knowledge)
    put = await resolved(
        raw,
        asked.workspace_id,
        question,
        whole,
        asked.kpis,
        zones=other.zones,
        by_tier=asked.by_tier,
        period=found.period,
    )
    return msgspec.structs.replace(put, exchange=asked.exchange, tiers=asked.tiers, campaigns=other.ids)
