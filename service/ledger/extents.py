"""How far the lines of a subject reach: the newest reading, and the days of the longest window that counts.

Both only grow, and stand on the subject's row: an answer says how fresh it is, and knows how far before its range a
window may begin, without a look at the lines.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from service.ledger import statements
from service.ledger.rows import Placed

Extents = dict[UUID, tuple[datetime, int]]
"""By subject: the newest ``observed_at`` of its lines, and the days of its longest window that counts (at least 1)."""


def extents(placed: Iterable[Placed], tallied: Container[int]) -> Extents:
    """Return how far lines reach; ``tallied`` are the series that count."""
    found: Extents = {}
    for row in placed:
        at, days = row.line.observed_at, row.line.days if row.series_id in tallied else 1
        known = found.get(row.subject_id)
        found[row.subject_id] = (at, max(days, 1)) if known is None else (max(known[0], at), max(known[1], days))
    return found


async def extend(connection: asyncpg.Connection[Any], workspace_id: UUID, found: Extents) -> None:
    """Let subjects reach as far as new lines do, rows in key order."""
    if found:
        ids = sorted(found)
        reached = [found[one] for one in ids]
        await connection.execute(
            statements.EXTEND_SUBJECTS, workspace_id, ids, [at for at, _ in reached], [days for _, days in reached]
        )
