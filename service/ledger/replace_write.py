"""Writing a plan of ``service.ledger.replace``: facts, memberships, series, lines, balances, confirmations, tallies.

All of it in one open posting that has the workspace to itself; nothing here decides what is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import STORED
from service.ledger import facts, lines, memberships, recount, statements
from service.ledger.conversions import reattribute
from service.ledger.grid import grid_of, packed
from service.ledger.posting import Posting
from service.ledger.readings import SeriesKey
from service.ledger.recount import Moved, Stretch
from service.ledger.replace import Placed, Plan, Spoken, WindowOf
from service.ledger.rows import SeriesOf
from service.ledger.sales import DECIDING
from service.ledger.series import mask_of
from service.ledger.sheet import Roster, Sheet
from service.records import SourceRow


async def write(
    connection: asyncpg.Connection[Any], posting: Posting, source: SourceRow, plan: Plan
) -> dict[UUID, int]:
    """Write a plan in an open posting that has the workspace to itself; return the lines per delivery."""
    workspace_id = posting.workspace_id
    stretches: dict[UUID, Stretch] = {subject.subject_id: recount.NOTHING for subject in plan.subjects.values()}
    for row in plan.placed:
        stretches[row.subject_id] = stretches.get(row.subject_id, recount.NOTHING).joined(row.line)
    before = await recount.campaigns_of(connection, workspace_id, list(stretches))
    await _write_subjects(connection, posting, plan)
    joined = await memberships.reassign(connection, posting, plan.platform, plan.subjects, exclusive=True)
    await write_series(connection, workspace_id, source, plan.series)
    await write_lines(connection, posting, plan.placed)
    await _write_balances(connection, workspace_id, plan)
    await _write_spoken(connection, workspace_id, plan.spoken)
    after = await recount.campaigns_of(connection, workspace_id, list(stretches))
    moved = Moved(platform=plan.platform, stretches=stretches, before=before, after=after)
    await recount.recount(connection, posting, moved)
    known = [subject for subject in plan.subjects.values() if not subject.fresh]
    learnt = {subject.subject_id for subject in known if subject.changed & DECIDING}
    credited = await reattribute(connection, posting, learnt | joined.moved.keys())
    await recount.recount_all(connection, posting, credited, {}, credited)
    return lines_per_delivery(plan.placed)


def lines_per_delivery(placed: Iterable[Placed]) -> dict[UUID, int]:
    """Return how many lines each delivery has among those written."""
    counted: dict[UUID, int] = defaultdict(int)
    for row in placed:
        counted[row.line.ref.delivery_id] += 1
    return counted


async def _write_subjects(connection: asyncpg.Connection[Any], posting: Posting, plan: Plan) -> None:
    rows = sorted(plan.subjects.values(), key=lambda subject: subject.subject_id)
    fresh = [subject for subject in rows if subject.fresh]
    await facts.make(connection, posting, plan.platform, fresh)
    await facts.write(connection, posting, rows, plan.old_facts)


_encode = msgspec.json.Encoder(order="sorted").encode


def _json(value: Any) -> str:
    return _encode(value).decode()


async def write_series(
    connection: asyncpg.Connection[Any], workspace_id: UUID, source: SourceRow, series: Mapping[int, SeriesKey]
) -> None:
    """Make the series of a source that are not there yet."""
    if not series:
        return
    numbers = sorted(series)
    keys = [series[number] for number in numbers]
    await connection.execute(
        statements.INSERT_SERIES,
        workspace_id,
        source.source_id,
        numbers,
        [str(key.kind) for key in keys],
        [key.scope for key in keys],
        [key.zone for key in keys],
        [key.currency for key in keys],
        [key.paid for key in keys],
        [key.goal for key in keys],
        [source.counts and not key.check for key in keys],
    )


async def write_lines(connection: asyncpg.Connection[Any], posting: Posting, placed: Sequence[Placed]) -> None:
    """Write lines of a posting."""
    if placed:
        sheet = Sheet(Roster())
        for row in placed:
            sheet.add(*row)
        numbers = sorted({form.series_id for form in sheet.forms})
        rows = await connection.fetch(_TALLIED, posting.workspace_id, numbers)
        tallied = {row["series_id"] for row in rows}
        await lines.write(connection, posting, sheet, tallied.__contains__)


_TALLIED = """
select series_id from series
where workspace_id = $1 and series_id = any($2::bigint[]) and counted and kind in ('lifetime', 'period', 'event')
"""
_FORGET_BALANCES = """
delete from balances b using unnest($2::uuid[], $3::bigint[]) as given (subject_id, series_id)
where b.workspace_id = $1 and b.subject_id = given.subject_id and b.series_id = given.series_id
"""
_FORGET_CONFIRMATIONS = """
delete from confirmations c
using unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
  as given (subject_id, series_id, valid_from, valid_to)
where c.workspace_id = $1 and (c.subject_id, c.series_id, c.valid_from, c.valid_to)
  = (given.subject_id, given.series_id, given.valid_from, given.valid_to)
"""


async def _write_balances(connection: asyncpg.Connection[Any], workspace_id: UUID, plan: Plan) -> None:
    gone = sorted((key for key, balance in plan.balances.items() if not balance.values), key=_by_key)
    if gone:
        await connection.execute(_FORGET_BALANCES, workspace_id, [key[0] for key in gone], [key[1] for key in gone])
    kept = sorted((key for key, balance in plan.balances.items() if balance.values), key=_by_key)
    if not kept:
        return
    named = {metric for key in kept for metric in plan.balances[key].values.keys() | plan.lost.get(key, set())}
    metrics = tuple(key for key in STORED if key in named)
    grid = grid_of([{metric: plan.balances[key].values.get(metric) for metric in metrics} for key in kept])
    columns: list[Any] = [packed((), grid), [key[0] for key in kept], [key[1] for key in kept], [], []]
    for key in kept:
        since = plan.balances[key].since
        at = max(since.values())
        earlier = {metric: when.isoformat() for metric, when in sorted(since.items()) if when != at}
        columns[3].append(at)
        columns[4].append(_json(earlier) if earlier else None)
    await connection.execute(statements.write_balances(metrics), workspace_id, *columns)


def _by_key(key: SeriesOf) -> tuple[int, int]:
    return key[0].int, key[1]


async def _write_spoken(
    connection: asyncpg.Connection[Any], workspace_id: UUID, spoken: Mapping[WindowOf, Spoken]
) -> None:
    """Let confirmations say when windows were last spoken of."""
    if not spoken:
        return
    keys = sorted(spoken, key=lambda key: (key[0].int, *key[1:]))
    await connection.execute(_FORGET_CONFIRMATIONS, workspace_id, *(list(column) for column in zip(*keys, strict=True)))
    rows = []
    for subject_id, number, start, end in keys:
        by_instant: dict[datetime, list[str]] = defaultdict(list)
        for metric, at in spoken[subject_id, number, start, end].at.items():
            by_instant[at].append(metric)
        rows += [(subject_id, start, end, number, mask_of(names), at) for at, names in sorted(by_instant.items())]
    if rows:
        await connection.execute(
            statements.CONFIRM, workspace_id, *(list(column) for column in zip(*rows, strict=True))
        )
