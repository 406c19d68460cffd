"""Which postings moved the sums behind a number, and by how much: the ledger read posting by posting.

Nothing of this is stored: a restatement is what entries, membership lines and facts say of their posting. What became
of a KPI by them is computed by ``service.reports.history``; single entries are in ``service.ledger.evidence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger import statements
from service.ledger.history.spans import EARLIEST, IN_SPAN, Span, bounds, share_of
from service.ledger.series import Cause, Flag

MAX_DELIVERIES = 100
"""Deliveries named per posting; all are counted."""
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_KINDS = {"reach": "unique", "followers": "level"}


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What can move a number: sums of ``metrics`` of ``subject_ids`` in ``span``, and beside them

    levels and uniques (``people``) of ``people_ids``, every line of the ``doubtful`` (subjects with a suspected reset
    in the span), facts of the names ``facts``, and the members of the campaign.
    """

    workspace_id: UUID
    campaign_id: UUID
    subject_ids: Sequence[UUID]
    span: Span
    metrics: tuple[str, ...]
    people: tuple[str, ...] = ()
    people_ids: Sequence[UUID] = ()
    doubtful: Sequence[UUID] = ()
    facts: tuple[str, ...] = ()

    @property
    def everybody(self) -> list[UUID]:
        """Return every subject whose lines matter."""
        return sorted({*self.subject_ids, *self.people_ids})


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A posting: its number, id and key, when it was recorded, and what it was for."""

    posting: int
    posting_id: UUID
    batch: int
    recorded_at: datetime
    cause: str


class Reasons(msgspec.Struct, frozen=True, kw_only=True):
    """Why a posting moved sums: causes of its lines, the first of its deliveries, and how many there are."""

    causes: tuple[str, ...]
    deliveries: tuple[UUID, ...]
    total: int


_MEMBERS = """
select p.posting, n.subject_id, n.sign, s.platform, s.external_id, s.type
from memberships n
join postings p on p.workspace_id = $1 and p.batch = n.batch and p.posting <= $3
join subjects s on s.workspace_id = $1 and s.subject_id = n.subject_id
where n.workspace_id = $1 and n.campaign_id = $2
order by p.posting, s.platform, s.external_id collate "C"
"""
_FACTS = f"""
select p.posting, f.subject_id, f.name, f.value
from {statements.FACTS} f join postings p on p.workspace_id = $1 and p.batch = f.batch and p.posting <= $4
where f.workspace_id = $1 and f.subject_id = any($2::uuid[]) and f.name = any($3::text[])
order by p.posting
"""


async def membership_lines(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, upto: int
) -> list[Any]:
    """Return rows (posting, subject_id, sign, platform, external_id, type) in the order of postings."""
    return list(await connection.fetch(_MEMBERS, workspace_id, campaign_id, upto))


async def fact_lines(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    names: Sequence[str],
    upto: int,
) -> list[Any]:
    """Return rows (posting, subject_id, name, value): facts that became the newest, in the order of postings."""
    if not subject_ids or not names:
        return []
    return list(await connection.fetch(_FACTS, workspace_id, subject_ids, names, upto))


async def subjects_named(
    connection: asyncpg.Connection[Any], workspace_id: UUID, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], UUID]:
    """Return the subjects of (platform, external id) pairs."""
    rows = await connection.fetch(
        "select s.platform, s.external_id, s.subject_id from subjects s "
        "join unnest($2::text[], $3::text[]) as g (platform, external_id) using (platform, external_id) "
        "where s.workspace_id = $1",
        workspace_id,
        [platform for platform, _ in names],
        [external_id for _, external_id in names],
    )
    return {(row["platform"], row["external_id"]): row["subject_id"] for row in rows}


async def doubtful(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID], span: Span, upto: int
) -> list[UUID]:
    """Return the subjects that ever had a fall below a tenth in a span."""
    rows = await connection.fetch(
        f"""
        select distinct e.subject_id from entries e
        join series s on s.workspace_id = $1 and s.series_id = e.series_id and s.counted
        join postings p on p.workspace_id = $1 and p.batch = e.batch and p.posting <= $5
        where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.flags & {Flag.SUSPECT} <> 0
          and e.valid_from < $4 and e.valid_to > $3
        order by 1
        """,
        workspace_id,
        subject_ids,
        span.start,
        span.end,
        upto,
    )
    return [row["subject_id"] for row in rows]


# ------------------------------------------------------------------------------------------------ lines that matter

_LINES = """
from (select $3::timestamptz as low, $4::timestamptz as high, $5::date as first_day, $6::date as last_day,
        $7::boolean as openings) b
