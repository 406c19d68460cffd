"""Days that begin inside a line: the sums that they bound are cut from it, and so are interpolated. Pure.

A cell of a tally carries a bit for each metric of which a line that stands began before its day. The local midnight
lies strictly inside the line, or it is an edge of the ledger's months at which the next piece of the line begins. Bits
are added by *or*, which cannot take one away: where a reversal does, the subject is rebuilt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from connectors.contract import ADDITIVE
from service.ledger.readings import SeriesKey
from service.ledger.rows import Placed
from service.ledger.series import Flag, Line, mask_of
from service.ledger.tallies import Cell, local_days

Carried = dict[tuple[UUID, Cell], int]
"""The bits of cells that have any, by subject and cell."""
_ADDITIVE = mask_of(ADDITIVE)
_NEVER_CUT = Flag.OPENING | Flag.SHORT
Crossing = tuple[UUID, int, str, date]


@lru_cache(maxsize=4096)
def _begins(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def crossed(line: Line, zone: str) -> Sequence[date]:
    """Return the days of a zone that begin inside a line."""
    if line.day is not None or line.flags & _NEVER_CUT or line.valid_from == line.valid_to:
        return ()
    days, _ = local_days(line.valid_from, line.valid_to, zone)
    goes_on = line.flags & Flag.LEFT and _begins(days[0], zone) == line.valid_from
    return days if goes_on else days[1:]


def mask(line: Line) -> int:
    """Return the bits of the metrics of a line that tallies sum."""
    return mask_of(line.metrics) & _ADDITIVE


def carry(found: Carried, subject_id: UUID, line: Line, key: SeriesKey, zones: Iterable[str]) -> None:
    """Add to ``found`` what a line that stands, or is written, carries into the days of its subject."""
    for zone in zones:
        for day in crossed(line, zone):
            bits = mask(line)
            if bits:
                cell = (subject_id, Cell(day, zone, 0, 1, key.currency, key.paid))
                found[cell] = found.get(cell, 0) | bits


def bared(placed: Sequence[Placed], tallied: Iterable[int], zones: Mapping[UUID, Sequence[str]]) -> set[UUID]:
    """Return the subjects of which reversals take a crossing that no new line of its series and metric puts back.

    ``placed`` are the lines of a posting, ``tallied`` the series that count, ``zones`` what subjects are asked in.
    """
    counted = set(tallied)
    disturbed = {(row.subject_id, row.series_id) for row in placed if row.line.sign < 0 and row.series_id in counted}
    taken: dict[Crossing, int] = defaultdict(int)
    given: dict[Crossing, int] = defaultdict(int)
    for row in placed:
        if (row.subject_id, row.series_id) in disturbed:
            side = taken if row.line.sign < 0 else given
            for zone in zones.get(row.subject_id, ()):
                for day in crossed(row.line, zone):
                    side[row.subject_id, row.series_id, zone, day] |= mask(row.line)
    return {crossing[0] for crossing, bits in taken.items() if bits & ~given.get(crossing, 0)}
