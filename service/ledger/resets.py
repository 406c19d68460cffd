"""What people say of falls of counters: a true reset, or a correction that stands as it is booked.

A verdict is a dated fact about the series, like any other in the books: append-only, under a posting. A confirmed reset
adds lines of its own (cause ``reset_confirmed``) that turn the booked fall into growth from zero; the chain of values,
and so the balance, stays what the platform said. A correction adds nothing. Either closes what was withheld.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import STORED, Kind
from service.context import Context
from service.db.engine import driver
from service.errors import Gone, Invalid, NotFound
from service.ledger import recount
from service.ledger.posting import Posting, close_posting, open_posting
from service.ledger.recount import Moved
from service.ledger.replace import Placed
from service.ledger.replace_write import write_lines
from service.ledger.rows import SeriesOf, line_of
from service.ledger.series import Flag, Line, Step, pack, reset_changes, standing
from service.ledger.verdicts import resets_in, verdicts
from service.records import Settled, Verdict

RESET = "reset"
"""The cause of postings that hold a verdict."""


_PLATFORM = "select platform from subjects where workspace_id = $1 and subject_id = $2"
_COUNTERS = """
select e.*, s.kind, s.scope, s.zone, s.currency, s.paid, s.goal, s.counted
from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
where e.workspace_id = $1 and e.subject_id = $2 and s.counted and s.kind in ('lifetime', 'level')
"""
_SAID = """
select max(p.posting) from resets r join postings p on p.workspace_id = $1 and p.batch = r.batch
where r.workspace_id = $1 and r.subject_id = $2 and r.series_id = $3 and r.metric = $4 and r.at = $5
"""
_WRITE = """
insert into resets (workspace_id, subject_id, series_id, metric, at, batch, verdict, actor)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def settle(
    connection: AsyncConnection,
    workspace_id: UUID,
    subject_id: UUID,
    metric: str,
    at: datetime,
    verdict: Verdict,
    actor: str,
    context: Context,
) -> Settled:
    """Say what the step of a counter to its reading at ``at`` is, in a posting of its own; twice is once.

    The transaction is the caller's. Raises NotFound for a subject that is not there, Invalid for a metric, a reading or
    a step that can be neither, Gone for one that retention took.
    """
    if metric not in STORED:
        raise Invalid(f"{metric[:40]} is no metric that is counted", pointer="/metric", code="unknown_metric")
    posting = await open_posting(connection, workspace_id, context, cause=RESET, exclusive=True)
    raw = await driver(connection)
    platform = await raw.fetchval(_PLATFORM, workspace_id, subject_id)
    if platform is None:
        raise NotFound("no such subject")
    if posting.kept_from is not None and at < posting.kept_from:
        raise Gone("retention took what was before; a fall in it cannot be settled any more")
    number, kind, lines = await _series(raw, workspace_id, subject_id, metric, at)
    if verdict is Verdict.RESET and kind is not Kind.LIFETIME:
        raise Invalid("only a counter since publication begins anew", pointer="/verdict", code="not_a_counter")
    chain = standing(lines, metric)
    old, new = _values(chain, at)
    known = (await verdicts(raw, workspace_id, [subject_id])).get((subject_id, number), {})
    said = Settled(subject_id=subject_id, metric=metric, at=at, verdict=verdict, old=old, new=new, posting=0)
    if known.get((metric, at)) is verdict:
        return msgspec.structs.replace(
            said, posting=await raw.fetchval(_SAID, workspace_id, subject_id, number, metric, at)
        )
    resets = resets_in(known | {(metric, at): verdict})[metric]
    lines_written = await _rewrite(raw, posting, platform, (subject_id, number), metric, lines, resets)
    await raw.execute(_WRITE, workspace_id, subject_id, number, metric, at, posting.batch, str(verdict), actor)
    closed = await close_posting(connection, posting, context, entries=lines_written)
    return msgspec.structs.replace(said, posting=closed.number)


async def _series(
    raw: asyncpg.Connection[Any], workspace_id: UUID, subject_id: UUID, metric: str, at: datetime
) -> tuple[int, Kind, list[Line]]:
    """Return the counted series that has a reading of the metric at an instant, with its lines."""
    lines: dict[int, list[Line]] = defaultdict(list)
    kinds = {}
    for row in await raw.fetch(_COUNTERS, workspace_id, subject_id):
        lines[row["series_id"]].append(line_of(row))
        kinds[row["series_id"]] = Kind(row["kind"])
    for number in sorted(lines):
        if any(step.end == at for step in standing(lines[number], metric)):
            return number, kinds[number], lines[number]
    raise Invalid(f"the subject has no reading of {metric} at this instant", pointer="/at", code="no_reading")


def _values(chain: Sequence[Step], at: datetime) -> tuple[int, int]:
    """Return the values before and after the step to an instant. Raises Invalid where it is the counter's first."""
    step = next((one for one in chain if one.end == at and not one.flags & Flag.SAME), None)
    if step is None or step.flags & (Flag.OPENING | Flag.FIRST):
        raise Invalid("this is the first reading of the counter", pointer="/at", code="first_reading")
    new = sum(one.delta for one in chain if one.end < at or one is step)
    return new - step.delta, new


async def _rewrite(
    raw: asyncpg.Connection[Any],
    posting: Posting,
    platform: str,
    key: SeriesOf,
    metric: str,
    lines: Sequence[Line],
    resets: set[datetime],
) -> int:
    """Write what the resets of a metric add now, less what they added before."""
    placed = [Placed(*key, line) for line in pack(reset_changes(lines, metric, standing(lines, metric), resets))]
    await write_lines(raw, posting, placed)
    stretch = recount.NOTHING
    for row in placed:
        stretch = stretch.joined(row.line)
    campaigns = await recount.campaigns_of(raw, posting.workspace_id, [key[0]])
    moved = Moved(platform=platform, stretches={key[0]: stretch}, before=campaigns, after=campaigns)
    await recount.recount(raw, posting, moved)
    return len(placed)
