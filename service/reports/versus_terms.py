"""Which parts of two campaigns may be set side by side, and what stands against it. Nothing is estimated here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from service.kpi.attribution import CLICK_WINDOW_DAYS, VIEW_WINDOW_DAYS
from service.kpi.catalogue import Kpi
from service.kpi.compare import Obstacle, Terms, obstacles
from service.kpi.measure import Reason, Unit, Value
from service.kpi.periods import Period, day_start, local_day, of_days
from service.reports.conversions import MODEL
from service.reports.question import Asked

_BY_FLIGHT = (None, "flight", "flight_to_date")
_CREDITED = frozenset({"conversions", "conversion_value", "orders", "refunds"})
WORDS: Mapping[Obstacle, str] = {
    Obstacle.DEFINITION: "the metric is defined differently",
    Obstacle.ATTRIBUTION: "conversions are credited within other windows",
    Obstacle.MATURITY: "conversions had more time to arrive in one than in the other",
    Obstacle.CURRENCY: "the campaigns are kept in different currencies",
    Obstacle.OPEN_WINDOW: "the range of one is over, that of the other is still running",
    Obstacle.NO_DATA: "at least one campaign has no numbers for it",
    Obstacle.PART: "the ranges are not the same part of both flights",
    Obstacle.NO_PLATFORM: "they have no platform in common, so the platform may be what differs; see strata=none",
    Obstacle.SAME_SUBJECTS: "every subject counts in both campaigns",
    Obstacle.WITHHELD: "a counter fell below a tenth and nobody has said why yet",
    Obstacle.NOT_PERMITTED: "the key may not see costs",
    Obstacle.MIXED_CURRENCY: "one campaign has money in several currencies",
}


class Align(enum.StrEnum):
    """Which parts of two flights are compared: like parts, or whatever the range says."""

    AUTO = "auto"
    FULL = "full"


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The ranges of a and b, in words which they are, the age at which both are cut, and whether they are alike."""

    a: Period
    b: Period
    words: str
    cut_days: int | None = None
    alike: bool = True


def parts_of(a: Asked, b: Asked, align: Align) -> Parts:
    """Return the ranges to compare.

    Flights that are over are compared whole; while one is running, as many whole days from the start of each as both
    have. Any other range is one range for both.
    """
    preset = a.question.preset
    if a.question.range_from is not None or preset not in _BY_FLIGHT:
        return _one_range(a, b)
    if align is Align.FULL:
        return Parts(a=a.period, b=b.period, words="both flights as far as they have come", alike=_both_over(a, b))
    if _both_over(a, b):
        return Parts(a=_flight(a, _length(a)), b=_flight(b, _length(b)), words="both whole flights")
    days = min(_elapsed(a), _elapsed(b))
    if days <= 0:
        return Parts(a=a.period, b=b.period, words="no whole day of both flights has passed", alike=False)
    return Parts(a=_flight(a, days), b=_flight(b, days), words=f"days 1 to {days} of both flights", cut_days=days)


def _one_range(a: Asked, b: Asked) -> Parts:
    if a.period.start is None:
        both = _both_over(a, b)
        return Parts(a=a.period, b=b.period, words="everything known so far", alike=both)
    same = len(a.period.days) == len(b.period.days)
    # Both are cut by the same present, at the same age of the range.
    cut = len(a.period.days) if a.period.partial and b.period.partial else None
    return Parts(a=a.period, b=b.period, words="the same range of both", cut_days=cut, alike=same)


def _both_over(a: Asked, b: Asked) -> bool:
    return all(local_day(one.knowledge.clock, one.zone) > one.version.ends for one in (a, b))


def _length(asked: Asked) -> int:
    return (asked.version.ends - asked.version.starts).days + 1


def _elapsed(asked: Asked) -> int:
    """Return how many whole days of a flight have passed."""
    passed = (local_day(asked.knowledge.clock, asked.zone) - asked.version.starts).days
    return max(0, min(passed, _length(asked)))


def _flight(asked: Asked, days: int) -> Period:
    first = asked.version.starts
    return of_days(first, first + timedelta(days=days - 1), now=asked.knowledge.clock, zone=asked.zone, preset="flight")


def terms_of(asked: Asked, kpi: Kpi, period: Period, cut_days: int | None) -> Terms:
    """Return under which terms a KPI of a campaign is computed."""
    credited = not _CREDITED.isdisjoint(kpi.needs)
    return Terms(
        definition=kpi.definition,
        attribution=attribution_of(asked) if credited else None,
        maturity_days=cut_days,
        currency=asked.currency if kpi.unit is Unit.MONEY else None,
        closed=not period.partial and (period.start is not None or _is_over(asked)),
    )


def _is_over(asked: Asked) -> bool:
    return local_day(asked.knowledge.clock, asked.zone) > asked.version.ends


def attribution_of(asked: Asked) -> str:
    """Return the model of the books with the windows of a campaign."""
    version = asked.version
    click = CLICK_WINDOW_DAYS if version.click_days is None else version.click_days
    view = VIEW_WINDOW_DAYS if version.view_days is None else version.view_days
    return f"{MODEL} click {click:g}d view {view:g}d"


def against_comparing(a: Asked, b: Asked, kpi: Kpi, parts: Parts, values: tuple[Value, Value]) -> tuple[Obstacle, ...]:
    """Return everything that stands against comparing a KPI."""
    found = list(obstacles(terms_of(a, kpi, parts.a, parts.cut_days), terms_of(b, kpi, parts.b, parts.cut_days)))
    if not parts.alike:
        found.append(Obstacle.PART)
    members = {one.subject_id for one in a.members}
    if members and members == {one.subject_id for one in b.members}:
        found.append(Obstacle.SAME_SUBJECTS)
    reasons = {value.reason for value in values}
    for reason, obstacle in _BY_REASON.items():
        if reason in reasons:
            found.append(obstacle)
    return tuple(dict.fromkeys(found))


_BY_REASON = {
    Reason.NOT_PERMITTED: Obstacle.NOT_PERMITTED,
    Reason.SUSPECTED_RESET: Obstacle.WITHHELD,
    Reason.MIXED_CURRENCY: Obstacle.MIXED_CURRENCY,
}


def settles_at(asked: Asked, period: Period) -> datetime | None:
    """Return when the windows of the last click in a range have passed; None where they have, or nothing is dated."""
    if period.start is None:
        return None
    click = asked.version.click_days
    last = local_day(period.end - timedelta(microseconds=1), asked.zone)
    days = int(CLICK_WINDOW_DAYS) if click is None else click
    at = day_start(last + timedelta(days=days + 1), asked.zone)
    return at if at > asked.knowledge.clock else None
