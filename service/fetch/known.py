"""What the books know of the subjects of a source, for the refresh plan: facts, last looks, counts and their growth.

Named statements that only read. A subject is a source's when the source has named it. Numbers of people, money and time
are left out: a plan needs one scale.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import ADDITIVE, METRICS, FetchKind, SubjectRef, SubjectType, Unit
from service.db.engine import driver
from service.fetch.freshness import PRESUMED_AGE, Growth, Known, is_open
from service.records import SourceRow

COUNTS = tuple(key for key in ADDITIVE if METRICS[key].unit is Unit.COUNT)
_COUNT = " + ".join(f"coalesce({key}, 0)" for key in COUNTS)
_OLDEST = timedelta(days=40)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH_BITS = 22
_EVER = timedelta(days=36_500)
_LINES = 64
"""Lines of a subject that are looked through for its growth, the newest first."""

_SERIES = """
select series_id from series where workspace_id = $1 and source_id = $2 and kind = 'lifetime' and counted
"""

_KNOWN = f"""
select s.subject_id, s.external_id, s.type, s.facts->'published_at'->>1 as published, s.batch, l.asked_at,
  b.count::bigint as count
from subjects s
left join refresh_looks l
  on l.workspace_id = $1 and l.source_id = $2 and l.kind = $3 and l.external_id = s.external_id
cross join lateral (
  select sum({_COUNT}) as count from balances b
  where b.workspace_id = $1 and b.subject_id = s.subject_id and b.series_id = any($5::bigint[])
) b
where s.workspace_id = $1 and s.platform = $4 and s.facts ? $6 and not s.facts ? 'removed_at'
"""  # noqa: S608 - the names of columns come from the metric dictionary

_GROWTH = f"""
select w.subject_id, g.since, g.until, g.amount::bigint as amount
from unnest($2::uuid[], $3::timestamptz[]) as w (subject_id, looked_at)
cross join lateral (
  select min(valid_from) as since, max(valid_to) as until, sum({_COUNT}) as amount from (
    select * from entries e
    where e.workspace_id = $1 and e.subject_id = w.subject_id and e.series_id = any($4::bigint[])
      and e.valid_from > $5 and e.valid_to > e.valid_from
    order by e.valid_from desc limit {_LINES}
  ) lines
  where valid_to >= w.looked_at
) g
where g.since is not null
"""  # noqa: S608 - as above

_SWEPT = """
select started_at from fetch_tasks
where workspace_id = $1 and source_id = $2 and kind = $3 and state = 'done' and cursor->'subjects' = '[]'::jsonb
order by slot desc limit 1
"""

_SPENT = """
select coalesce(sum(pages), 0)::bigint from fetch_tasks
where workspace_id = $1 and source_id = $2 and kind = $3 and slot > $4 and started_at > $5
"""


async def spent(connection: AsyncConnection, row: SourceRow, kind: FetchKind, now: datetime) -> int:
    """Return the pages that tasks of a kind begun within the last hour have brought: about the calls they made."""
    raw, since = await driver(connection), now - timedelta(hours=1)
    slots_since = since - max(kind.every, kind.sweep)
    return int(await raw.fetchval(_SPENT, row.workspace_id, row.source_id, kind.name, slots_since, since))


async def subjects(
    connection: AsyncConnection,
    row: SourceRow,
    kind: FetchKind,
    types: Collection[SubjectType],
    now: datetime,
) -> list[Known]:
    """Return the subjects of a source that a kind of task may name; growth is told of those that may be due.

    A finished task that named nobody has looked at everything that was published within its look-back.
    """
    raw = await driver(connection)
    series = [one["series_id"] for one in await raw.fetch(_SERIES, row.workspace_id, row.source_id)]
    named_by = f"source:{row.source_id.hex}"
    rows = await raw.fetch(_KNOWN, row.workspace_id, row.source_id, kind.name, row.platform, series, named_by)
    swept_at: datetime | None = await raw.fetchval(_SWEPT, row.workspace_id, row.source_id, kind.name)
    found = {one["subject_id"]: _known(one, swept_at, kind.look_back) for one in rows if one["type"] in types}
    await _grow(raw, row.workspace_id, found, series, now)
    return list(found.values())


async def _grow(
    raw: asyncpg.Connection[Any], workspace_id: UUID, found: dict[UUID, Known], series: Sequence[int], now: datetime
) -> None:
    """Say of those that may be looked at again what they grew by."""
    looks = {
        subject_id: one.looked_at
        for subject_id, one in found.items()
        if one.looked_at is not None and one.count is not None and is_open(one, now)
    }
    for told in await raw.fetch(_GROWTH, workspace_id, list(looks), list(looks.values()), series, now - _OLDEST):
        growth = Growth(amount=told["amount"], since=told["since"], until=told["until"])
        found[told["subject_id"]] = msgspec.structs.replace(found[told["subject_id"]], growth=growth)


def _known(row: Mapping[str, Any], swept_at: datetime | None, look_back: timedelta) -> Known:
    published = datetime.fromisoformat(row["published"]) if row["published"] else None
    born = published or _first_seen(row["batch"]) - PRESUMED_AGE
    swept = swept_at is not None and swept_at - (look_back or _EVER) <= born <= swept_at
    looks = [row["asked_at"], swept_at if swept else None]
    return Known(
        subject=SubjectRef(row["external_id"], SubjectType(row["type"])),
        born=born,
        looked_at=max((at for at in looks if at is not None), default=None),
        count=row["count"],
    )


def _first_seen(batch: int) -> datetime:
    """Return when the posting began that made a subject: the key of a batch begins with its milliseconds."""
    return _EPOCH + timedelta(milliseconds=batch >> _BATCH_BITS)
