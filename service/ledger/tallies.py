"""From ledger lines to tally cells: which day of which zone a line's amounts belong to. Pure.

A line without a window of whole days is cut to the days of a zone; a window of whole source days keeps its own days
(``basis`` 1), since days of another zone cannot be made of them. Openings stand on the day before all days: they are
in the balance and in the range ``lifetime``, in no other bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connectors.contract import ADDITIVE
from service.ledger.series import Flag, Line, cut

OPENING_DAY = date.min
"""PostgreSQL's ``-infinity``: the driver reads and writes one as the other."""
_ADDITIVE = frozenset(ADDITIVE)

Sums = Mapping[str, int]
"""Amounts by metric; an absent one is null."""


class Cell(NamedTuple):
    """The key of a tally row, without its workspace and subject."""

    day: date
    zone: str
    basis: int
    days: int
    currency: str
    paid: int


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=65536)
def local_days(start: datetime, end: datetime, zone: str) -> tuple[tuple[date, ...], tuple[datetime, ...]]:
    """Return the local days that ``[start, end)`` touches (an instant touches one) and the midnights between them."""
    tz = _zone(zone)
    first = start.astimezone(tz).date()
    days = [first]
    edges = []
    if end > start:
        following = first + timedelta(days=1)
        midnight = datetime.combine(following, time(), tz).astimezone(UTC)
        while midnight < end:
            days.append(following)
            edges.append(midnight)
            following += timedelta(days=1)
            midnight = datetime.combine(following, time(), tz).astimezone(UTC)
    return tuple(days), tuple(edges)


def additive(metrics: Sums) -> Sums:
    """Return the amounts that tallies sum."""
    if _ADDITIVE.issuperset(metrics):
        return metrics
    return {metric: amount for metric, amount in metrics.items() if metric in _ADDITIVE}


def spread(line: Line, zones: Iterable[str], source_zone: str, currency: str, paid: int) -> list[tuple[Cell, Sums]]:
    """Return the tally cells of one line for the zones that its subject is asked in, with its additive amounts.

    Cells may share one mapping with the line: it is read, not changed.
    """
    amounts = additive(line.metrics)
    if not amounts:
        return []
    if line.day is not None:
        return [(Cell(line.day, source_zone, 1, line.days, currency, paid), amounts)]
    found: list[tuple[Cell, Sums]] = []
    for zone in zones:
        if line.flags & Flag.OPENING:
            found.append((Cell(OPENING_DAY, zone, 0, 1, currency, paid), amounts))
            continue
        # A window shorter than a day is never cut: it belongs to the day in which it begins.
        end = line.valid_from if line.flags & Flag.SHORT else line.valid_to
        days, edges = local_days(line.valid_from, end, zone)
        if not edges:
            found.append((Cell(days[0], zone, 0, 1, currency, paid), amounts))
        else:
            shares = {metric: cut(amount, line.valid_from, line.valid_to, edges) for metric, amount in amounts.items()}
            for place, day in enumerate(days):
                part = {metric: parts[place] for metric, parts in shares.items()}
                found.append((Cell(day, zone, 0, 1, currency, paid), part))
    return found
