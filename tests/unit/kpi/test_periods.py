from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import Invalid
from service.kpi.buckets import Bucket, Grain, buckets
from service.kpi.periods import (
    Flight,
    Period,
    day_start,
    of_days,
    of_instants,
    previous,
    previous_year,
    resolve,
    shifted,
)

BERLIN = "Europe/Berlin"
# A Tuesday, two days after the clocks went forward; 14:30 in Berlin.
NOW = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
ZONES = ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo"]

zones = st.sampled_from(ZONES)
BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)
instants = st.timedeltas(timedelta(), timedelta(days=25 * 365)).map(lambda after: BEGINNING + after)


def _local(at: datetime | None, zone: str = BERLIN) -> str:
    assert at is not None
    return at.astimezone(day_start(date(2026, 1, 1), zone).tzinfo).isoformat()


def _days(period: Period) -> tuple[str, str, int]:
    return period.days[0].isoformat(), period.days[-1].isoformat(), len(period.days)


@pytest.mark.parametrize(
    ("preset", "first", "last", "days", "partial"),
    [
        ("today", "2026-03-31", "2026-03-31", 1, True),
        ("yesterday", "2026-03-30", "2026-03-30", 1, False),
        ("last_7d", "2026-03-25", "2026-03-31", 7, True),
        ("last_7d_complete", "2026-03-24", "2026-03-30", 7, False),
        ("last_1d", "2026-03-31", "2026-03-31", 1, True),
        ("last_91d", "2025-12-31", "2026-03-31", 91, True),
        ("this_week", "2026-03-30", "2026-03-31", 2, True),
        ("last_week", "2026-03-23", "2026-03-29", 7, False),
        ("this_month", "2026-03-01", "2026-03-31", 31, True),
        ("last_month", "2026-02-01", "2026-02-28", 28, False),
        ("flight", "2026-03-28", "2026-04-02", 6, True),
        ("flight_to_date", "2026-03-28", "2026-03-31", 4, True),
    ],
)
def test_presets(preset: str, first: str, last: str, days: int, partial: bool) -> None:
    flight = Flight(first=date(2026, 3, 28), last=date(2026, 4, 2))
    period = resolve(preset, now=NOW, zone=BERLIN, flight=flight)
    assert _days(period) == (first, last, days)
    assert period.partial is partial
    assert period.start == day_start(date.fromisoformat(first), BERLIN)
    assert period.end == day_start(date.fromisoformat(last) + timedelta(days=1), BERLIN)
    assert period.until == (NOW if partial else period.end)


def test_a_week_with_a_change_of_clocks_has_167_hours() -> None:
    assert resolve("last_7d_complete", now=NOW, zone=BERLIN).hours == 167
    assert resolve("last_week", now=datetime(2026, 10, 27, 12, tzinfo=UTC), zone=BERLIN).hours == 169


def test_the_local_day_decides_not_the_utc_day() -> None:
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # half past midnight in Berlin
    assert resolve("today", now=late, zone=BERLIN).days == (date(2026, 4, 1),)
    assert resolve("today", now=late, zone="UTC").days == (date(2026, 3, 31),)


def test_rolling_day_and_lifetime() -> None:
    rolling = resolve("last_24h", now=NOW, zone=BERLIN)
    assert (rolling.start, rolling.end) == (NOW - timedelta(hours=24), NOW)
    assert not rolling.whole_days
    before = previous(rolling)
    assert before is not None
    assert (before.start, before.end) == (NOW - timedelta(hours=48), NOW - timedelta(hours=24))
    life = resolve("lifetime", now=NOW, zone=BERLIN)
    assert (life.start, life.end, life.hours) == (None, NOW, None)
    assert previous(life) is None
    assert previous_year(life) is None
    with pytest.raises(ValueError, match="lifetime"):
        shifted(life, 1)


@pytest.mark.parametrize(
    ("preset", "code"),
    [("last_0d", "unknown_preset"), ("last_7days", "unknown_preset"), ("flight", "no_flight")],
)
def test_what_cannot_be_resolved(preset: str, code: str) -> None:
    with pytest.raises(Invalid) as raised:
        resolve(preset, now=NOW, zone=BERLIN)
    assert raised.value.code == code
    if preset == "last_7days":
        assert raised.value.nearest == "last_7d"


