"""What one look says of a batch's readings is what booking them one by one would do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ledger.grid import NULL, grid_of
from service.ledger.look import CLOSER, CONFIRMED, KNOWN, NEW, Asked, judge
from service.ledger.series import WindowReading, book_at_length, mask_of, spoke
from tests.unit.ledger.stated import BEGIN, WINDOW, Known, as_bytes, cases, micros

OTHERS = ((6, *WINDOW[1:]), (7, BEGIN, BEGIN + timedelta(days=2)))
"""Windows that begin with it."""
IDS = tuple(UUID(int=n << 8) for n in (5, 3, 9))
"""Identifiers that end in zeros are told apart too."""


def _columns(names: Sequence[UUID], keys: Sequence[tuple[int, datetime, datetime]]) -> dict[str, Any]:
    return {
        "subjects": b"".join(name.bytes for name in names) or None,
        "series_id": as_bytes([key[0] for key in keys], ">i8"),
        "valid_from": as_bytes([micros(key[1]) for key in keys], ">i8"),
        "valid_to": as_bytes([micros(key[2]) for key in keys], ">i8"),
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
        "observed_at": as_bytes([micros(line.observed_at) for line in lines], ">i8"),
        "sign": as_bytes([line.sign for line in lines], ">i2"),
        "spoke": as_bytes([spoke(line) for line in lines], ">i2"),
        "known": as_bytes([len(line.metrics) for line in lines], ">i2"),
        **{metric: as_bytes([line.metrics.get(metric, NULL) for line in lines], ">i8") for metric in metrics},
    }


def _confirmations(known: Sequence[Known]) -> dict[str, Any]:
    rows = [(name, *one) for name, of in zip(IDS, known, strict=False) for one in of.confirmations]
    return _columns([name for name, _, _ in rows], [WINDOW] * len(rows)) | {
        "mask": as_bytes([mask for _, mask, _ in rows], ">i8"),
        "confirmed_at": as_bytes([micros(when) for _, _, when in rows], ">i8"),
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
