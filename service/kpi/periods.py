"""Ranges of time in a zone: presets, explicit ranges, and the period to compare with. Pure; ``now`` is passed in.

A range is whole local days, half-open as instants: a day may have 23 or 25 hours. How a range is cut into buckets is
in ``buckets``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from service.errors import Invalid

NAMED = (
    "last_24h",
    "today",
    "yesterday",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "flight",
    "flight_to_date",
    "lifetime",
)
_SUGGESTED = (*NAMED, "last_7d", "last_7d_complete", "last_28d", "last_30d", "last_30d_complete", "last_91d")
_LAST = re.compile(r"last_([1-9][0-9]{0,3})d(_complete)?")
_DAY = timedelta(days=1)
_WEEK_DAYS = 7
_YEAR_OF_WEEKS = 364


class Flight(msgspec.Struct, frozen=True, kw_only=True):
    """First and last local day of a campaign, both inclusive."""

    first: date
    last: date


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved range ``[start, end)`` of UTC instants, its local days, and how far it has come.

    ``until`` is ``end`` or, in a running range, the present (``start`` where it has not begun): nothing is known
    after it. ``start`` is None only for ``lifetime``, which has no days either. ``whole_days`` is False for ranges
    between instants.
    """

    preset: str | None
    zone: str
    start: datetime | None
    end: datetime
    until: datetime
    days: tuple[date, ...]
    whole_days: bool = True

    @property
    def partial(self) -> bool:
        """Whether the range has not come to its end."""
        return self.until < self.end

    @property
    def hours(self) -> float | None:
        """Real hours of the whole range; None for ``lifetime``."""
        return None if self.start is None else (self.end - self.start) / timedelta(hours=1)


def zone_of(name: str) -> ZoneInfo:
    """Return a zone by its IANA name. Raises :class:`Invalid` for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"there is no time zone {name[:64]!r}", code="unknown_zone") from error


def day_start(day: date, zone: str) -> datetime:
    """Return the instant at which a local day begins, in UTC."""
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)


def local_day(at: datetime, zone: str) -> date:
    """Return the local day of an instant."""
    return at.astimezone(zone_of(zone)).date()


def of_days(first: date, last: date, *, now: datetime, zone: str, preset: str | None = None) -> Period:
    """Return the range of local days from ``first`` to ``last``, both inclusive.

    Raises :class:`Invalid` for a last day before the first.
    """
    if last < first:
        raise Invalid(f"the range ends on {last} and begins on {first}", code="range_reversed")
    start, end = day_start(first, zone), day_start(last + _DAY, zone)
    return Period(
        preset=preset, zone=zone, start=start, end=end, until=_clip(now, start, end), days=tuple(_days(first, last))
    )


def of_instants(start: datetime, end: datetime, *, now: datetime, zone: str, preset: str | None = None) -> Period:
    """Return the range ``[start, end)`` between two aware instants; its days are those it touches.

    Raises :class:`Invalid` for naive datetimes and for an end that is not after the start.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise Invalid("an instant carries its offset", code="naive_instant")
    if end <= start:
        raise Invalid("the range ends before it begins", code="range_reversed")
    first, last = local_day(start, zone), local_day(end - timedelta(microseconds=1), zone)
    begin, finish = start.astimezone(UTC), end.astimezone(UTC)
    return Period(
        preset=preset,
        zone=zone,
        start=begin,
        end=finish,
        until=_clip(now, begin, finish),
        days=tuple(_days(first, last)),
        whole_days=False,
    )


def resolve(preset: str, *, now: datetime, zone: str, flight: Flight | None = None) -> Period:
    """Return the range of a preset at ``now`` in ``zone``.

    ``last_Nd`` is N local days ending today, ``last_Nd_complete`` ends yesterday, weeks begin on Monday. Raises
    :class:`Invalid` for an unknown preset (with the nearest) and for a flight preset without a flight.
    """
    if preset == "last_24h":
        return of_instants(now - timedelta(hours=24), now, now=now, zone=zone, preset=preset)
    if preset == "lifetime":
        at = now.astimezone(UTC)
        return Period(preset=preset, zone=zone_of(zone).key, start=None, end=at, until=at, days=(), whole_days=False)
    first, last = _preset_days(preset, local_day(now, zone), flight)
    return of_days(first, last, now=now, zone=zone, preset=preset)


