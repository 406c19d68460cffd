"""The named SELECTs over tallies: sums of the days of subjects, with what must be said of them, in one look.

What needs the entries themselves is in ``service.ledger.history``; both give the same numbers. Rows come as columns,
summed by subject and run of days, so that nothing is done here for a day of a subject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from connectors.contract import MONEY
from service.kpi.members import IntArray
from service.ledger.history.days import days_of_subjects
from service.ledger.history.knowledge import of_paid

UNKNOWN = -(2**63)
"""Stands for null in a column of sums: no sum of 64-bit amounts that the ledger takes comes to it."""


class Cells(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sums by run of days and subject, as columns of one length.

    ``places`` are those of the subjects that were asked for; ``zones`` is None where days were cut to the asked zone,
    ``currencies`` where no money was asked for. ``carried`` has the bits of metrics whose run is cut from a line at its
    beginning.
    """

    segments: IntArray
    places: IntArray
    zones: Sequence[str | None]
    currencies: Sequence[str | None]
    carried: IntArray
    amounts: Mapping[str, IntArray]


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of days by their first days (the last is one day); days before ``since`` are left out."""

    starts: Sequence[date]
    since: date = date.min

    @property
    def first(self) -> date:
        """Return the first day that is looked at."""
        return max(self.since, self.starts[0])


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window of several whole days that a source reported as one."""

    place: int
    first_day: date
    last_day: date
    zone: str
    currency: str
    amounts: Mapping[str, int]


@lru_cache(maxsize=512)
def _day_sums(metrics: tuple[str, ...], *, windows: bool, paid: int | None) -> str:
    """Return SQL for one row of columns: $1 workspace, $2 subjects, $3 zone, $4 starts of runs, $5 and $6 the ends.

    A condition on the number of days makes the index skip about for what is nearly always 1: it stands only where
    there are ``windows`` of several days. A currency is told apart only where there is money.
    """
    money = not MONEY.isdisjoint(metrics)
    sums = ", ".join(f"coalesce(sum(d.{metric})::bigint, {UNKNOWN}) as {metric}" for metric in metrics)
    key = ("segment", "source_zone", "currency")
    columns = ", ".join(f"array_agg({name}) as {name}" for name in (*key, "carried", *metrics))
    days = days_of_subjects(metrics, "= any((select $2::uuid[])::uuid[])", ("$5", "$6"))
    return f"""
    select array_agg(place) as place, {columns}
    from (
      select d.subject_id, width_bucket(d.day, $4::date[]) - 1 as segment,
        case when d.basis = 1 then d.zone end as source_zone, {"d.currency" if money else "null::text as currency"},
        coalesce(bit_or(d.carried) filter (where d.carried <> 0 and d.day = any($4::date[])), 0) as carried, {sums}
      from ({days}) d
      where (d.basis = 1 or d.zone = $3) {"and d.days = 1" if windows else ""}
        {"" if paid is None else f"and {of_paid(paid, 'd')}"}
      group by d.subject_id, segment, source_zone {", d.currency" if money else ""}
    ) summed
    join unnest($2::uuid[]) with ordinality as asked (subject_id, place) using (subject_id)
    """


async def day_sums(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    runs: Runs,
    metrics: Sequence[str],
    zone: str,
    longest: int,
    paid: int | None = None,
) -> Cells | None:
    """Return the sums of single days in runs, None without any.

    ``longest`` is how many days a window of the subjects may have; ``paid`` as in ``history.spans.cut_sums``.
    """
    if not subject_ids or not runs.starts or not metrics or runs.first > runs.starts[-1]:
        return None
    query = _day_sums(tuple(metrics), windows=longest > 1, paid=paid)
    row = await connection.fetchrow(query, workspace_id, subject_ids, zone, runs.starts, runs.first, runs.starts[-1])
    if row["place"] is None:
        return None
    return Cells(
        segments=np.array(row["segment"], dtype=np.int64),
        places=np.array(row["place"], dtype=np.int64) - 1,
        zones=row["source_zone"],
        currencies=row["currency"],
        carried=np.array(row["carried"], dtype=np.int64),
        amounts={metric: np.array(row[metric], dtype=np.int64) for metric in metrics},
    )


@lru_cache(maxsize=4)
def _carried(*, paid: int | None) -> str:
    return f"""
    select d.day, bit_or(d.carried) as bits from subject_days d
    where d.workspace_id = $1 and d.subject_id = any((select $2::uuid[])::uuid[]) and d.zone = $3
      and d.day = any($4::date[])
      and d.carried <> 0 and {of_paid(paid, "d")}
    group by d.day
    """


async def carried(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    days: Sequence[date],
    zone: str,
    paid: int | None = None,
) -> dict[date, int]:
    """Return the bits of the metrics of which a line is carried into days, which are in ``subject_days`` alone."""
    if not subject_ids or not days:
        return {}
    rows = await connection.fetch(_carried(paid=paid), workspace_id, subject_ids, zone, days)
    return {row["day"]: row["bits"] for row in rows}


@lru_cache(maxsize=512)
def _windows(metrics: tuple[str, ...], *, paid: int | None) -> str:
    columns = ", ".join(f"d.{metric}" for metric in metrics)
    any_metric = " or ".join(f"d.{metric} is not null" for metric in metrics)
    return f"""
    select asked.place, d.day, d.days, d.zone, d.currency, {columns}
    from unnest($2::uuid[]) with ordinality as asked (subject_id, place) join subject_days d using (subject_id)
    where d.workspace_id = $1 and d.days > 1 and d.day >= $3 and d.day <= $5 and d.day + d.days - 1 >= $4
      and ({any_metric}) and {of_paid(paid, "d")}
    """


async def windows(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    subject_ids: Sequence[UUID],
    days: tuple[date, date],
    metrics: Sequence[str],
    longest: int,
    paid: int | None = None,
) -> list[Window]:
    """Return the windows of several days, at most ``longest``, that touch days from the first to the last.

    They are in ``subject_days`` alone: a line is a tally by itself of one day.
    """
    if not subject_ids or not metrics or longest <= 1:
        return []
    first, last = days
    earliest = first if first == date.min else first - timedelta(days=longest - 1)
    rows = await connection.fetch(_windows(tuple(metrics), paid=paid), workspace_id, subject_ids, earliest, first, last)
    return [
        Window(
            place=row["place"] - 1,
            first_day=row["day"],
            last_day=row["day"] + timedelta(days=row["days"] - 1),
            zone=row["zone"],
            currency=row["currency"],
            amounts={metric: row[metric] for metric in metrics if row[metric] is not None},
        )
        for row in rows
    ]
