"""Reading the books as they stood at a posting: members, facts, sums, levels, uniques and open doubts.

``number`` is the posting up to which lines are seen; None sees all. Every function gives for None what it gives for
the newest number. Sums over any grid are cut from the entries by the rule of ``series.share``, in integers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import STORED
from service.errors import Busy, Gone, Invalid, NotFound
from service.ledger.memberships import version_of
from service.ledger.series import Flag
from service.records import CampaignVersion

SETTLED_AFTER = timedelta(seconds=60)
"""An instant after the newest posting is settled when no slower clock can still date a posting before it."""


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer knows: the posting's number, its time, and the instant the answer speaks at.

    ``number`` is None when nothing newer exists: the plain answer.
    """

    posting: int
    recorded_at: datetime
    clock: datetime
    number: int | None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of a grid: instants ``[start, end)`` and the local days it holds whole (None: it holds no whole day).

    ``openings``: first values without known history count too, as they do in the range ``lifetime``.
    """

    number: int
    start: datetime
    end: datetime
    first_day: date | None
    last_day: date | None
    openings: bool = False


async def knowledge(
    connection: asyncpg.Connection[Any], workspace_id: UUID, as_of: datetime | None, now: datetime
) -> Knowledge:
    """Resolve an instant of knowledge to a posting.

    Raises :class:`Invalid` for an instant ahead, :class:`Busy` for one that is not settled (both name the newest
    usable one), :class:`Gone` for one before the books begin.
    """
    newest = await connection.fetchrow("select posting, recorded_at from books where workspace_id = $1", workspace_id)
    if newest is None:
        raise NotFound("no such workspace")
    number, recorded_at = newest["posting"], newest["recorded_at"]
    if as_of is None:
        return Knowledge(posting=number, recorded_at=recorded_at, clock=now, number=None)
    if as_of > recorded_at and now - as_of < SETTLED_AFTER:
        usable = max(recorded_at, now - SETTLED_AFTER).isoformat().replace("+00:00", "Z")
        if as_of > now:
            raise Invalid(f"as_of lies ahead; the newest usable is {usable}", pointer="?as_of", code="as_of_ahead")
        raise Busy(
            f"as_of is not settled yet; the newest usable is {usable}", (SETTLED_AFTER - (now - as_of)).seconds + 1
        )
    if as_of >= recorded_at:
        return Knowledge(posting=number, recorded_at=recorded_at, clock=as_of, number=None)
    row = await connection.fetchrow(
        "select posting, recorded_at from postings where workspace_id = $1 and recorded_at <= $2 "
        "order by recorded_at desc limit 1",
        workspace_id,
        as_of,
    )
    if row is None:
        raise Gone("the books of this workspace begin later")
    return Knowledge(posting=row["posting"], recorded_at=row["recorded_at"], clock=as_of, number=row["posting"])


def _seen(number: int | None, parameter: int, line: str = "e") -> str:
    """Return the condition that the posting of a ``line`` is seen; with None it holds for every line."""
    if number is None:
        return f"${parameter}::bigint is null"
    return (
        f"{line}.batch in (select p.batch from postings p where p.workspace_id = $1 "
        f"and p.posting <= ${parameter}::bigint)"
    )


async def campaign_version(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, number: int | None
) -> CampaignVersion:
    """Return the version of a campaign that was in force. Raises :class:`NotFound` where there was none yet."""
    row = await connection.fetchrow(
        f"select v.* from campaign_versions v where v.workspace_id = $1 and v.campaign_id = $2 "
        f"and {_seen(number, 3, 'v')} order by v.version desc limit 1",
        workspace_id,
        campaign_id,
        number,
    )
    if row is None:
        raise NotFound("no such campaign")
    return version_of(row)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that counts in a campaign, with the facts that were known."""

    subject_id: UUID
    platform: str
    external_id: str
    type: str
    facts: Mapping[str, Any]

    @property
    def published_at(self) -> datetime | None:
        """Return when it was published, where that is known."""
        text = self.facts.get("published_at")
        return datetime.fromisoformat(text) if text else None


