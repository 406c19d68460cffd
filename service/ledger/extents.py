"""How far the lines of a subject reach: the newest reading, and the days of the longest window that counts.

Both only grow, and stand on the subject's row: an answer says how fresh it is, and knows how far before its range a
window may begin, without a look at the lines.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import numpy as np

from service.ledger import statements
from service.ledger.sheet import Sheet


class Extent(NamedTuple):
    """The newest ``observed_at`` of a subject's lines, and the days of its longest window that counts (at least 1)."""

    observed_at: datetime
    longest: int


def extents(sheet: Sheet, tallied: Callable[[int], bool]) -> dict[UUID, Extent]:
    """Return how far the lines of a posting reach; ``tallied`` tells which series count."""
    if not len(sheet):
        return {}
    subjects, numbers = np.array(sheet.subjects), np.array(sheet.numbers)
    said = sorted({shape.observed_at for shape in sheet.shapes})
    rank = {at: place for place, at in enumerate(said)}
    newest = np.zeros(len(sheet.roster.ids), dtype=np.int64)
    np.maximum.at(newest, subjects, np.array([rank[shape.observed_at] for shape in sheet.shapes])[numbers])
    longest = np.ones(len(sheet.roster.ids), dtype=np.int64)
    days = np.array([shape.days if tallied(shape.series_id) else 0 for shape in sheet.shapes])
    np.maximum.at(longest, subjects, days[numbers])
    return {
        sheet.roster.ids[place]: Extent(said[newest[place]], int(longest[place]))
        for place in np.unique(subjects).tolist()
    }


async def extend(
    connection: asyncpg.Connection[Any], workspace_id: UUID, sheet: Sheet, tallied: Callable[[int], bool]
) -> None:
    """Let subjects reach as far as the lines of a posting do, rows in key order."""
    found = extents(sheet, tallied)
    if found:
        ids = sorted(found)
        given = [[found[one].observed_at for one in ids], [found[one].longest for one in ids]]
        await connection.execute(statements.EXTEND_SUBJECTS, workspace_id, ids, *given)