def test_bad_ranges_and_zones() -> None:
    with pytest.raises(Invalid, match="time zone"):
        resolve("today", now=NOW, zone="Europe/Nowhere")
    with pytest.raises(Invalid, match="time zone"):
        resolve("today", now=NOW, zone="../etc/passwd")
    with pytest.raises(Invalid, match="ends on"):
        of_days(date(2026, 3, 2), date(2026, 3, 1), now=NOW, zone=BERLIN)
    with pytest.raises(Invalid, match="before it begins"):
        of_instants(NOW, NOW, now=NOW, zone=BERLIN)
    with pytest.raises(Invalid, match="offset"):
        of_instants(NOW.replace(tzinfo=None), NOW, now=NOW, zone=BERLIN)
    flight = Flight(first=date(2026, 4, 2), last=date(2026, 4, 3))
    with pytest.raises(Invalid, match="begins on 2026-04-02"):
        resolve("flight_to_date", now=NOW, zone=BERLIN, flight=flight)
    ahead = resolve("flight", now=NOW, zone=BERLIN, flight=flight)
    assert ahead.until == ahead.start


def test_the_previous_period_has_as_many_days_up_to_the_same_time_of_day() -> None:
    period = resolve("last_7d", now=NOW, zone=BERLIN)
    before = previous(period)
    assert before is not None
    assert _days(before) == ("2026-03-18", "2026-03-24", 7)
    # 14:30 local on both sides, although the clocks changed between them.
    assert before.until == datetime(2026, 3, 24, 13, 30, tzinfo=UTC)
    whole = previous(period, align_elapsed=False)
    assert whole is not None
    assert whole.until == whole.end


@pytest.mark.parametrize(
    ("preset", "now", "first", "last"),
    [
        ("this_week", NOW, "2026-03-23", "2026-03-24"),
        ("last_week", NOW, "2026-03-16", "2026-03-22"),
        ("this_month", datetime(2026, 3, 15, 9, tzinfo=UTC), "2026-02-01", "2026-02-15"),
        ("this_month", NOW, "2026-01-29", "2026-02-28"),  # February is too short for 31 days
        ("last_month", NOW, "2026-01-04", "2026-01-31"),
        ("yesterday", NOW, "2026-03-29", "2026-03-29"),
    ],
)
def test_like_days_meet_like_days(preset: str, now: datetime, first: str, last: str) -> None:
    period = resolve(preset, now=now, zone=BERLIN)
    before = previous(period)
    assert before is not None
    assert _days(before)[:2] == (first, last)
    assert len(before.days) == len(period.days)
    assert before.end <= (period.start or NOW)


def test_a_year_before() -> None:
    period = of_days(date(2028, 2, 28), date(2028, 3, 1), now=NOW, zone=BERLIN)
    weekdays = previous_year(period)
    dates = previous_year(period, same_weekdays=False)
    assert weekdays is not None
    assert dates is not None
    assert weekdays.days[0].weekday() == period.days[0].weekday()
    assert _days(dates) == ("2027-02-28", "2027-03-02", 3)
    leap = previous_year(of_days(date(2028, 2, 29), date(2028, 2, 29), now=NOW, zone=BERLIN), same_weekdays=False)
    assert leap is not None
    assert leap.days == (date(2027, 2, 28),)


@given(instants, st.integers(1, 60), zones)
@example(datetime(2024, 4, 25, tzinfo=UTC), 1, "Africa/Cairo")  # a day that begins at one o'clock
def test_previous_touches_the_range_and_has_as_many_days(now: datetime, size: int, zone: str) -> None:
    period = resolve(f"last_{size}d", now=now, zone=zone)
    before = previous(period)
    assert before is not None
    assert before.end == period.start
    assert len(before.days) == size
    assert before.start is not None
    assert before.start <= before.until <= before.end


def _cut(first: date, last: date, grain: Grain, zone: str = BERLIN, now: datetime = NOW) -> list[Bucket]:
    return buckets(day_start(first, zone), day_start(last + timedelta(days=1), zone), zone=zone, grain=grain, now=now)


