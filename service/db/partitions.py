"""The months of the ledger and the days of the inbox, as partitions made ahead of time.

Entries, confirmations and tallies are partitioned by month of validity (UTC), with one partition for all before
``service.ledger.edges.FIRST_MONTH``; deliveries and their outcomes by day of receipt. There is no default partition: a
row that finds none is an error that shows, not a row that hides. What is older than is kept is dropped in whole
partitions, and the partition for all before then ends where the kept months begin.
"""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

AHEAD = timedelta(days=35)

_MAKE = sa.text("select tallybook_make_partitions(:today, :ahead)")
_LAST = sa.text("select tallybook_last_partition()")
_OLD = sa.text("select parent, child, bytes from tallybook_old_partitions(:deliveries, :validity)")
_DROP = sa.text("select tallybook_drop_partitions(:deliveries, :validity)")


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that holds nothing which is to be kept."""

    parent: str
    child: str
    bytes: int


async def make_partitions(connection: AsyncConnection, today: date, ahead: timedelta = AHEAD) -> int:
    """Make the partitions up to ``today`` plus ``ahead``; return how many are new. Safe to repeat, and side by side."""
    made = await connection.scalar(_MAKE, {"today": today, "ahead": ahead.days})
    return int(made or 0)


async def days_left(connection: AsyncConnection, today: date) -> int:
    """Return for how many days from ``today`` every table has its partitions: the alarm looks at this."""
    last = await connection.scalar(_LAST)
    return (last - today).days if last is not None else 0


async def old_partitions(
    connection: AsyncConnection, deliveries_before: date | None, validity_before: date | None
) -> list[Old]:
    """Return the partitions of deliveries and of validity that end on or before two days."""
    values = {"deliveries": deliveries_before, "validity": validity_before}
    return [Old(**row) for row in (await connection.execute(_OLD, values)).mappings()]


async def drop_partitions(
    connection: AsyncConnection, deliveries_before: date | None, validity_before: date | None
) -> list[str]:
    """Drop them and return their names. The database refuses while a workspace still needs one of them.

    It waits four seconds for readers, then fails as on any lock: what is asked for again later is done then.
    """
    values = {"deliveries": deliveries_before, "validity": validity_before}
    return list(await connection.scalar(_DROP, values) or ())
