"""What one look says of a batch's readings is what booking them one by one would do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ledger.grid import NULL, grid_of
from service.ledger.look import CLOSER, CONFIRMED, KNOWN, NEW, Asked, judge
from service.ledger.series import Cause, Line, Ref, WindowReading, book_at_length, mask_of, spoke

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
WINDOW = (7, BEGIN, BEGIN + timedelta(days=1))
OTHERS = ((6, *WINDOW[1:]), (7, BEGIN, BEGIN + timedelta(days=2)))
"""Windows that begin with it."""
METRICS = ("impressions", "views", "likes")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
IDS = tuple(UUID(int=n << 8) for n in (5, 3, 9))
"""Identifiers that end in zeros are told apart too."""


class Known(NamedTuple):
    """What is known of a window."""

    lines: list[Line]
    confirmations: list[tuple[int, datetime]]


def at(hour: int) -> datetime:
    return BEGIN + timedelta(days=5, hours=hour)


def ref(hour: int) -> Ref:
    return Ref(UUID(int=hour + 1), BEGIN + timedelta(days=9))


def readings(least: int = 1) -> st.SearchStrategy[WindowReading]:
    numbers = st.dictionaries(st.sampled_from(METRICS), st.integers(0, 2), min_size=least)
    return st.builds(lambda hour, said: WindowReading(at(hour), said, ref(hour), 0), st.integers(0, 6), numbers)


def _line(sign: int, cause: int, said_at: datetime, by: Ref, metrics: Any) -> Line:
    return Line(WINDOW[1], WINDOW[2], sign, cause, 0, said_at, by, metrics, BEGIN.date(), 1)


@st.composite
def windows(draw: st.DrawFn) -> Known:
    """Return what readings, one after the other, and one that is taken back as never said, leave of a window."""
    known = Known([], [])
    confirmed: dict[int, datetime] = {}
    before = None
    for stated in draw(st.lists(readings(), max_size=3)):
        # What is said again is what confirms.
        reading = stated if before is None or draw(st.booleans()) else stated._replace(metrics=before)
        before = reading.metrics
        booked = book_at_length(known.lines, known.confirmations, [reading])
        known.lines.extend(
            _line(part.sign, part.cause, part.observed_at, part.ref, part.metrics) for part in booked.written
        )
        for mask, when in booked.confirmed:
            confirmed[mask] = max(when, confirmed.get(mask, when))
        known.confirmations[:] = confirmed.items()
    if known.lines and draw(st.integers(0, 3)) == 0:
        taken = draw(st.sampled_from([line for line in known.lines if line.sign > 0]))
        back = {metric: -amount for metric, amount in taken.metrics.items()}
        known.lines.append(_line(-1, Cause.MAPPING_CHANGED, taken.observed_at, taken.ref, back))
    return known


@st.composite
def cases(draw: st.DrawFn) -> tuple[Known, WindowReading]:
    """Return a window and a reading of it, which often says what a line of it says."""
    known, reading = draw(windows()), draw(readings())
    spoken = [line for line in known.lines if line.sign > 0]
    if draw(st.booleans()) and spoken:
        reading = reading._replace(metrics=draw(st.sampled_from(spoken)).metrics)
    return known, reading


def _bytes(values: Sequence[int], width: str) -> bytes | None:
    return np.array(values, dtype=width).tobytes() if values else None


def _micros(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


def _columns(names: Sequence[UUID], keys: Sequence[tuple[int, datetime, datetime]]) -> dict[str, Any]:
    return {
        "subjects": b"".join(name.bytes for name in names) or None,
        "series_id": _bytes([key[0] for key in keys], ">i8"),
        "valid_from": _bytes([_micros(key[1]) for key in keys], ">i8"),
        "valid_to": _bytes([_micros(key[2]) for key in keys], ">i8"),
    }


def _lines(known: Sequence[Known], metrics: Sequence[str]) -> dict[str, Any]:
    """Return the lines of windows as the database gives them, each also as one of another series and length."""
    rows = [
        (name, key, line)
        for name, of in zip(IDS, known, strict=False)
        for line in of.lines
        for key in (WINDOW, *OTHERS)
    ]
    lines = [line for _, _, line in rows]
    return _columns([name for name, _, _ in rows], [key for _, key, _ in rows]) | {
        "observed_at": _bytes([_micros(line.observed_at) for line in lines], ">i8"),
        "sign": _bytes([line.sign for line in lines], ">i2"),
        "spoke": _bytes([spoke(line) for line in lines], ">i2"),
        "known": _bytes([len(line.metrics) for line in lines], ">i2"),
        **{metric: _bytes([line.metrics.get(metric, NULL) for line in lines], ">i8") for metric in metrics},
    }


def _confirmations(known: Sequence[Known]) -> dict[str, Any]:
    rows = [(name, *one) for name, of in zip(IDS, known, strict=False) for one in of.confirmations]
    return _columns([name for name, _, _ in rows], [WINDOW] * len(rows)) | {
        "mask": _bytes([mask for _, mask, _ in rows], ">i8"),
        "confirmed_at": _bytes([_micros(when) for _, _, when in rows], ">i8"),
    }


@settings(max_examples=200)
@given(st.lists(cases(), min_size=1, max_size=3))
def test_what_is_told_at_once_is_what_booking_does(given_: list[tuple[Known, WindowReading]]) -> None:
    known, said = [case[0] for case in given_], [case[1] for case in given_]
    grid = grid_of([reading.metrics for reading in said])
    places = np.arange(len(given_))
    asked = Asked(
        IDS, (OTHERS[0], WINDOW), [reading.at for reading in said], places, np.ones_like(places), places, grid
    )
    found = judge(asked, _lines(known, grid.metrics), _confirmations(known)).tolist()
    for verdict, window, reading in zip(found, known, said, strict=True):
        booked = book_at_length(window.lines, window.confirmations, [reading])
        assert (verdict == NEW) == (not window.lines and not window.confirmations)
        if verdict == KNOWN:
            assert (booked.written, booked.confirmed) == ([], [])
        elif verdict == CONFIRMED:
            assert (booked.written, booked.confirmed) == ([], [(mask_of(reading.metrics), reading.at)])
        if len(window.lines) == 1 and not window.confirmations:
            (line,) = window.lines
            is_older = reading.at < line.observed_at and reading.metrics.keys() <= line.metrics.keys()
            assert verdict != CLOSER or not (is_older or reading.metrics == line.metrics)
