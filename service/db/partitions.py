"""The months of the ledger and the days of the inbox, as partitions made ahead of time.

Entries, confirmations and tallies are partitioned by month of validity (UTC), with one partition for all before
``service.ledger.edges.FIRST_MONTH``; deliveries and their outcomes by day of receipt. There is no default partition: a
row that finds none is an error that shows, not a row that hides.
"""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

AHEAD = timedelta(days=35)

_MAKE = sa.text("select tallybook_make_partitions(:today, :ahead)")
_LAST = sa.text("select tallybook_last_partition()")


async def make_partitions(connection: AsyncConnection, today: date, ahead: timedelta = AHEAD) -> int:
    """Make the partitions up to ``today`` plus ``ahead``; return how many are new. Safe to repeat, and side by side."""
    made = await connection.scalar(_MAKE, {"today": today, "ahead": ahead.days})
    return int(made or 0)


async def days_left(connection: AsyncConnection, today: date) -> int:
    """Return for how many days from ``today`` every table has its partitions: the alarm looks at this."""
    last = await connection.scalar(_LAST)
    return (last - today).days if last is not None else 0
