"""A range as it is summed: its buckets and its total, and the days at which sums of tallies change over. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from service.errors import Invalid, TooLarge
from service.kpi.buckets import Bucket, Grain, buckets
from service.kpi.periods import Period, day_start, local_day
from service.ledger.history.spans import Span

MAX_CELLS = 20_000
"""Buckets times groups times metrics of one answer."""
TOTAL = -1
"""The number of the span that is the whole range."""
_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A range with the buckets it is cut into (none for the grain ``total``) and its total."""

    period: Period
    buckets: tuple[tuple[Span, Bucket], ...]
    total: Span

    @property
    def spans(self) -> tuple[Span, ...]:
        """Return every bucket, and the total."""
        return *(span for span, _ in self.buckets), self.total

    @property
    def rest(self) -> Span | None:
        """Return what the total holds beyond its whole days: the part of a running day."""
        total, start = self.total, self.total.start
        if total.openings:
            return None
        if total.last_day is not None:
            start = day_start(total.last_day + _DAY, self.period.zone)
        return msgspec.structs.replace(total, start=start, first_day=None, last_day=None) if start < total.end else None


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of days within which nothing that is asked changes over: run n begins on ``starts[n]``, and the last one

    is but the day after all of them.
    """

    starts: tuple[date, ...]

    def of(self, span: Span) -> slice:
        """Return the runs that a span is made of."""
        if span.first_day is None or span.last_day is None:
            return slice(0, 0)
        return slice(bisect_left(self.starts, span.first_day), bisect_left(self.starts, after(span.last_day)))


def after(day: date) -> date:
    """Return the day after; there is none after the last."""
    return day if day == date.max else day + _DAY


def stretch(period: Period, grain: Grain, kpis: int, *, elapsed: bool = False, sunday: bool = False) -> Stretch:
    """Return a range with its buckets; with ``elapsed`` the total reaches up to where the range has come.

    Weeks begin on Monday, with ``sunday`` on Sunday. Raises :class:`Invalid` for a grid without a first bucket,
    :class:`TooLarge` for one too fine for ``kpis`` KPIs.
    """
    cut = _buckets(period, grain, kpis, sunday=sunday)
    return Stretch(period=period, buckets=cut, total=total_span(period, elapsed=elapsed))


def segments(stretches: Sequence[Stretch]) -> Segments:
    """Return the runs of days of ranges whose days are kept."""
    found: set[date] = set()
    for one in stretches:
        found |= edges(one)
        found |= {day for span in one.spans for day in _ends(span)}
    return Segments(starts=tuple(sorted(found)))


def edges(one: Stretch) -> frozenset[date]:
    """Return the days at whose beginning a span begins or ends; of the range ``lifetime`` there are none."""
    if one.period.start is None:
        return frozenset()
    spans = [span for span in one.spans if span is not one.total or one.rest is None]
    return frozenset((one.period.days[0], *(day for span in spans for day in _ends(span))))


def _ends(span: Span) -> tuple[date, ...]:
    if span.first_day is None or span.last_day is None:
        return ()
    return span.first_day, after(span.last_day)


def total_span(period: Period, *, elapsed: bool = False) -> Span:
    """Return the whole range as one bucket; with ``elapsed`` up to where it has come."""
    if period.start is None:
        return Span(
            number=TOTAL, start=_BEGINNING, end=period.end, first_day=date.min, last_day=date.max, openings=True
        )
    end = period.until if elapsed else period.end
    first, last = _whole_days(period.start, end, period.zone)
    return Span(number=TOTAL, start=period.start, end=end, first_day=first, last_day=last)


def _whole_days(start: datetime, end: datetime, zone: str) -> tuple[date | None, date | None]:
    """Return the first and last local day that lie wholly inside ``[start, end)``, or None twice."""
    first = local_day(start, zone)
    if day_start(first, zone) != start:
        first += _DAY
    last = local_day(end, zone) - _DAY
    return (first, last) if first <= last else (None, None)


def _buckets(period: Period, grain: Grain, kpis: int, *, sunday: bool) -> tuple[tuple[Span, Bucket], ...]:
    """Return the buckets of the range in the zone; the grain ``total`` needs none beside the whole range."""
    if grain is Grain.TOTAL:
        return ()
    if period.start is None:
        raise Invalid("the range lifetime has no first bucket", pointer="?granularity", code="no_grid")
    found = []
    grid = buckets(period.start, period.end, zone=period.zone, grain=grain, now=period.until, sunday=sunday)
    for number, bucket in enumerate(grid):
        first, last = (None, None) if grain is Grain.HOUR else _whole_days(bucket.start, bucket.end, period.zone)
        found.append((Span(number=number, start=bucket.start, end=bucket.end, first_day=first, last_day=last), bucket))
    if len(found) * kpis > MAX_CELLS:
        raise TooLarge(f"{len(found)} buckets of {kpis} metrics: take a coarser grain or a shorter range")
    return tuple(found)
