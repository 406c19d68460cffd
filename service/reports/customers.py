"""Customers of a campaign: who is new, who came back, and how many of the new ones buy again. Nobody is named.

A customer is a keyed hash of what shops say, the same in all sources of a workspace. Counts are recomputed for each
range and never added up.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid
from service.kpi.measure import significant
from service.kpi.periods import local_day
from service.kpi.shares import Share, retention, share
from service.ledger.history.buyers import MOST, Order, orders, unnamed
from service.reports.answer import IntervalOut, RangeOut
from service.reports.meta import range_out
from service.reports.question import Asked, PlatformNotes, Question, instant, known_at, understand

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


class ShareOut(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its interval, or null with the reason; ``left_out`` counts what is too young to be looked at."""

    value: float | None
    numerator: int
    denominator: int
    interval: IntervalOut | None
    reason: str | None
    left_out: int


class CohortOut(msgspec.Struct, frozen=True, kw_only=True):
    """Customers whose first order was in one month; ``mature`` is when the window of the last of them has passed."""

    month: str
    acquired: int
    retention: ShareOut


class CustomersMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew: ``as_of`` pins it."""

    as_of: str
    posting: int
    range: RangeOut
    timezone: str
    window_days: int
    now: str


class CustomersOut(msgspec.Struct, frozen=True, kw_only=True):
    """Distinct customers with a credited order in the range, new and returning; orders that name nobody beside them.

    ``retention``: of the new ones whose window has passed, those who bought again inside it, wherever that is credited.
    """

    customers: int
    customers_new: int
    customers_returning: int
    new_share: ShareOut
    orders: int
    orders_without_customer: int
    retention: ShareOut
    cohorts: tuple[CohortOut, ...]
    meta: CustomersMetaOut


class _Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with a credited order in the range: the first such, whether it is their first of all, what follows."""

    first: datetime
    is_new: bool
    later: tuple[datetime, ...]


async def campaign_customers(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    _notes: PlatformNotes,
    now: datetime,
    *,
    window_days: int,
) -> CustomersOut:
    """Answer who bought because of a campaign, inside one read-only snapshot. Raises what the KPIs do."""
    raw = await driver(connection)
    wanted = msgspec.structs.replace(question, metrics=("conversions",))
    asked = await understand(raw, workspace_id, campaign_id, wanted, now)
    members = [member.subject_id for member in asked.members]
    span = (asked.period.start or _EARLIEST, asked.period.end)
    found = await orders(raw, workspace_id, members, *span, asked.knowledge.number)
    if found is None:
        raise Invalid(f"more than {MOST} orders: ask for a shorter range", pointer="?range", code="too_many_events")
    nameless = await unnamed(raw, workspace_id, members, *span, asked.knowledge.number)
    customers = [_customer(list(group)) for _, group in itertools.groupby(found, key=lambda one: one.customer)]
    new = [one for one in customers if one.is_new]
    level = question.level
    return CustomersOut(
        customers=len(customers),
        customers_new=len(new),
        customers_returning=len(customers) - len(new),
        new_share=_share(share(len(new), len(customers), level), len(new), len(customers)),
        orders=sum(order.credited for order in found),
        orders_without_customer=nameless,
        retention=_retained(asked, new, window_days, level),
        cohorts=_cohorts(asked, new, window_days, level),
        meta=CustomersMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            range=range_out(asked.period),
            timezone=asked.zone,
            window_days=window_days,
            now=instant(asked.knowledge.clock),
        ),
    )


def _customer(mine: Sequence[Order]) -> _Customer:
    """Return a customer of all their orders, oldest first. New: no order before, and no sender says otherwise."""
    first = next(order for order in mine if order.credited)
    before = any(order.at < first.at for order in mine)
    return _Customer(
        first=first.at,
        is_new=not before and first.first is not False,
        later=tuple(order.at for order in mine if order.at > first.at),
    )


def _retained(asked: Asked, new: Sequence[_Customer], days: int, level: float) -> ShareOut:
    window = timedelta(days=days)
    mature = [one for one in new if one.first + window <= asked.knowledge.clock]
    again = sum(any(at <= one.first + window for at in one.later) for one in mature)
    return _share(retention(len(new), len(mature), again, level), again, len(mature))


def _cohorts(asked: Asked, new: Sequence[_Customer], days: int, level: float) -> tuple[CohortOut, ...]:
    ordered = sorted(new, key=lambda one: one.first)
    by_month = itertools.groupby(ordered, key=lambda one: local_day(one.first, asked.zone).strftime("%Y-%m"))
    found = [(month, list(group)) for month, group in by_month]
    return tuple(
        CohortOut(month=month, acquired=len(group), retention=_retained(asked, group, days, level))
        for month, group in found
    )


def _share(found: Share, part: int, whole: int) -> ShareOut:
    interval = found.interval
    return ShareOut(
        value=None if found.value is None else significant(found.value),
        numerator=part,
        denominator=whole,
        interval=None
        if interval is None
        else IntervalOut(
            low=None if interval.low is None else significant(float(interval.low)),
            high=None if interval.high is None else significant(float(interval.high)),
            level=interval.level,
            method=str(interval.method),
            n=interval.n,
            ignores_clustering=interval.ignores_clustering,
        ),
        reason=None if found.reason is None else str(found.reason),
        left_out=found.left_out,
    )