async def members(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, number: int | None
) -> list[Member]:
    """Return the members of a campaign in the order of their platforms' ids: ours tell which was named first."""
    rows = await connection.fetch(
        f"""
        select s.subject_id, s.platform, s.external_id, s.type, s.facts from subjects s
        join (
          select n.subject_id from memberships n
          where n.workspace_id = $1 and n.campaign_id = $2 and {_seen(number, 3, "n")}
          group by n.subject_id having sum(n.sign) > 0
        ) m using (subject_id)
        where s.workspace_id = $1 order by s.platform, s.external_id collate "C"
        """,
        workspace_id,
        campaign_id,
        number,
    )
    old = (
        await _facts(connection, workspace_id, [row["subject_id"] for row in rows], number)
        if number is not None
        else None
    )
    return [_member(row, None if old is None else old.get(row["subject_id"], {})) for row in rows]


def _member(row: Any, old: Mapping[str, Any] | None) -> Member:
    """Return a member with the facts of then (``old``), or with those that its row holds now."""
    facts = {name: value for name, (_, value) in row["facts"].items()} if old is None else old
    return Member(
        subject_id=row["subject_id"],
        platform=row["platform"],
        external_id=row["external_id"],
        type=str(facts.get("type", row["type"])),
        facts=facts,
    )


