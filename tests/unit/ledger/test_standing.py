"""What is told and booked of the windows of a batch all together is what booking them one by one says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Quality, day_window
from service.ledger.grid import NULL, Grid, grid_of
from service.ledger.look import CLOSER, CONFIRMED, KNOWN, NEW
from service.ledger.series import QUALITY, Booked, Cause, Line, Mark, WindowReading, Written, book, mask_of, spoke
from service.ledger.standing import RESTATED, Standing
from tests.unit.ledger.stated import BEGIN, Known, as_bytes, at, cases, micros, ref

DAY = day_window(BEGIN.date(), "UTC")


def _row(known: Sequence[Known], metrics: Sequence[str]) -> dict[str, Any]:
    """Return what the database would say of windows."""
    rows = [(place, line) for place, of in enumerate(known) for line in of.lines]
    lines = [line for _, line in rows]
    said = [(place, *one) for place, of in enumerate(known) for one in of.confirmations]
    return {
        "line_of": as_bytes([place for place, _ in rows], ">i4"),
        "sign": as_bytes([line.sign for line in lines], ">i2"),
        "cause": as_bytes([line.cause for line in lines], ">i2"),
        "flags": as_bytes([line.flags for line in lines], ">i2"),
        "spoke": as_bytes([spoke(line) for line in lines], ">i2"),
        "known": as_bytes([len(line.metrics) for line in lines], ">i2"),
        "observed": as_bytes([micros(line.observed_at) for line in lines], ">i8"),
        "observed_at": [line.observed_at for line in lines] or None,
        "delivery_id": [line.ref.delivery_id for line in lines] or None,
        "received_at": [line.ref.received_at for line in lines] or None,
        "confirmation_of": as_bytes([place for place, _, _ in said], ">i4"),
        "mask": as_bytes([mask for _, mask, _ in said], ">i8"),
        "confirmed": as_bytes([micros(when) for _, _, when in said], ">i8"),
        "confirmed_at": [when for _, _, when in said] or None,
        **{metric: as_bytes([line.metrics.get(metric, NULL) for line in lines], ">i8") for metric in metrics},
    }


def _booked(standing: Standing, place: int, reading: WindowReading, given_: Grid) -> Booked:
    """Return what is booked of one window among all."""
    found = standing.restated(np.array([place]), given_)
    (line,) = found.taken.tolist()
    at, by = standing.saying(line)
    back = Written(-1, Cause.REVERSAL, at, by, found.back.row(0), standing.quality(found.taken).tolist()[0])
    (mark,) = found.marks.tolist()
    said = Written(1, Cause.SOURCE_RESTATED, reading.at, reading.ref, found.new.row(0), reading.quality, mark)
    same = found.same.tolist()[0]
    return Booked([back, said], [(same, reading.at)] if same else [])


def _seen(line: Line, metrics: Sequence[str]) -> Line:
    return line._replace(metrics={metric: line.metrics[metric] for metric in metrics if metric in line.metrics})


@settings(max_examples=300)
@given(st.lists(cases(), min_size=1, max_size=4))
def test_what_is_booked_together_is_what_is_booked_one_by_one(given_: list[tuple[Known, WindowReading]]) -> None:
    known, said = [case[0] for case in given_], [case[1] for case in given_]
    grid = grid_of([reading.metrics for reading in said])
    standing = Standing(_row(known, grid.metrics), grid.metrics, len(known))
    verdicts = standing.judge([reading.at for reading in said], grid).tolist()
    for place, (verdict, window, reading) in enumerate(zip(verdicts, known, said, strict=True)):
        lines, whole = [_seen(line, grid.metrics) for line in window.lines], standing.is_whole(place)
        assert whole == all(line.metrics == kept.metrics for line, kept in zip(lines, window.lines, strict=True))
        assert standing.confirmations(place) == window.confirmations
        told = standing.lines(place, DAY)
        assert [(line.sign, line.cause, line.ref, line.metrics) for line in told] == [
            (line.sign, line.cause, line.ref, line.metrics) for line in lines
        ]
        booked = book(lines, window.confirmations, [reading], whole=whole)
        assert (verdict == NEW) == (not window.lines and not window.confirmations)
        if verdict == KNOWN:
            assert (booked.written, booked.confirmed) == ([], [])
        elif verdict == CONFIRMED:
            assert (booked.written, booked.confirmed) == ([], [(mask_of(reading.metrics), reading.at)])
        elif verdict == RESTATED:
            assert _booked(standing, place, reading, grid.taken([place])) == booked
        elif verdict == CLOSER and len(window.lines) == 1:
            assert not _is_usual(lines[0], window, reading)


def _is_usual(line: Line, window: Known, reading: WindowReading) -> bool:
    """Tell whether a reading is one that is told at once: of numbers of the line, and later than all of them."""
    newest = max([line.observed_at, *(when for _, when in window.confirmations)])
    return spoke(line) > 0 and reading.metrics.keys() <= line.metrics.keys() and reading.at > newest


def _line(hour: int, cause: Cause = Cause.GROWTH, sign: int = 1, flags: int = 0, **metrics: int) -> Line:
    return Line(DAY.start, DAY.end, sign, cause, flags, at(hour), ref(hour), metrics, DAY.day, 1)


@pytest.mark.parametrize(
    ("lines", "confirmations", "said", "verdict", "alone"),
    [
        ([_line(1, views=1, likes=2)], [], {"views": 3, "likes": 4}, RESTATED, True),
        # The batch does not speak of likes, which stand beside; then it speaks of them and they do not move.
        ([_line(1, views=1, likes=2)], [], {"views": 3}, RESTATED, False),
        ([_line(1, views=1, likes=2)], [], {"views": 3, "likes": 2}, RESTATED, False),
        # Said at the same instant, and before.
        ([_line(4, views=1)], [], {"views": 3}, CLOSER, False),
        ([_line(5, views=1)], [], {"views": 3}, KNOWN, False),
        # What the platform said against its numbers is taken back with them.
        ([_line(1, flags=QUALITY[Quality.SAMPLED], views=1)], [], {"views": 3}, RESTATED, True),
        # Views moved once before, and stand apart from likes.
        (
            [_line(1, views=1, likes=2), _line(1, Cause.REVERSAL, -1, views=-1), _line(2, views=2)],
            [],
            {"views": 3},
            CLOSER,
            False,
        ),
        # What retention carried is no saying; what was taken back is confirmed still.
        ([_line(1, Cause.CARRIED, views=1)], [], {"views": 3}, CLOSER, False),
        ([], [(mask_of(["views"]), at(1))], {"views": 3}, CLOSER, False),
    ],
)
def test_one_line_that_was_said_is_restated(
    lines: list[Line],
    confirmations: list[tuple[int, datetime]],
    said: dict[str, int],
    verdict: int,
    alone: bool,
) -> None:
    grid = grid_of([said])
    reading = WindowReading(at(4), said, ref(4), 0)
    standing = Standing(_row([Known(lines, confirmations)], grid.metrics), grid.metrics, 1)
    assert standing.judge([reading.at], grid).tolist() == [verdict]
    if verdict == RESTATED:
        booked = _booked(standing, 0, reading, grid)
        assert booked == book([_seen(lines[0], grid.metrics)], [], [reading], whole=standing.is_whole(0))
        assert bool(booked.written[1].mark & Mark.ALONE) == alone


def test_of_windows_that_nothing_stands_of_nothing_is_known() -> None:
    grid = grid_of([{"views": 1}])
    assert Standing({}, grid.metrics, 1).judge([BEGIN], grid).tolist() == [NEW]