join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.valid_from >= $8 and e.valid_from < $9
join series s on s.workspace_id = $1 and s.series_id = e.series_id and s.counted
join postings p on p.workspace_id = $1 and p.batch = e.batch
"""
_SUMMED = f"s.kind in ('lifetime', 'period', 'event') and {IN_SPAN}"


def _any(metrics: Sequence[str]) -> str:
    return "(" + (" or ".join(f"e.{metric} is not null" for metric in metrics) or "false") + ")"


def _relevant(metrics: Sequence[str], people: Sequence[str]) -> str:
    """Return SQL: a line is one that may move the number; $10 are the doubtful."""
    ways = [f"({_SUMMED} and {_any(metrics)})", f"(e.subject_id = any($10::uuid[]) and {_any(metrics)})"]
    ways += [f"(s.kind = '{_KINDS[key]}' and s.scope = '' and e.{key} is not null)" for key in people]
    return "(" + " or ".join(ways) + ")"


def _given(watch: Watch, subject_ids: Sequence[UUID], *, wide: bool) -> list[Any]:
    span = watch.span
    low, high = (EARLIEST, _LATEST) if wide else bounds([span])
    return [
        watch.workspace_id,
        subject_ids,
        span.start,
        span.end,
        span.first_day,
        span.last_day,
        span.openings,
        low,
        high,
    ]


def _wide(watch: Watch) -> bool:
    return bool(watch.people or watch.doubtful)


async def postings(
    connection: asyncpg.Connection[Any], watch: Watch, after: int, upto: int, limit: int
) -> list[Posted]:
    """Return the postings after one and up to another that may have moved the number, in order."""
    rows = await connection.fetch(
        f"""
        select p.posting, p.posting_id, p.batch, p.recorded_at, p.cause from postings p
        where p.workspace_id = $1 and p.posting > $11 and p.posting <= $12 and p.batch in (
          select e.batch {_LINES} where {_relevant(watch.metrics, watch.people)} and p.posting > $11
          union select n.batch from memberships n where n.workspace_id = $1 and n.campaign_id = $14
          union select r.batch from resets r where r.workspace_id = $1 and r.subject_id = any($10::uuid[])
          union select f.batch from subject_facts f
            where f.workspace_id = $1 and f.subject_id = any($2::uuid[]) and f.facts ?| $15::text[])
        order by p.posting limit $13
        """,
        *_given(watch, watch.everybody, wide=_wide(watch)),
        watch.doubtful,
        after,
        upto,
        limit,
        watch.campaign_id,
        watch.facts,
    )
    return [
        Posted(
            posting=row["posting"],
            posting_id=row["posting_id"],
            batch=row["batch"],
            recorded_at=row["recorded_at"],
            cause=row["cause"],
        )
        for row in rows
    ]


@lru_cache(maxsize=512)
def _movements(metrics: tuple[str, ...]) -> str:
    sums = ", ".join(
        f"coalesce(sum(e.sign) filter (where e.{metric} is not null), 0)::bigint as sign_{metric}, "
        f"coalesce(sum({share_of(metric)}), 0)::bigint as {metric}"
        for metric in metrics
    )
    return f"""
    select case when p.posting <= $10 then $10 else p.posting end as posting, e.subject_id, s.currency, {sums}
    {_LINES} where {_SUMMED} and {_any(metrics)} and p.posting <= $11
    group by 1, e.subject_id, s.currency order by 1
    """


async def movements(connection: asyncpg.Connection[Any], watch: Watch, after: int, upto: int) -> list[Any]:
    """Return rows (posting, subject_id, currency, sign_m and m for each metric) of what each posting added to sums.

    What was booked up to ``after`` comes as one row under ``after``. A metric is known where its signs sum to more
    than 0.
    """
    if not watch.metrics or not watch.subject_ids:
        return []
    given = _given(watch, watch.subject_ids, wide=False)
    return list(await connection.fetch(_movements(watch.metrics), *given, after, upto))


async def people_touched(
    connection: asyncpg.Connection[Any], watch: Watch, batches: Sequence[int]
) -> dict[int, set[UUID]]:
    """Return by posting whose levels and uniques it moved."""
    found: dict[int, set[UUID]] = {}
    if watch.people and watch.people_ids and batches:
        rows = await connection.fetch(
            f"""
            select distinct p.posting, e.subject_id {_LINES}
            where {_relevant((), watch.people)} and e.batch = any($11::bigint[])
            """,
            *_given(watch, watch.people_ids, wide=True),
            watch.doubtful,
            batches,
        )
        for row in rows:
            found.setdefault(row["posting"], set()).add(row["subject_id"])
    return found


async def reasons(
    connection: asyncpg.Connection[Any], watch: Watch, moved: Sequence[tuple[int, UUID]]
) -> dict[int, Reasons]:
    """Return by posting why its lines were written, for (batch, subject) pairs; a reversal alone is its own cause."""
    if not moved:
        return {}
    rows = await connection.fetch(
        f"""
        select p.posting, array_agg(distinct e.cause) as causes, count(distinct e.delivery_id) as total,
          (array_agg(distinct e.delivery_id))[1:{MAX_DELIVERIES}] as deliveries
        {_LINES}
        join unnest($11::bigint[], $12::uuid[]) as m (batch, subject_id)
          on m.batch = e.batch and m.subject_id = e.subject_id
        where {_relevant(watch.metrics, watch.people)}
        group by p.posting
        """,
        *_given(watch, sorted({subject for _, subject in moved}), wide=_wide(watch)),
        watch.doubtful,
        [batch for batch, _ in moved],
        [subject for _, subject in moved],
    )
    return {
        row["posting"]: Reasons(causes=_named(row["causes"]), deliveries=tuple(row["deliveries"]), total=row["total"])
        for row in rows
    }


def _named(causes: Sequence[int]) -> tuple[str, ...]:
    telling = [cause for cause in sorted(causes) if cause != Cause.REVERSAL] or list(causes)
    return tuple(cause_name(cause) for cause in telling)


def cause_name(cause: int) -> str:
    """Return a cause as it is answered."""
    return Cause(cause).name.lower()
