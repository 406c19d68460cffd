"""The edges of the ledger's partitions: UTC months, with one stretch for all before :data:`FIRST_MONTH`. Pure.

The edges are part of the books: an entry over an interval that crosses one is cut there, and nowhere else. The months
in the database are made by ``service.db.partitions`` and begin at the same instant.
"""

from __future__ import annotations

from datetime import UTC, datetime

FIRST_MONTH = datetime(2025, 1, 1, tzinfo=UTC)
_EVER = datetime(1900, 1, 1, tzinfo=UTC)


def month_start(instant: datetime) -> datetime:
    """Return the first instant of the UTC month of ``instant``."""
    at = instant.astimezone(UTC)
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def next_month(start: datetime) -> datetime:
    """Return the month after the one that begins at ``start``."""
    return datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)


def stretch_start(instant: datetime) -> datetime:
    """Return where the partition of ``instant`` begins: no entry that ends after ``instant`` begins before that."""
    return month_start(instant) if instant >= FIRST_MONTH else _EVER


def edges_between(start: datetime, end: datetime) -> list[datetime]:
    """Return the partition edges strictly inside ``(start, end)``, ascending."""
    if end <= FIRST_MONTH or (start.year == end.year and start.month == end.month):
        return []
    edge = FIRST_MONTH if start < FIRST_MONTH else next_month(month_start(start))
    found = []
    while edge < end:
        found.append(edge)
        edge = next_month(edge)
    return found
