"""How far the lines of a subject reach: the newest reading, and the days of the longest window that counts.

Both only grow, and stand on the subject's row: an answer says how fresh it is, and knows how far before its range a
window may begin, without a look at the lines. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import numpy as np

from service.ledger.sheet import Sheet


class Extent(NamedTuple):
    """The newest ``observed_at`` of a subject's lines, and the days of its longest window that counts (at least 1)."""

    observed_at: datetime
    longest: int


def extents(sheet: Sheet, tallied: Callable[[int], bool]) -> dict[UUID, Extent]:
    """Return how far the lines of a posting reach; ``tallied`` tells which series count."""
    if not len(sheet):
        return {}
    subjects, formed = sheet.arrays()
    # Instants in the order of time, in seconds: as near as a microsecond they differ there too.
    order = np.argsort(np.array([saying.observed_at.timestamp() for saying in sheet.sayings]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    newest = np.zeros(len(sheet.roster.ids), dtype=np.int64)
    np.maximum.at(newest, subjects, rank[sheet.said])
    longest = np.ones(len(sheet.roster.ids), dtype=np.int64)
    days = np.array([form.days if tallied(form.series_id) else 0 for form in sheet.forms])
    np.maximum.at(longest, subjects, days[formed])
    return {
        sheet.roster.ids[place]: Extent(sheet.sayings[order[newest[place]]].observed_at, int(longest[place]))
        for place in np.unique(subjects).tolist()
    }
