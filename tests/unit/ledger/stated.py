"""Windows as readings leave them, and readings of them: what the tests of looks at windows draw from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

from service.ledger.series import Cause, Line, Ref, WindowReading, book_at_length

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
WINDOW = (7, BEGIN, BEGIN + timedelta(days=1))
METRICS = ("impressions", "views", "likes")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


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


def as_bytes(values: Sequence[int], width: str) -> bytes | None:
    """Return numbers as the database sends them."""
    return np.array(values, dtype=width).tobytes() if values else None


def micros(when: datetime) -> int:
    """Return an instant as the database counts it."""
    return (when - EPOCH) // timedelta(microseconds=1)
