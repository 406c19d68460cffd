"""What lies before the edge of the books and is not written any more: retention takes it, or has taken it. Pure.

Months of validity are dropped whole, and what is kept is exact because everything before the edge was carried over it
once. A point before the edge would be lost with the months, or counted beside what was carried.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Protocol
from zoneinfo import ZoneInfo

from connectors.contract import Window
from service.ledger.readings import EventReading
from service.ledger.tallies import OPENING_DAY, Cell


class _Reading(Protocol):
    @property
    def at(self) -> datetime: ...

    @property
    def window(self) -> Window | None: ...


def is_kept(reading: EventReading | _Reading, kept_from: datetime | None) -> bool:
    """Tell whether a reading lies after the edge: its window's start, else its instant."""
    if kept_from is None:
        return True
    window = None if isinstance(reading, EventReading) else reading.window
    return (window.start if window is not None else reading.at) >= kept_from


def is_whole(cell: Cell, kept_from: datetime | None) -> bool:
    """Tell whether a cell of a tally lies wholly after the edge: then it is what the entries say.

    Days before it may be gone, or lack the part before the edge; so do openings, which were carried.
    """
    if kept_from is None:
        return True
    if cell.day == OPENING_DAY:
        return False
    return datetime.combine(cell.day, time(), ZoneInfo(cell.zone or "UTC")) >= kept_from
