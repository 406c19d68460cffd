"""A range cut into local hours, days, weeks or months. Buckets partition the range: no gap, no overlap.

Which range is asked for is resolved in ``periods``.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec

from service.kpi.periods import day_start, local_day, zone_of

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class Grain(enum.StrEnum):
    """How finely a range is cut."""

    TOTAL = "total"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket ``[start, end)`` in UTC.

    ``label`` is the local day it begins on (a week's Monday, a month's first), or the local hour with its offset.
    ``partial`` marks a bucket that the range or the present cuts short, ``not_yet`` one that lies wholly ahead.
    """

    start: datetime
    end: datetime
    label: str
    partial: bool
    not_yet: bool

    @property
    def hours(self) -> float:
        """Real hours in the bucket."""
        return (self.end - self.start) / _HOUR


def buckets(
    start: datetime, end: datetime, *, zone: str, grain: Grain, now: datetime, sunday: bool = False
) -> list[Bucket]:
    """Return the buckets of ``[start, end)``; an empty range has none. With ``sunday`` that is when weeks begin."""
    if end <= start:
        return []
    if grain is Grain.TOTAL:
        return [_bucket(start, end, start, end, "total", now)]
    cut = []
    for (opens, label), (closes, _) in itertools.pairwise(_edges(start, end, zone, grain, sunday=sunday)):
        if closes > max(opens, start):
            cut.append(_bucket(opens, closes, start, end, label, now))
    return cut


def _bucket(opens: datetime, closes: datetime, start: datetime, end: datetime, label: str, now: datetime) -> Bucket:
    first, last = max(opens, start).astimezone(UTC), min(closes, end).astimezone(UTC)
    cut_short = opens < start or closes > end
    return Bucket(start=first, end=last, label=label, partial=cut_short or first < now < last, not_yet=first >= now)


def _edges(start: datetime, end: datetime, zone: str, grain: Grain, *, sunday: bool) -> Iterator[tuple[datetime, str]]:
    """Yield edges with labels, from the one at or before the start to the one at or after the end."""
    steps = _hours(start, zone) if grain is Grain.HOUR else _dates(start, zone, grain, sunday=sunday)
    for edge, label in steps:
        yield edge, label
        if edge >= end:
            return


def _hours(start: datetime, zone: str) -> Iterator[tuple[datetime, str]]:
    """Yield full local hours. A zone that shifts by half an hour has an hour of 30 minutes once."""
    tz = zone_of(zone)
    edge = start.astimezone(UTC) - _into_hour(start.astimezone(tz))
    while True:
        local = edge.astimezone(tz)
        yield edge, local.isoformat(timespec="minutes")
        edge += _HOUR - _into_hour(local)


def _into_hour(local: datetime) -> timedelta:
    return timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _dates(start: datetime, zone: str, grain: Grain, *, sunday: bool) -> Iterator[tuple[datetime, str]]:
    floor, after = _STEPS[grain]
    if sunday and grain is Grain.WEEK:
        floor = _sunday
    day = floor(local_day(start, zone))
    while True:
        yield day_start(day, zone), day.isoformat()
        day = after(day)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _sunday(day: date) -> date:
    return day - timedelta(days=day.isoweekday() % 7)


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


_STEPS: dict[Grain, tuple[Callable[[date], date], Callable[[date], date]]] = {
    Grain.DAY: (lambda day: day, lambda day: day + _DAY),
    Grain.WEEK: (_monday, lambda day: day + timedelta(days=7)),
    Grain.MONTH: (_first_of_month, _next_month),
}
