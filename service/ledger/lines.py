"""The lines of a posting as rows of the ledger, and subjects that reach as far as their lines do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg

from service.ledger import statements
from service.ledger.extents import extents
from service.ledger.posting import Posting
from service.ledger.sheet import Sheet


async def write(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    sheet: Sheet,
    tallied: Callable[[int], bool],
    *,
    credits_: bool = False,
) -> None:
    """Write lines; ``tallied`` tells which series count, ``credits_`` that other lines of the posting stand beside.

    Subjects come first, rows in key order.
    """
    if not len(sheet):
        return
    found = extents(sheet, tallied)
    ids = sorted(found)
    given = [[found[one].observed_at for one in ids], [found[one].longest for one in ids]]
    await connection.execute(statements.EXTEND_SUBJECTS, posting.workspace_id, ids, *given)
    metrics, columns = sheet.columns()
    statement = statements.insert_entries(metrics, credits_=credits_)
    await connection.execute(statement, posting.workspace_id, posting.batch, *columns)