def test_days_of_23_and_25_hours() -> None:
    assert [one.hours for one in _cut(date(2026, 3, 28), date(2026, 3, 30), Grain.DAY)] == [24, 23, 24]
    assert [one.hours for one in _cut(date(2026, 10, 24), date(2026, 10, 26), Grain.DAY)] == [24, 25, 24]
    assert len(_cut(date(2026, 3, 29), date(2026, 3, 29), Grain.HOUR)) == 23
    repeated = _cut(date(2026, 10, 25), date(2026, 10, 25), Grain.HOUR)
    assert len(repeated) == 25
    assert [one.label for one in repeated[2:4]] == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]


def test_seven_days_are_seven_buckets() -> None:
    period = resolve("last_7d", now=NOW, zone=BERLIN)
    assert period.start is not None
    cut = buckets(period.start, period.end, zone=BERLIN, grain=Grain.DAY, now=NOW)
    assert [one.label for one in cut] == [day.isoformat() for day in period.days]
    assert [one.partial for one in cut] == [False] * 6 + [True]
    until = buckets(period.start, period.until, zone=BERLIN, grain=Grain.DAY, now=NOW)
    assert until[-1].partial
    assert until[-1].end == NOW


def test_weeks_begin_on_monday_and_say_when_they_are_cut() -> None:
    cut = _cut(date(2026, 3, 11), date(2026, 3, 24), Grain.WEEK)
    assert [one.label for one in cut] == ["2026-03-09", "2026-03-16", "2026-03-23"]
    assert [one.partial for one in cut] == [True, False, True]


def test_months_and_the_future() -> None:
    cut = _cut(date(2025, 12, 15), date(2026, 5, 31), Grain.MONTH)
    assert [one.label for one in cut] == [
        "2025-12-01",
        "2026-01-01",
        "2026-02-01",
        "2026-03-01",
        "2026-04-01",
        "2026-05-01",
    ]
    assert [one.not_yet for one in cut] == [False] * 4 + [True] * 2
    assert [one.partial for one in cut] == [True, False, False, True, False, False]


def test_a_day_that_was_skipped_has_no_bucket() -> None:
    cut = _cut(date(2011, 12, 29), date(2011, 12, 31), Grain.DAY, zone="Pacific/Apia")
    assert [one.label for one in cut] == ["2011-12-29", "2011-12-31"]


def test_half_hours_where_the_clocks_move_by_half_an_hour() -> None:
    cut = _cut(date(2026, 4, 5), date(2026, 4, 5), Grain.HOUR, zone="Australia/Lord_Howe")
    assert sorted({one.hours for one in cut}) == [0.5, 1.0]
    assert sum(one.hours for one in cut) == 24.5
    assert [one.label[11:16] for one in cut[:5]] == ["00:00", "01:00", "01:30", "02:00", "03:00"]


def test_a_range_that_begins_in_a_repeated_half_hour() -> None:
    start = datetime(2026, 4, 4, 15, 15, tzinfo=UTC)  # 01:45 on Lord Howe for the second time
    cut = buckets(start, start + timedelta(hours=1), zone="Australia/Lord_Howe", grain=Grain.HOUR, now=NOW)
    assert [(one.start, one.hours) for one in cut] == [(start, 0.25), (start + timedelta(minutes=15), 0.75)]


def test_an_empty_range_has_no_buckets() -> None:
    assert buckets(NOW, NOW, zone=BERLIN, grain=Grain.TOTAL, now=NOW) == []


@given(instants, st.timedeltas(timedelta(microseconds=1), timedelta(days=40)), zones, st.sampled_from(list(Grain)))
def test_buckets_partition_the_range(start: datetime, length: timedelta, zone: str, grain: Grain) -> None:
    end = start + length
    cut = buckets(start, end, zone=zone, grain=grain, now=NOW)
    assert cut[0].start == start
    assert cut[-1].end == end
    assert all(one.end == other.start for one, other in pairwise(cut))
    assert all(one.start < one.end for one in cut)
    assert len({one.label for one in cut}) == len(cut) or grain is Grain.HOUR
