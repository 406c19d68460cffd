"""Days that begin inside a line: the sums that they bound are cut from it, and so are interpolated. Pure.

A cell of a tally carries a bit for each metric of which a line that stands began before its day. The local midnight
lies strictly inside the line, or it is an edge of the ledger's months at which the next piece of the line begins. Bits
are added by *or*, which cannot take one away: where a reversal does, the subject is rebuilt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from connectors.contract import ADDITIVE
from service.ledger.readings import SeriesKey
from service.ledger.series import Flag, Line, mask_of
from service.ledger.sheet import Form, Sheet
from service.ledger.tallies import Cell, local_days
from service.ledger.tally_rows import TallyRows

_ADDITIVE = mask_of(ADDITIVE)
_NEVER_CUT = Flag.OPENING | Flag.SHORT
Crossing = tuple[int, int, str, date]
"""A subject's place, a series, a zone and the day that begins inside a line."""


@lru_cache(maxsize=4096)
def _begins(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def crossed(line: Line | Form, zone: str) -> Sequence[date]:
    """Return the days of a zone that begin inside a line."""
    if line.day is not None or line.flags & _NEVER_CUT or line.valid_from == line.valid_to:
        return ()
    days, _ = local_days(line.valid_from, line.valid_to, zone)
    goes_on = line.flags & Flag.LEFT and _begins(days[0], zone) == line.valid_from
    return days if goes_on else days[1:]


def mask(metrics: Mapping[str, int]) -> int:
    """Return the bits of the metrics that tallies sum."""
    return mask_of(metrics) & _ADDITIVE


def carry(rows: TallyRows, owner: int, line: Line, key: SeriesKey, zones: Sequence[str]) -> None:
    """Add to the rows of a subject what a line carries into its days: a line that stands, or is being written."""
    bits = mask(line.metrics)
    for zone in zones if bits else ():
        for day in crossed(line, zone):
            rows.carry(owner, rows.cell(Cell(day, zone, 0, 1, key.currency, key.paid)), bits)


def bared(sheet: Sheet, tallied: Callable[[int], bool], zones_of: Callable[[UUID], Sequence[str]]) -> set[UUID]:
    """Return the subjects of which reversals take a crossing that no new line of its series and metric puts back.

    ``sheet`` are the lines of a posting, ``tallied`` tells which series count, ``zones_of`` what a subject is asked in.
    """
    disturbed = {form.series_id for form in sheet.forms if form.sign < 0 and _may_cross(form)}
    disturbed = {number for number in disturbed if tallied(number)}
    if not disturbed:
        return set()
    taken: dict[Crossing, int] = defaultdict(int)
    given: dict[Crossing, int] = defaultdict(int)
    zones = [zones_of(subject_id) for subject_id in sheet.roster.ids]
    grid = sheet.grid()
    for line, (place, number) in enumerate(zip(sheet.subjects, sheet.formed, strict=True)):
        form = sheet.forms[number]
        if form.series_id in disturbed:
            side, bits = taken if form.sign < 0 else given, mask(grid.row(line))
            for zone in zones[place]:
                for day in crossed(form, zone):
                    side[place, form.series_id, zone, day] |= bits
    return {sheet.roster.ids[crossing[0]] for crossing, bits in taken.items() if bits & ~given.get(crossing, 0)}


def _may_cross(form: Form) -> bool:
    return form.day is None and form.valid_from < form.valid_to