async def _facts(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID], number: int
) -> dict[UUID, dict[str, Any]]:
    rows = await connection.fetch(
        """
        select distinct on (f.subject_id, f.name) f.subject_id, f.name, f.value
        from subject_facts f join postings p using (workspace_id, batch)
        where f.workspace_id = $1 and f.subject_id = any($2::uuid[]) and p.posting <= $3
        order by f.subject_id, f.name, p.posting desc
        """,
        workspace_id,
        subject_ids,
        number,
    )
    found: dict[UUID, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        if row["value"] is not None:  # without a value nobody said it any more
            found[row["subject_id"]][row["name"]] = row["value"]
    return found


# ------------------------------------------------------------------------------------------------ sums

_MICROS = "(extract(epoch from {0}) * 1000000)"


IN_SPAN = f"""(
      case when e.flags & {Flag.OPENING} <> 0 then b.openings
        when e.day is not null then e.day >= b.first_day and e.day + greatest(e.days, 1) - 1 <= b.last_day
        when e.flags & {Flag.SHORT} <> 0 or e.valid_from = e.valid_to
          then e.valid_from >= b.low and e.valid_from < b.high
        else e.valid_from < b.high and e.valid_to > b.low end)"""
"""SQL: an entry ``e`` counts in a bucket ``b`` (low, high, first_day, last_day, openings), in whole or in part."""


def share_of(metric: str) -> str:
    """Return SQL for R(end) - R(start) of a metric in a bucket, in whole numbers as ``series.share`` has it."""
    span = _MICROS.format("(e.valid_to - e.valid_from)")

    def before(edge: str) -> str:
        elapsed = _MICROS.format(f"({edge} - e.valid_from)")
        part = f"div(abs(e.{metric})::numeric * {elapsed} + {span} - 1, {span})"
        return (
            f"(case when {edge} <= e.valid_from then 0 when {edge} >= e.valid_to then e.{metric} "
            f"else (sign(e.{metric}) * {part})::bigint end)"
        )

    whole = "e.day is not null or (e.valid_from >= b.low and e.valid_to <= b.high) or e.flags & 32 <> 0"
    return f"case when {whole} then e.{metric} else {before('b.high')} - {before('b.low')} end"


@lru_cache(maxsize=512)
def _cut_sums(metrics: tuple[str, ...], *, seen_all: bool) -> str:
    sums = ", ".join(
        f"case when sum(e.sign) filter (where e.{metric} is not null) > 0 "
        f"then sum({share_of(metric)})::bigint end as {metric}"
        for metric in metrics
    )
    any_metric = " or ".join(f"e.{metric} is not null" for metric in metrics)
    seen = _seen(None if seen_all else 0, 8)
    return f"""
    select b.number, e.subject_id, s.currency, {sums}
    from unnest($3::integer[], $4::timestamptz[], $5::timestamptz[], $6::date[], $7::date[], $9::boolean[])
      as b (number, low, high, first_day, last_day, openings)
    join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and {IN_SPAN}
    join series s on s.workspace_id = $1 and s.series_id = e.series_id
    where s.counted and s.kind in ('lifetime', 'period', 'event') and ({any_metric}) and {seen}
      and e.valid_from < $10 and e.valid_from >= $11
    group by b.number, e.subject_id, s.currency
    """


async def cut_sums(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    metrics: Sequence[str],
    number: int | None,
) -> list[Any]:
    """Return rows (number of the span, subject_id, currency, one column per metric) cut from the entries themselves."""
    if not subject_ids or not spans or not metrics:
        return []
    query = _cut_sums(tuple(metrics), seen_all=number is None)
    low, high = bounds(spans)
    rows: list[Any] = await connection.fetch(
        query,
        workspace_id,
        subject_ids,
        [span.number for span in spans],
        [span.start for span in spans],
        [span.end for span in spans],
        [span.first_day for span in spans],
        [span.last_day for span in spans],
        number,
        [span.openings for span in spans],
        high,
        low,
    )
    return rows


def bounds(spans: Sequence[Span]) -> tuple[datetime, datetime]:
    """Return between which instants the entries of spans begin.

    Source days may begin before their label's day does in UTC; a lifetime entry begins in the month it is cut to.
    """
    low = min(span.start for span in spans).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    high = max(span.end for span in spans) + timedelta(days=2)
    return (EARLIEST if low.year < _FIRST_YEAR else low - timedelta(days=2)), high


_FIRST_YEAR = 2025
FIRSTS = Flag.OPENING | Flag.FIRST
EARLIEST = datetime.fromisoformat("1900-01-01T00:00:00+00:00")


# ------------------------------------------------------------------------------------------------ levels, uniques


class Level(msgspec.Struct, frozen=True):
    """A level at the end of a range and at its start (or its first value inside, where it was first seen there)."""

    end: int | None
    start: int | None


async def levels(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    metric: str,
    start: datetime | None,
    end: datetime,
    number: int | None,
) -> dict[UUID, Level]:
    """Return a level metric of subjects at the edges of a range."""
    rows = await connection.fetch(
        f"""
        select e.subject_id,
          sum(e.{metric}) filter (where e.valid_to <= $3)::bigint as at_end,
          sum(e.{metric}) filter (where e.valid_to <= $4)::bigint as at_start,
          sum(e.{metric}) filter (where e.valid_to <= $3 and e.flags & {FIRSTS} <> 0)::bigint as first,
          coalesce(sum(e.sign) filter (where e.valid_to <= $3), 0) as known_end,
          coalesce(sum(e.sign) filter (where e.valid_to <= $4), 0) as known_start
        from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.{metric} is not null
          and s.counted and s.kind = 'level' and s.scope = '' and {_seen(number, 5)}
        group by e.subject_id
        """,
        workspace_id,
        subject_ids,
        end,
        start,
        number,
    )
    return {
        row["subject_id"]: Level(
            row["at_end"] if row["known_end"] > 0 else None,
            row["at_start"] if row["known_start"] > 0 else row["first"] if row["known_end"] > 0 else None,
        )
        for row in rows
    }


async def levels_at(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    asked: Sequence[tuple[str, str, datetime]],
    number: int | None,
) -> dict[tuple[str, str, datetime], int]:
    """Return the followers of profiles (platform, external id) at instants; before the first reading, that reading."""
    if not asked:
        return {}
    rows = await connection.fetch(
        f"""
        select a.platform, a.external_id, a.at,
          sum(e.followers) filter (where e.valid_to <= a.at)::bigint as then,
          coalesce(sum(e.sign) filter (where e.valid_to <= a.at), 0) as known,
          sum(e.followers) filter (where e.flags & {FIRSTS} <> 0)::bigint as first
        from unnest($2::text[], $3::text[], $4::timestamptz[]) as a (platform, external_id, at)
        join subjects p on p.workspace_id = $1 and p.platform = a.platform and p.external_id = a.external_id
        join entries e on e.workspace_id = $1 and e.subject_id = p.subject_id and e.followers is not null
        join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where s.counted and s.kind = 'level' and s.scope = '' and {_seen(number, 5)}
        group by a.platform, a.external_id, a.at
        """,
        workspace_id,
        [platform for platform, _, _ in asked],
        [external_id for _, external_id, _ in asked],
        [at for _, _, at in asked],
        number,
    )
    return {
        (row["platform"], row["external_id"], row["at"]): value
        for row in rows
        if (value := row["then"] if row["known"] > 0 else row["first"]) is not None
    }


async def uniques(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    number: int | None,
) -> dict[tuple[int, UUID], int]:
    """Return the reach of subjects per span: since publication at the span's end, or of a window equal to the span.

    The value since publication is returned for every span; whether it speaks for the span is the caller's to judge.
    Windows win over it.
    """
    if not subject_ids or not spans:
        return {}
    rows = await connection.fetch(
        f"""
        select b.number, e.subject_id, e.day is not null as windowed,
          sum(e.reach)::bigint as reach, sum(e.sign) as known
        from unnest($3::integer[], $4::timestamptz[], $5::timestamptz[], $6::date[], $7::date[])
          as b (number, low, high, first_day, last_day)
        join entries e on e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.reach is not null and (
          case when e.day is not null then e.day = b.first_day and e.day + e.days - 1 = b.last_day
            when e.flags & {Flag.SHORT} <> 0 then e.valid_from = b.low and e.valid_to = b.high
            else e.valid_to <= b.high end)
        join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where s.counted and s.kind = 'unique' and s.scope = '' and {_seen(number, 8)}
        group by b.number, e.subject_id, e.day is not null
        having sum(e.sign) > 0
        order by windowed
        """,
        workspace_id,
        subject_ids,
        [span.number for span in spans],
        [span.start for span in spans],
        [span.end for span in spans],
        [span.first_day for span in spans],
        [span.last_day for span in spans],
        number,
    )
    return {(row["number"], row["subject_id"]): row["reach"] for row in rows}


# ------------------------------------------------------------------------------------------------ doubts and marks


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What must be said of sums over a range: metrics with an open suspected reset, metrics cut inside an interval,
    metrics that windows of whole days hold, those among them whose windows fit no bucket, the zones of these days, and
    the newest reading per platform.
    """

    suspected: frozenset[str]
    interpolated: frozenset[str]
    windowed: frozenset[str]
    coarse: frozenset[str]
    source_zones: frozenset[str]
    freshness: Mapping[str, datetime]


async def marks(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    spans: Sequence[Span],
    metrics: Sequence[str],
    number: int | None,
) -> Marks:
    """Return the marks of sums over spans."""
    if not subject_ids or not spans:
        none: frozenset[str] = frozenset()
        return Marks(suspected=none, interpolated=none, windowed=none, coarse=none, source_zones=none, freshness={})
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    fresh = await connection.fetch(
        f"""
        select u.platform, max(e.observed_at) as at from entries e
        join subjects u on u.workspace_id = $1 and u.subject_id = e.subject_id
        where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and {_seen(number, 3)}
        group by u.platform order by u.platform
        """,
        workspace_id,
        subject_ids,
        number,
    )
    columns = [key for key in STORED if key in metrics]
    rows = await _standing_marks(connection, workspace_id, subject_ids, columns, number, spans)

    def marked(mark: str) -> frozenset[str]:
        return frozenset(key for key in columns if any(row[f"{mark}_{key}"] for row in rows))

    windowed = marked("windowed")
    suspected = await open_falls(connection, workspace_id, subject_ids, columns, start, end, number)
    return Marks(
        suspected=suspected,
        interpolated=marked("cut"),
        windowed=windowed,
        coarse=marked("coarse"),
        source_zones=frozenset(row["zone"] for row in rows if any(row[f"windowed_{key}"] for key in windowed)),
        freshness={row["platform"]: row["at"] for row in fresh},
    )


_UNCUT = Flag.OPENING | Flag.SHORT


async def _standing_marks(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    columns: Sequence[str],
    number: int | None,
    spans: Sequence[Span],
) -> list[Any]:
    """Return rows (zone, cut_m, windowed_m, coarse_m for each metric) over the lines that stand, one per day zone."""
    if not columns:
        return []
    sums = ", ".join(f"coalesce(sum(e.sign) filter (where e.{key} is not null), 0) > 0 as {key}" for key in columns)
    asked = ", ".join(
        f"bool_or({key} and cut) as cut_{key}, bool_or({key} and day is not null) as windowed_{key}, "
        f"bool_or({key} and day is not null and not held) as coarse_{key}"
        for key in columns
    )
    grid = [span for span in spans if span.number >= 0] or spans
    days = [span for span in spans if span.first_day is not None]
    rows: list[Any] = await connection.fetch(
        f"""
        select zone, {asked} from (
          select *,
            day is null and flags & {_UNCUT} = 0 and exists (
              select from unnest($5::timestamptz[]) x (at) where x.at > valid_from and x.at < valid_to) as cut,
            exists (select from unnest($6::date[], $7::date[]) b (first, last)
              where day >= b.first and day + greatest(days, 1) - 1 <= b.last) as held
          from (
            select s.zone, e.valid_from, e.valid_to, e.flags, e.day, e.days, {sums}
            from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
            where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and s.counted
              and s.kind in ('lifetime', 'period', 'event') and e.valid_from < $3 and e.valid_to > $4
              and (e.day is null or (e.day <= $9 and e.day + greatest(e.days, 1) - 1 >= $10)) and {_seen(number, 8)}
            group by s.zone, e.subject_id, e.series_id, e.valid_from, e.valid_to, e.flags, e.day, e.days,
              e.observed_at, e.delivery_id
          ) standing
        ) marked
        group by zone
        """,
        workspace_id,
        subject_ids,
        max(span.end for span in spans),
        min(span.start for span in spans),
        sorted({edge for span in spans for edge in (span.start, span.end)}),
        [span.first_day for span in grid],
        [span.last_day for span in grid],
        number,
        max((span.last_day for span in days if span.last_day), default=date.max),
        min((span.first_day for span in days if span.first_day), default=date.min),
    )
    return rows


async def open_falls(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    columns: Sequence[str],
    start: datetime,
    end: datetime,
    number: int | None,
) -> frozenset[str]:
    """Return metrics with a fall below a tenth inside the range that has neither recovered nor been confirmed."""
    falls = (
        await connection.fetch(
            f"""
        select e.subject_id, e.series_id, e.valid_to, {", ".join(f"sum(e.{key})::bigint as {key}" for key in columns)}
        from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
        where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.flags & {Flag.SUSPECT} <> 0
          and s.counted and e.valid_from < $3 and e.valid_to > $4 and {_seen(number, 5)}
        group by e.subject_id, e.series_id, e.valid_to having sum(e.sign) > 0
        """,
            workspace_id,
            subject_ids,
            end,
            start,
            number,
        )
        if columns
        else []
    )
    found = set()
    for fall in falls:
        later = await connection.fetchrow(
            f"""
            select {", ".join(f"coalesce(sum(e.{key}), 0)::bigint as {key}" for key in columns)} from entries e
            where e.workspace_id = $1 and e.subject_id = $2 and e.series_id = $3 and e.valid_to > $4
              and {_seen(number, 5)}
            """,
            workspace_id,
            fall["subject_id"],
            fall["series_id"],
            fall["valid_to"],
            number,
        )
        found |= {key for key in columns if fall[key] is not None and later and later[key] + fall[key] < 0}
    return frozenset(found)
