"""Tallies moved exactly: the days that a change touches are counted again, and campaigns get the difference.

Where lines are taken away or subjects change campaigns, adding is not enough: a cell may have to become null again.
Counting everything again would be, and grows with the campaign. So the days of the touched subjects are made again from
their lines, as far as the change reaches, and each campaign is moved by what they were and what they are. A cell of a
campaign becomes null where no other member reports the metric there.

The caller has the workspace to itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import ADDITIVE
from service.ledger import days, statements
from service.ledger.edges import FIRST_MONTH, month_start
from service.ledger.history.days import begins_within, days_of_lines, days_of_subjects
from service.ledger.posting import Posting
from service.ledger.rows import line_of
from service.ledger.series import Flag, Line, Mark
from service.ledger.sheet import Roster
from service.ledger.tallies import OPENING_DAY, Cell, Sums
from service.ledger.tally_rows import TallyRows
from service.ledger.touches import Touches

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_CELL = {"day": "date", "zone": "text", "basis": "smallint", "days": "smallint", "currency": "text", "paid": "smallint"}
"""The columns of a tally's key, with their types."""


class Stretch(msgspec.Struct, frozen=True):
    """How far a change of a subject's lines reaches, and whether it touches openings."""

    low: datetime
    high: datetime
    openings: bool

    def joined(self, line: Line) -> Stretch:
        """Return the stretch that holds a line too."""
        if line.flags & Flag.OPENING:
            return Stretch(self.low, self.high, openings=True)
        return Stretch(min(self.low, line.valid_from), max(self.high, line.valid_to), self.openings)

    @property
    def days(self) -> tuple[date, date]:
        """Return the first and last day that may hold any of it, in any zone; none for openings alone."""
        if self.low > self.high:
            return date.max, date.min
        if self.low <= _EARLIEST:
            return OPENING_DAY, date.max
        return self.low.date() - timedelta(days=1), self.high.date() + timedelta(days=1)


NOTHING = Stretch(_LATEST, _EARLIEST, openings=False)
WHOLE = Stretch(_EARLIEST, _LATEST, openings=True)

Campaigns = Mapping[UUID, Mapping[UUID, str]]
"""The campaigns that each subject counts in, with their zones."""


class Row(NamedTuple):
    """What a cell of a subject says: its sums, and the bits of what a line carried into it."""

    sums: Mapping[str, int]
    carried: int


