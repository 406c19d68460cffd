"""Which days begin inside a line, and which reversals leave a day without its crossing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.crossings import bared, crossed
from service.ledger.extents import extents
from service.ledger.series import BIT, Cause, Flag, Line, Ref, Step, pack
from service.ledger.sheet import Roster, Sheet
from service.ledger.tallies import spread

REF = Ref(UUID(int=1), datetime(2026, 6, 1, tzinfo=UTC))
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles", "America/Havana")
MONTHS = datetime(2026, 5, 20, tzinfo=UTC)
NOBODY = UUID(int=7)


def june(day: float) -> datetime:
    return datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=day - 1)


def line(start: datetime, end: datetime, sign: int = 1, flags: int = 0, **metrics: int) -> Line:
    return Line(start, end, sign, Cause.GROWTH, flags, end, REF, metrics or {"likes": 5})


@pytest.mark.parametrize(
    ("one", "zone", "days"),
    [
        (line(june(1), june(2)), "UTC", []),
        (line(june(1), june(2.1)), "UTC", [2]),
        (line(june(1.9), june(4)), "UTC", [2, 3]),
        (line(june(1), june(2)), "Asia/Kolkata", [2]),
        (line(june(2), june(2)), "UTC", []),
        (line(june(1), june(4), flags=Flag.OPENING), "UTC", []),
        (line(june(1), june(1.9), flags=Flag.SHORT), "Asia/Kolkata", []),
        (line(june(1), june(3), flags=Flag.LEFT), "UTC", [1, 2]),
        (line(june(1), june(3), flags=Flag.LEFT), "Asia/Kolkata", [2, 3]),
        (line(june(1), june(2))._replace(day=date(2026, 6, 1), days=1), "UTC", []),
    ],
)
def test_days_that_begin_inside_a_line(one: Line, zone: str, days: list[int]) -> None:
    assert [day.day for day in crossed(one, zone)] == days


@given(st.integers(0, 60 * 24), st.integers(1, 40 * 24), st.sampled_from(ZONES))
def test_pieces_cross_where_the_whole_does(start: int, length: int, zone: str) -> None:
    begin = MONTHS + timedelta(hours=start)
    step = Step(begin, begin + timedelta(hours=length), 10, 0, REF)
    pieces = pack([("likes", step, 1, int(Cause.GROWTH))])
    whole = crossed(line(step.start, step.end), zone)
    assert [day for piece in pieces for day in crossed(piece, zone)] == list(whole)
    cells = {cell.day for piece in pieces for cell, _ in spread(piece, (zone,), "", "", -1)}
    assert cells >= set(whole)


def sheet(*lines: tuple[int, Line]) -> Sheet:
    made = Sheet(Roster())
    for series, one in lines:
        made.add(NOBODY, series, one)
    return made


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        # A step is replaced by two that meet inside a day: the days are still crossed.
        ([(1, line(june(1), june(4), -1)), (1, line(june(1), june(2.5))), (1, line(june(2.5), june(4)))], False),
        # They meet at midnight: that day is not.
        ([(1, line(june(1), june(4), -1)), (1, line(june(1), june(2))), (1, line(june(2), june(4)))], True),
        # What another series carries over the midnight does not put it back, nor does another metric.
        ([(1, line(june(1), june(3), -1)), (2, line(june(1), june(3)))], True),
        ([(1, line(june(1), june(3), -1, likes=5, saves=1)), (1, line(june(1), june(3), likes=4))], True),
        ([(1, line(june(1), june(3), -1)), (1, line(june(1), june(3), likes=4, saves=1))], False),
        # A check series moves no tally, and a reversal inside a day takes nothing away.
        ([(3, line(june(1), june(4), -1))], False),
        ([(1, line(june(1), june(2), -1))], False),
    ],
)
def test_reversals_that_leave_a_day_bare(lines: list[tuple[int, Line]], found: bool) -> None:
    assert bared(sheet(*lines), {1, 2}.__contains__, lambda _subject: ("UTC",)) == ({NOBODY} if found else set())
    assert bared(sheet(*lines), {1, 2}.__contains__, lambda _subject: ()) == set()


def test_bits_of_a_reversal_are_those_of_its_metrics() -> None:
    assert BIT["likes"] != BIT["saves"]
    taken = sheet((1, line(june(1), june(3), -1, likes=-5)), (1, line(june(1), june(3), saves=4)))
    assert bared(taken, {1}.__contains__, lambda _subject: ("UTC",)) == {NOBODY}


def test_how_far_lines_reach() -> None:
    week = line(june(1), june(8))._replace(day=date(2026, 6, 1), days=7, observed_at=june(9))
    month = week._replace(days=28, observed_at=june(3))
    made = sheet((1, line(june(1), june(2))), (1, week), (2, month))
    assert extents(made, {1}.__contains__) == {NOBODY: (june(9), 7)}
    assert extents(made, {1, 2}.__contains__) == {NOBODY: (june(9), 28)}
    assert extents(sheet(), {1}.__contains__) == {}
