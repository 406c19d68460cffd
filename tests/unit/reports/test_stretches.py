"""Runs of days: every span is made of whole runs, and every edge of a span begins one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.kpi.buckets import Grain
from service.kpi.periods import day_start, of_days, previous, resolve
from service.ledger.history.spans import Span
from service.reports.stretches import Segments, Stretch, edges, segments, stretch, total_span

ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "America/Los_Angeles", "America/Havana", "Europe/London"])
GRAINS = st.sampled_from([Grain.TOTAL, Grain.DAY, Grain.WEEK, Grain.MONTH])
FIRST = date(2026, 2, 20)


def days_of(runs: Segments, span: Span) -> list[date]:
    """Return the days of the runs that a span is made of."""
    part = runs.of(span)
    ends = [*runs.starts[1:], runs.starts[-1]]
    return [
        start + timedelta(days=number)
        for start, end in zip(runs.starts[part], ends[part], strict=True)
        for number in range((end - start).days)
    ]


@given(st.integers(0, 80), st.integers(0, 70), st.integers(0, 90 * 24), ZONES, GRAINS)
def test_spans_are_made_of_runs(first: int, length: int, hours: int, zone: str, grain: Grain) -> None:
    now = datetime(2026, 3, 10, tzinfo=UTC) + timedelta(hours=hours)
    begins = FIRST + timedelta(days=first)
    period = of_days(begins, begins + timedelta(days=length), now=now, zone=zone)
    before = previous(period)
    assert before is not None
    both = [stretch(period, grain, 1), stretch(before, grain, 1, elapsed=True)]
    runs = segments(both)
    assert list(runs.starts) == sorted(set(runs.starts))
    for one in both:
        for span in one.spans:
            held = days_of(runs, span)
            assert held == [day for day in one.period.days if span.holds(day, day)]
            whole = span is not one.total or one.rest is None
            assert not whole or not held or held[0] in edges(one)
            assert not whole or not held or held[-1] + timedelta(days=1) in edges(one)
        assert edges(one) <= set(runs.starts)
        assert one.period.days[0] in edges(one)


@given(st.integers(0, 23), ZONES)
def test_a_running_day_is_the_rest_of_a_total(hour: int, zone: str) -> None:
    now = datetime(2026, 3, 11, hour, 47, tzinfo=UTC)
    one = stretch(resolve("last_3d", now=now, zone=zone), Grain.TOTAL, 1, elapsed=True)
    rest = one.rest
    assert rest is not None
    assert (rest.number, rest.end, rest.first_day) == (one.total.number, now, None)
    assert one.total.last_day is not None
    assert rest.start == day_start(one.total.last_day + timedelta(days=1), zone)
    assert edges(one) == {one.period.days[0]}
    assert stretch(one.period, Grain.TOTAL, 1).rest is None


def test_ever_has_no_edges_and_is_one_run() -> None:
    period = resolve("lifetime", now=datetime(2026, 3, 11, tzinfo=UTC), zone="UTC")
    one = Stretch(period=period, buckets=(), total=total_span(period))
    runs = segments([one])
    assert runs.starts == (date.min, date.max)
    assert runs.of(one.total) == slice(0, 1)
    assert (edges(one), one.rest) == (frozenset(), None)