_EMPTY = Row({}, 0)
Rows = dict[tuple[UUID, Cell], Row]
_CampaignCell = tuple[UUID, str, Cell]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be counted again: subjects of one platform, and their campaigns before and after.

    Of the ``unwritten`` no line changed: where they are asked in the same zones, their days are what they were.
    """

    platform: str
    stretches: Mapping[UUID, Stretch]
    before: Campaigns
    after: Campaigns
    unwritten: frozenset[UUID] = frozenset()


async def campaigns_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]
) -> dict[UUID, dict[UUID, str]]:
    """Return the campaigns that subjects count in, with their zones."""
    found: dict[UUID, dict[UUID, str]] = defaultdict(dict)
    for row in await connection.fetch(statements.ZONES_OF_SUBJECTS, workspace_id, subject_ids):
        found[row["subject_id"]][row["campaign_id"]] = row["zone"]
    return found


async def recount_all(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    subject_ids: Iterable[UUID],
    before: Campaigns,
    written: Container[UUID],
) -> None:
    """Count subjects again, wholly: those that moved (their campaigns ``before``), and those whose lines changed.

    ``written`` are those that lines were written of.
    """
    named = sorted(subject_ids)
    if not named:
        return
    workspace_id = posting.workspace_id
    after = await campaigns_of(connection, workspace_id, named)
    by_platform: dict[str, list[UUID]] = defaultdict(list)
    for row in await connection.fetch(_PLATFORMS, workspace_id, named):
        by_platform[row["platform"]].append(row["subject_id"])
    for platform, own in sorted(by_platform.items()):
        moved = Moved(
            platform=platform,
            stretches=dict.fromkeys(sorted(own), WHOLE),
            before={one: before.get(one, after.get(one, {})) for one in own},
            after={one: after.get(one, {}) for one in own},
            unwritten=frozenset(one for one in own if one not in written),
        )
        await recount(connection, posting, moved)


async def recount(connection: asyncpg.Connection[Any], posting: Posting, moved: Moved) -> None:
    """Bring the days of subjects and of their campaigns to what the ledger says now, in an open posting."""
    if not moved.stretches:
        return
    workspace_id = posting.workspace_id
    stretches = {subject: _reach(moved, subject) for subject in moved.stretches}
    old = await _stored(connection, workspace_id, stretches)
    kept = {subject for subject in moved.unwritten if _zones(moved.before, subject) == _zones(moved.after, subject)}
    new = {key: row for key, row in old.items() if key[0] in kept}
    counted = {subject: stretch for subject, stretch in stretches.items() if subject not in kept}
    if counted:
        new |= await _counted(connection, workspace_id, counted, moved.after)
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    await _replace(connection, workspace_id, changed, new)
    await _move_campaigns(connection, workspace_id, moved, old, new)
    _note(posting.touches, moved, changed)


def _note(touches: Touches, moved: Moved, changed: Iterable[tuple[UUID, Cell]]) -> None:
    """Note who joined or left campaigns, and which cells changed in those that a subject stayed in."""
    for subject in moved.stretches:
        before, after = moved.before.get(subject, {}).keys(), moved.after.get(subject, {}).keys()
        for campaign in before ^ after:
            touches.move(campaign, subject)
    for subject, cell in changed:
        stayed = _counting(moved.before.get(subject, {}), cell) & _counting(moved.after.get(subject, {}), cell)
        for campaign in stayed:
            touches.cell(campaign, cell)


def _reach(moved: Moved, subject_id: UUID) -> Stretch:
    """Return how far a subject is counted again: wholly where it joined or left a campaign."""
    same = moved.before.get(subject_id, {}) == moved.after.get(subject_id, {})
    return moved.stretches[subject_id] if same else WHOLE


def _zones(campaigns: Campaigns, subject_id: UUID) -> set[str]:
    return set(campaigns.get(subject_id, {}).values())


# ------------------------------------------------------------------------------------------------ subjects


async def _stored(connection: asyncpg.Connection[Any], workspace_id: UUID, stretches: Mapping[UUID, Stretch]) -> Rows:
    spans = [stretch.days for stretch in stretches.values()]
    rows = await connection.fetch(
        _STORED,
        workspace_id,
        list(stretches),
        [first for first, _ in spans],
        [last for _, last in spans],
        [stretch.openings for stretch in stretches.values()],
    )
    return {(row["subject_id"], Cell(*tuple(row)[1:7])): _row(row) for row in rows}


def _row(row: Mapping[str, Any]) -> Row:
    return Row({key: row[key] for key in ADDITIVE if row[key] is not None}, row["carried"])


async def _counted(
    connection: asyncpg.Connection[Any], workspace_id: UUID, stretches: Mapping[UUID, Stretch], campaigns: Campaigns
) -> Rows:
    """Return the days of subjects as their lines make them, within their stretches."""
    reaches = [_instants(stretch) for stretch in stretches.values()]
    openings = [stretch.openings for stretch in stretches.values()]
    low, high = (
        (_EARLIEST, _LATEST) if any(openings) else (min(low for low, _ in reaches), max(high for _, high in reaches))
    )
    lines: dict[tuple[UUID, int], tuple[Any, list[Line]]] = {}
    for row in await connection.fetch(
        _LINES,
        workspace_id,
        list(stretches),
        [low for low, _ in reaches],
        [high for _, high in reaches],
        openings,
        _begins(low),
        high,
    ):
        key = (row["subject_id"], row["series_id"])
        if key not in lines:
            lines[key] = (days.key_of(row), [])
        lines[key][1].append(line_of(row))
    zones = {subject: set(campaigns.get(subject, {}).values()) for subject in stretches}
    found = days.subject_days(lines, zones)
    return {
        (subject, cell): Row(sums, carried)
        for subject, cell, sums, carried in found.items()
        if _within(stretches[subject], cell.day)
    }


def _instants(stretch: Stretch) -> tuple[datetime, datetime]:
    """Return between which instants lie the lines of the days of a stretch, in any zone."""
    first, last = stretch.days
    if first > last:
        return _LATEST, _EARLIEST
    if first == OPENING_DAY:
        return _EARLIEST, _LATEST
    low, high = (datetime.combine(day, time(), UTC) for day in (first, last))
    return low - timedelta(days=1), high + timedelta(days=2)


def _begins(low: datetime) -> datetime:
    """Return the earliest begin of a line that reaches over ``low``: lines are cut at the edges of months."""
    return _EARLIEST if low < FIRST_MONTH else month_start(low)


def _within(stretch: Stretch, day: date) -> bool:
    if day == OPENING_DAY:
        return stretch.openings
    first, last = stretch.days
    return first <= day <= last


async def _replace(
    connection: asyncpg.Connection[Any], workspace_id: UUID, changed: Iterable[tuple[UUID, Cell]], new: Rows
) -> None:
    keys = sorted(changed, key=lambda key: (key[0].int, *key[1]))
    if keys:
        columns = [list(column) for column in zip(*((subject, *cell) for subject, cell in keys), strict=True)]
        await connection.execute(_FORGET_SUBJECT_DAYS, workspace_id, *columns)
        own = [cell.day for _, cell in keys if cell.basis == 1]
        if own:
            await connection.execute(_DISOWN, workspace_id, *columns, min(own), max(own))
        rows = TallyRows(Roster())
        for subject, cell in keys:
            if (subject, cell) in new:
                owner, place, row = rows.owners.place(subject), rows.cell(cell), new[subject, cell]
                rows.add(owner, place, row.sums)
                if row.carried:
                    rows.carry(owner, place, row.carried)
        await days.add_subjects(connection, workspace_id, rows)


# ------------------------------------------------------------------------------------------------ campaigns


async def _move_campaigns(
    connection: asyncpg.Connection[Any], workspace_id: UUID, moved: Moved, old: Rows, new: Rows
) -> None:
    """Move campaigns by what their members' cells were and are."""
    deltas = TallyRows(Roster())
    lost: dict[_CampaignCell, set[str]] = defaultdict(set)
    for subject, cell in old.keys() | new.keys():
        was, now = old.get((subject, cell), _EMPTY).sums, new.get((subject, cell), _EMPTY).sums
        counted = _counting(moved.before.get(subject, {}), cell)
        counts = _counting(moved.after.get(subject, {}), cell)
        for campaign in counted | counts:
            key = (campaign, moved.platform, cell)
            before, after = (was if campaign in counted else {}), (now if campaign in counts else {})
            if before != after:
                deltas.add(deltas.owners.place(campaign), deltas.cell(cell), _step(before, after))
                lost[key] |= before.keys() - after.keys()
    await days.add_campaigns(connection, workspace_id, moved.platform, deltas)
    await _forget_lost(connection, workspace_id, {key: metrics for key, metrics in lost.items() if metrics})