def _preset_days(preset: str, today: date, flight: Flight | None) -> tuple[date, date]:
    match = _LAST.fullmatch(preset)
    if match:
        last = today - _DAY if match[2] else today
        return last - timedelta(days=int(match[1]) - 1), last
    if preset in ("flight", "flight_to_date"):
        return _flight_days(preset, today, flight)
    monday, first_of_month = today - timedelta(days=today.weekday()), today.replace(day=1)
    last_of_previous = first_of_month - _DAY
    known = {
        "today": (today, today),
        "yesterday": (today - _DAY, today - _DAY),
        "this_week": (monday, today),
        "last_week": (monday - timedelta(days=_WEEK_DAYS), monday - _DAY),
        "this_month": (first_of_month, today),
        "last_month": (last_of_previous.replace(day=1), last_of_previous),
    }
    if preset not in known:
        nearest = difflib.get_close_matches(preset, _SUGGESTED, n=1)
        raise Invalid(
            f"there is no range {preset[:64]!r}",
            code="unknown_preset",
            allowed=(*NAMED, "last_Nd", "last_Nd_complete"),
            nearest=nearest[0] if nearest else None,
        )
    return known[preset]


def _flight_days(preset: str, today: date, flight: Flight | None) -> tuple[date, date]:
    if flight is None:
        raise Invalid(f"{preset} needs a campaign with a flight", code="no_flight")
    if preset == "flight":
        return flight.first, flight.last
    if today < flight.first:
        raise Invalid(f"the flight begins on {flight.first}", code="flight_not_started")
    return flight.first, min(today, flight.last)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=i) for i in range((last - first).days + 1))


def _clip(now: datetime, start: datetime, end: datetime) -> datetime:
    return min(max(now.astimezone(UTC), start), end)


def previous(period: Period, *, align_elapsed: bool = True) -> Period | None:
    """Return the period to compare with, or None for ``lifetime``.

    It has as many local days and ends where the range begins; ``this_week`` and ``this_month`` step back a week or a
    month instead, so that like days meet (a month too short for that: the days just before). With ``align_elapsed`` a
    running range is compared up to the same local time of day. Ranges between instants step back by their real length.
    """
    if period.start is None:
        return None
    if not period.whole_days:
        length = period.end - period.start
        return msgspec.structs.replace(
            period,
            preset=None,
            start=period.start - length,
            end=period.start,
            until=period.until - length if align_elapsed else period.start,
            days=tuple(
                _days(
                    local_day(period.start - length, period.zone),
                    local_day(period.start - timedelta(microseconds=1), period.zone),
                )
            ),
        )
    return shifted(period, _step_back(period), align_elapsed=align_elapsed)


def previous_year(period: Period, *, same_weekdays: bool = True, align_elapsed: bool = True) -> Period | None:
    """Return the range a year before with as many days: 52 weeks back, or from the same date (29 February: the 28th).

    None for ``lifetime``. Ranges between instants are moved by local days as well.
    """
    if period.start is None:
        return None
    first = period.days[0]
    if same_weekdays:
        return shifted(period, _YEAR_OF_WEEKS, align_elapsed=align_elapsed)
    leap_day = (first.month, first.day) == (2, 29)
    target = first.replace(year=first.year - 1, day=28 if leap_day else first.day)
    return shifted(period, (first - target).days, align_elapsed=align_elapsed)


def _step_back(period: Period) -> int:
    length = len(period.days)
    first = period.days[0]
    if period.preset == "this_week":
        return _WEEK_DAYS
    if period.preset == "this_month":
        of_month = (first - (first - _DAY).replace(day=1)).days
        return max(of_month, length)
    return length


def shifted(period: Period, days: int, *, align_elapsed: bool = True) -> Period:
    """Return a range moved back by local days; clock times stay, whatever the zone does.

    Raises ValueError for ``lifetime``.
    """
    if period.start is None:
        raise ValueError("lifetime has no start to move")
    moved = tuple(day - timedelta(days=days) for day in period.days)
    if period.whole_days:
        # Not by the clock: where midnight is skipped, a day begins at one.
        start, end = day_start(moved[0], period.zone), day_start(moved[-1] + _DAY, period.zone)
    else:
        start, end = _back(period.start, days, period.zone), _back(period.end, days, period.zone)
    until = _clip(_back(period.until, days, period.zone), start, end) if align_elapsed and period.partial else end
    return msgspec.structs.replace(period, preset=None, start=start, end=end, until=until, days=moved)


def _back(at: datetime, days: int, zone: str) -> datetime:
    local = at.astimezone(zone_of(zone))
    return datetime.combine(local.date() - timedelta(days=days), local.time(), local.tzinfo).astimezone(UTC)
