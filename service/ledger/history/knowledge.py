"""What an answer knows: an instant of knowledge is resolved to the newest posting at or before it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.errors import Busy, Gone, Invalid

SETTLED_AFTER = timedelta(seconds=60)
"""An instant after the newest posting is settled when no slower clock can still date a posting before it."""
_UP_TO = """
select posting, recorded_at from postings where workspace_id = $1 and recorded_at <= $2
order by recorded_at desc limit 1
"""


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer knows: the posting's number, its time, and the instant the answer speaks at.

    ``number`` is None when nothing newer exists: the plain answer.
    """

    posting: int
    recorded_at: datetime
    clock: datetime
    number: int | None


async def resolved(
    connection: asyncpg.Connection[Any], workspace_id: UUID, newest: Knowledge, as_of: datetime
) -> Knowledge:
    """Resolve an instant of knowledge to a posting, given what is known now.

    Raises :class:`Invalid` for an instant ahead, :class:`Busy` for one that is not settled (both name the newest
    usable one), :class:`Gone` for one before the books begin.
    """
    _refuse_unsettled(newest, as_of)
    if as_of >= newest.recorded_at:
        return msgspec.structs.replace(newest, clock=as_of)
    row = await connection.fetchrow(_UP_TO, workspace_id, as_of)
    if row is None:
        raise Gone("the books of this workspace begin later")
    return Knowledge(posting=row["posting"], recorded_at=row["recorded_at"], clock=as_of, number=row["posting"])


def _refuse_unsettled(newest: Knowledge, as_of: datetime) -> None:
    now = newest.clock
    if as_of <= newest.recorded_at or now - as_of >= SETTLED_AFTER:
        return
    usable = max(newest.recorded_at, now - SETTLED_AFTER).isoformat().replace("+00:00", "Z")
    if as_of > now:
        raise Invalid(f"as_of lies ahead; the newest usable is {usable}", pointer="?as_of", code="as_of_ahead")
    seconds = (SETTLED_AFTER - (now - as_of)).seconds + 1
    raise Busy(f"as_of is not settled yet; the newest usable is {usable}", seconds)


def seen(number: int | None, parameter: int, line: str = "e") -> str:
    """Return the condition that the posting of a ``line`` is seen; with None it holds for every line."""
    if number is None:
        return f"${parameter}::bigint is null"
    return (
        f"{line}.batch in (select p.batch from postings p where p.workspace_id = $1 "
        f"and p.posting <= ${parameter}::bigint)"
    )


def of_paid(paid: int | None, line: str = "s") -> str:
    """Return the condition that a ``line`` is of paid (1), organic (0) or unsaid (-1) delivery; None: of any."""
    return "true" if paid is None else f"{line}.paid = {int(paid)}"