def _counting(campaigns: Mapping[UUID, str], cell: Cell) -> set[UUID]:
    return {campaign for campaign, zone in campaigns.items() if cell.basis == 1 or cell.zone == zone}


def _step(before: Sums, after: Sums) -> dict[str, int]:
    return {metric: after.get(metric, 0) - before.get(metric, 0) for metric in before.keys() | after.keys()}


async def _forget_lost(
    connection: asyncpg.Connection[Any], workspace_id: UUID, lost: Mapping[_CampaignCell, Iterable[str]]
) -> None:
    """Make null what no member reports any more, and drop the rows that then say nothing."""
    by_metric: dict[str, list[_CampaignCell]] = defaultdict(list)
    for key, metrics in lost.items():
        for metric in metrics:
            by_metric[metric].append(key)
    for metric, keys in sorted(by_metric.items()):
        await connection.execute(_forget(metric), workspace_id, *_columns(keys))
    if lost:
        await connection.execute(_FORGET_EMPTY, workspace_id, *_columns(lost))


def _columns(keys: Iterable[_CampaignCell]) -> list[list[Any]]:
    rows = [(campaign, platform, *cell) for campaign, platform, cell in keys]
    rows.sort(key=lambda row: (row[0].int, *row[1:]))
    return [list(column) for column in zip(*rows, strict=True)]


# ------------------------------------------------------------------------------------------------ statements

_PLATFORMS = "select subject_id, platform from subjects where workspace_id = $1 and subject_id = any($2::uuid[])"

_STORED = f"""
select subject_id, {", ".join(_CELL)}, bit_or(carried) as carried,
  {", ".join(f"sum({key})::bigint as {key}" for key in ADDITIVE)}
from (
  select d.subject_id, {", ".join(f"d.{name}" for name in _CELL)}, d.carried,
    {", ".join(f"d.{key}" for key in ADDITIVE)}
  from unnest($2::uuid[], $3::date[], $4::date[], $5::boolean[]) as given (subject_id, first, last, openings)
  join subject_days d on d.workspace_id = $1 and d.subject_id = given.subject_id
  where (d.day > '-infinity' and d.day >= first and d.day <= last) or (openings and d.day = '-infinity')
  union all
  select own.*
  from unnest($2::uuid[], $3::date[], $4::date[]) as given (subject_id, first, last)
  cross join lateral (
    {days_of_lines(ADDITIVE, "= given.subject_id", ("given.first", "given.last"))}
  ) own
) d
group by subject_id, {", ".join(_CELL)}
"""

_LINES = f"""
select e.*, s.kind, s.scope, s.zone, s.currency, s.paid, s.goal, s.counted
from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::boolean[]) as given (subject_id, low, high, openings)
join entries e on e.workspace_id = $1 and e.subject_id = given.subject_id
join series s on s.workspace_id = $1 and s.series_id = e.series_id
where s.counted and s.kind in ('lifetime', 'period', 'event') and e.valid_from >= $6 and e.valid_from <= $7
  and ((e.valid_to >= low and e.valid_from <= high) or (openings and e.flags & {Flag.OPENING} <> 0))
"""


def _same_cell(owner: Mapping[str, str]) -> tuple[str, str]:
    """Return SQL for given cells ($2 and on) of an owner, and for being one of them."""
    types = [*owner.values(), *_CELL.values()]
    names = [*owner, *_CELL]
    given = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types, start=2))
    same = " and ".join(f"d.{name} = given.{name}" for name in names)
    return f"unnest({given}) as given ({', '.join(names)})", f"d.workspace_id = $1 and {same}"


_SUBJECT_CELLS, _SAME_SUBJECT_CELL = _same_cell({"subject_id": "uuid"})
_CAMPAIGN_CELLS, _SAME_CAMPAIGN_CELL = _same_cell({"campaign_id": "uuid", "platform": "text"})

_FORGET_SUBJECT_DAYS = f"delete from subject_days d using {_SUBJECT_CELLS} where {_SAME_SUBJECT_CELL}"
# Lines that were tallies by themselves are so no more: the whole of their day is written beside them.
_DISOWN = f"""
update entries e set mark = e.mark & ~{Mark.TALLY}
from {_SUBJECT_CELLS}, series s
where s.workspace_id = $1 and s.series_id = e.series_id
  and e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.mark & {Mark.TALLY} <> 0
  and {begins_within("$9", "$10")}
  and (e.subject_id, e.day, s.zone, 1, e.days, s.currency, s.paid)
    = (given.subject_id, {", ".join(f"given.{name}" for name in _CELL)})
"""
_FORGET_EMPTY = f"""
delete from campaign_days d using {_CAMPAIGN_CELLS}
where {_SAME_CAMPAIGN_CELL} and coalesce({", ".join(f"d.{key}" for key in ADDITIVE)}) is null
"""


@lru_cache(maxsize=64)
def _forget(metric: str) -> str:
    """Return the update that makes a metric null in given cells of campaigns that no member reports it in.

    The first member that does is enough: the limit keeps the planner from looking at the days of all of them. The
    offset keeps the look at one member a look by its key: of tables that nobody has counted yet, the planner takes the
    days of everybody to be as near.
    """
    own = " and ".join(f"m.{name} = given.{name}" for name in _CELL)
    days = days_of_subjects((metric,), "= n.subject_id", ("given.day", "given.day"))
    return f"""
    with standing as materialized (
      select n.campaign_id, n.subject_id, s.platform from memberships n
      join subjects s on s.workspace_id = $1 and s.subject_id = n.subject_id
      where n.workspace_id = $1 and n.campaign_id = any($2::uuid[])
      group by n.campaign_id, n.subject_id, s.platform having sum(n.sign) > 0
    ), lost as materialized (
      select given.* from {_CAMPAIGN_CELLS} where (
        select true from standing n
        cross join lateral (
          select from ({days}) m where {own} and m.{metric} is not null offset 0
        ) m
        where n.campaign_id = given.campaign_id and n.platform = given.platform limit 1
      ) is null
    )
    update campaign_days d set {metric} = null from lost given where {_SAME_CAMPAIGN_CELL}
    """
