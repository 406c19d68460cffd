"""The hot statements of the ledger, as SQL text in one place. Parameters are whole columns as arrays.

Every statement names its workspace, beside the policy that does: a distributed database routes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from connectors.contract import ADDITIVE, STORED

SUBJECTS = """
select external_id, subject_id, type, facts from subjects
where workspace_id = $1 and platform = $2 and external_id = any($3::text[])
"""

INSERT_SUBJECTS = """
insert into subjects (workspace_id, subject_id, platform, external_id, type, batch, facts)
select $1, id, $2, external_id, type, $3, '{}'::jsonb
from unnest($4::uuid[], $5::text[], $6::text[]) as given (id, external_id, type)
on conflict (workspace_id, platform, external_id) do nothing
returning external_id, subject_id
"""

LOCK_SUBJECTS = """
select subject_id, facts from subjects where workspace_id = $1 and subject_id = any($2::uuid[])
order by subject_id for no key update
"""

UPDATE_FACTS = """
update subjects set facts = given.facts, type = given.type
from unnest($2::uuid[], $3::jsonb[], $4::text[]) as given (subject_id, facts, type)
where subjects.workspace_id = $1 and subjects.subject_id = given.subject_id
"""

EXTEND_SUBJECTS = """
update subjects set observed_at = greatest(subjects.observed_at, given.at),
  longest = greatest(subjects.longest, given.days)
from (
  select s.subject_id, g.at, g.days
  from unnest($2::uuid[], $3::timestamptz[], $4::smallint[]) as g (subject_id, at, days)
  join subjects s on s.workspace_id = $1 and s.subject_id = g.subject_id
    and (s.observed_at is null or s.observed_at < g.at or s.longest < g.days)
  order by s.subject_id for no key update of s
) given
where subjects.workspace_id = $1 and subjects.subject_id = given.subject_id
"""

INSERT_FACTS = """
insert into subject_facts (workspace_id, subject_id, name, batch, observed_at, value)
select $1, subject_id, name, $2, observed_at, value
from unnest($3::uuid[], $4::text[], $5::timestamptz[], $6::jsonb[]) as given (subject_id, name, observed_at, value)
"""

INSERT_SERIES = """
insert into series (workspace_id, series_id, source_id, kind, scope, zone, currency, paid, goal, counted)
select $1, series_id, $2, kind, scope, zone, currency, paid, goal, counted
from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::boolean[])
  as given (series_id, kind, scope, zone, currency, paid, goal, counted)
on conflict (workspace_id, series_id) do nothing
"""

METRIC = "metric"
"""A column of a metric: most of what is written, and cheaper to send as text than number by number."""

_STORED_COLUMNS = ", ".join(STORED)
_ENTRY_COLUMNS = (
    "subject_id, series_id, valid_from, valid_to, sign, cause, flags, observed_at, delivery_id, received_at, e.day, "
    "e.days, event_key"
)

BALANCES = f"""
select subject_id, series_id, at, earlier, {_STORED_COLUMNS} from balances
where workspace_id = $1 and (subject_id, series_id) in (select * from unnest($2::uuid[], $3::bigint[]))
"""

ENTRIES_OF_SERIES = f"""
select {_ENTRY_COLUMNS}, {", ".join(f"e.{key}" for key in STORED)} from entries e
join unnest($2::uuid[], $3::bigint[]) as given (subject_id, series_id) using (subject_id, series_id)
where e.workspace_id = $1
"""

ENTRIES_OF_WINDOWS = f"""
select {_ENTRY_COLUMNS}, {", ".join(f"e.{key}" for key in STORED)} from entries e
join unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
  as given (subject_id, series_id, valid_from, valid_to) using (subject_id, series_id, valid_from, valid_to)
where e.workspace_id = $1 and e.valid_from between $6 and $7
"""

_SERIES_COLUMNS = "s.source_id, s.kind, s.scope, s.zone, s.currency, s.paid, s.goal, s.counted"

SERIES_OF_SUBJECTS = f"""
select b.subject_id, b.series_id, {_SERIES_COLUMNS}, o.tracks_from
from balances b
join series s on s.workspace_id = $1 and s.series_id = b.series_id
join sources o on o.workspace_id = $1 and o.source_id = s.source_id
where b.workspace_id = $1 and b.subject_id = any($2::uuid[])
"""
"""The counter series of subjects, each with what it needs to be written again."""

ENTRIES_OF_EVENT = f"""
select {_ENTRY_COLUMNS}, {", ".join(f"e.{key}" for key in STORED)}, {_SERIES_COLUMNS}, o.tracks_from
from entries e
join series s using (workspace_id, series_id)
join sources o on o.workspace_id = $1 and o.source_id = s.source_id
where e.workspace_id = $1 and e.subject_id = $2 and e.valid_from = $3 and e.event_key = $4
"""

ENTRIES_OF_SUBJECTS = f"""
select {_ENTRY_COLUMNS}, {", ".join(f"e.{key}" for key in STORED)}, {_SERIES_COLUMNS}
from entries e
join series s using (workspace_id, series_id)
where e.workspace_id = $1 and e.subject_id = any($2::uuid[])
"""

ZONES_OF_SUBJECTS = """
select m.subject_id, c.campaign_id, c.zone
from (
  select subject_id, campaign_id from memberships where workspace_id = $1 and subject_id = any($2::uuid[])
  group by subject_id, campaign_id having sum(sign) > 0
) m
join campaigns c on c.workspace_id = $1 and c.campaign_id = m.campaign_id
"""

CONFIRMATIONS = """
select subject_id, series_id, valid_from, valid_to, mask, confirmed_at from confirmations c
join unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
  as given (subject_id, series_id, valid_from, valid_to) using (subject_id, series_id, valid_from, valid_to)
where c.workspace_id = $1 and c.valid_from between $6 and $7
"""

CONFIRM = """
insert into confirmations (workspace_id, subject_id, valid_from, valid_to, series_id, mask, confirmed_at)
select $1, *
from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::timestamptz[])
on conflict (workspace_id, subject_id, valid_from, valid_to, series_id, mask)
do update set confirmed_at = greatest(confirmations.confirmed_at, excluded.confirmed_at)
"""

EVENTS = """
select e.event_key, e.subject_id, s.external_id, e.series_id, e.at, e.observed_at, e.metrics
from events e join subjects s using (workspace_id, subject_id)
where e.workspace_id = $1 and e.event_key = any($2::bytea[])
"""

WRITE_EVENTS = """
insert into events (workspace_id, event_key, subject_id, series_id, at, observed_at, metrics)
select $1, * from unnest($2::bytea[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::jsonb[])
on conflict (workspace_id, event_key) do update set subject_id = excluded.subject_id, series_id = excluded.series_id,
  at = excluded.at, observed_at = excluded.observed_at, metrics = excluded.metrics
"""

RULES = """
select distinct on (v.campaign_id) v.campaign_id, c.zone, v.version, v.name, v.kind, v.starts, v.ends, v.budget,
  v.margin, v.click_days, v.view_days, v.goals, v.tactics, v.rules, v.archived
from campaign_versions v join campaigns c using (workspace_id, campaign_id)
where v.workspace_id = $1
order by v.campaign_id, v.version desc
"""

PROFILES_OF_CREATORS = """
select creator_id, platform, external_id from creator_profiles
where workspace_id = $1 and creator_id = any($2::uuid[])
"""

SUBJECTS_AFTER = """
select subject_id, platform, external_id, type, facts, observed_at, longest from subjects
where workspace_id = $1 and subject_id > $2 order by subject_id limit $3
"""

MEMBERS = """
select subject_id from memberships where workspace_id = $1 and campaign_id = $2
group by subject_id having sum(sign) > 0
"""

INSERT_VERSION = """
insert into campaign_versions (workspace_id, campaign_id, version, batch, name, kind, starts, ends, budget, margin,
  click_days, view_days, goals, tactics, rules, archived)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""

INSERT_MEMBERSHIPS = """
insert into memberships (workspace_id, campaign_id, subject_id, batch, sign, version)
select $1, campaign_id, subject_id, $2, sign, version
from unnest($3::uuid[], $4::uuid[], $5::smallint[], $6::integer[]) as given (campaign_id, subject_id, sign, version)
"""


_CELL = "day, zone, basis, days, currency, paid"
_MEMBER_DAYS = f"""
select m.campaign_id, s.platform, d.day, d.zone, d.basis, d.days, d.currency, d.paid,
  {", ".join(f"sum(d.{key})::bigint as {key}" for key in ADDITIVE)}
from (
  select campaign_id, subject_id from memberships where workspace_id = $1 and campaign_id = any($2::uuid[])
  group by campaign_id, subject_id having sum(sign) > 0
) m
join campaigns c on c.workspace_id = $1 and c.campaign_id = m.campaign_id
join subjects s on s.workspace_id = $1 and s.subject_id = m.subject_id
join subject_days d on d.workspace_id = $1 and d.subject_id = m.subject_id
where d.basis = 1 or d.zone = c.zone
group by m.campaign_id, s.platform, d.day, d.zone, d.basis, d.days, d.currency, d.paid
"""
"""What campaign tallies must be: the sums of their members' days."""

FILL_CAMPAIGN_DAYS = f"""
insert into campaign_days (workspace_id, campaign_id, platform, {_CELL}, {", ".join(ADDITIVE)})
select $1, sums.* from ({_MEMBER_DAYS}) sums
"""

COMPARE_CAMPAIGN_DAYS = f"""
select campaign_id, platform, {_CELL},
  {", ".join(f"want.{key} as want_{key}, have.{key} as have_{key}" for key in ADDITIVE)}
from ({_MEMBER_DAYS}) want
full join (
  select campaign_id, platform, {_CELL}, {", ".join(ADDITIVE)} from campaign_days
  where workspace_id = $1 and campaign_id = any($2::uuid[])
) have using (campaign_id, platform, {_CELL})
where ({", ".join(f"want.{key}" for key in ADDITIVE)}) is distinct from ({", ".join(f"have.{key}" for key in ADDITIVE)})
"""


def _arrays(types: Sequence[str], first: int) -> str:
    """Return the parameters of ``unnest``; columns of numbers come as the text of an array (``sheet.array_text``)."""
    return ", ".join(
        f"${first + place}::text::bigint[]" if kind == METRIC else f"${first + place}::{kind}[]"
        for place, kind in enumerate(types)
    )


def _of(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


_SHAPE = {
    "series_id": "bigint",
    "valid_from": "timestamptz",
    "valid_to": "timestamptz",
    "sign": "smallint",
    "cause": "smallint",
    "flags": "smallint",
    "observed_at": "timestamptz",
    "delivery_id": "uuid",
    "received_at": "timestamptz",
    "day": "date",
    "days": "smallint",
    "event_key": "bytea",
}


@lru_cache(maxsize=256)
def insert_entries(metrics: tuple[str, ...], *, credits_: bool = False) -> str:
    """Return the insert of entries that hold the given metrics: $1 workspace, $2 batch, then ``Sheet.columns``.

    Lines of ``credits_`` that are written beside those of the posting are numbered downwards, apart from the others.
    The dictionary of shapes is joined, not subscripted: a subscript walks an array that holds nulls from its start.
    """
    names = ", ".join(metrics)
    line = "-g.line" if credits_ else "g.line"
    return f"""
    insert into entries (workspace_id, batch, subject_id, line, {", ".join(_SHAPE)}, {names})
    select $1, $2, ($3::uuid[])[g.subject], {line}, {_of("k", tuple(_SHAPE))}, {_of("g", metrics)}
    from unnest($4::text::integer[], $5::text::integer[], {_arrays([METRIC] * len(metrics), 6 + len(_SHAPE))})
      with ordinality as g (subject, shape, {names}, line)
    join unnest({_arrays(tuple(_SHAPE.values()), 6)}) with ordinality as k ({", ".join(_SHAPE)}, shape)
      on k.shape = g.shape
    """


@lru_cache(maxsize=256)
def held_windows(metrics: tuple[str, ...]) -> str:
    """Return the look at windows that are about to be booked: $1 workspace, then ``windows.question``.

    Rows (n, verdict) of those whose subject has any line that begins when the window does: 0 the window itself is new,
    1 it says the same already, 2 the same and this is the newest time that it is said, 3 look closer.
    """
    names = ", ".join(metrics)
    same = f"l.sign = 1 and l.known = g.known and ({_of('l', metrics)}) is not distinct from ({_of('g', metrics)})"
    mask = " + ".join(f"case when g.{key} is null then 0 else {1 << STORED.index(key)}::bigint end" for key in metrics)
    return f"""
    with given as materialized (
      select g.n, ($2::uuid[])[g.subject] as subject_id, k.series_id, k.valid_from, k.valid_to,
        ($6::timestamptz[])[g.said] as at, {_of("g", metrics)}, num_nonnulls({_of("g", metrics)}) as known,
        {mask} as mask
      from unnest($3::text::integer[], $4::text::integer[], $5::text::integer[], {_arrays([METRIC] * len(metrics), 10)})
        with ordinality as g (subject, cell, said, {names}, n)
      join unnest($7::bigint[], $8::timestamptz[], $9::timestamptz[]) with ordinality
        as k (series_id, valid_from, valid_to, cell) on k.cell = g.cell
    ), lines as materialized (
      select e.subject_id, e.series_id, e.valid_from, e.valid_to, e.sign, e.observed_at, {_of("e", metrics)},
        num_nonnulls({_of("e", STORED)}) as known
      from entries e
      where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and e.valid_from = any($8::timestamptz[])
    ), confirmed as materialized (
      select c.subject_id, c.series_id, c.valid_from, c.valid_to, c.mask, c.confirmed_at
      from confirmations c
      where c.workspace_id = $1 and c.subject_id = any($2::uuid[]) and c.valid_from = any($8::timestamptz[])
    ), held as (
      select g.n, count(*) filter (where o.own) as lines, count(*) filter (where o.own and {same}) as same,
        max(l.observed_at) filter (where o.own) as said
      from given g join lines l using (subject_id, valid_from)
      cross join lateral (select l.series_id = g.series_id and l.valid_to = g.valid_to as own) o
      group by g.n
    ), told as (
      select g.n, count(*) as times, count(*) filter (where c.mask = g.mask) as same, max(c.confirmed_at) as said
      from given g join confirmed c using (subject_id, series_id, valid_from, valid_to)
      group by g.n
    )
    select n, case
      when coalesce(h.lines, 0) = 0 and t.n is null then 0
      when h.lines = 1 and h.same = 1 and (t.n is null or (t.times = 1 and t.same = 1))
        then case when g.at > greatest(h.said, t.said) then 2 else 1 end
      else 3 end::integer as verdict
    from held h full join told t using (n) join given g using (n)
    """


@lru_cache(maxsize=256)
def write_balances(metrics: tuple[str, ...]) -> str:
    """Return the upsert of balances that hold the given metrics: $1 workspace, then the columns as arrays."""
    types = ["uuid", "bigint", "timestamptz", "jsonb"] + [METRIC] * len(metrics)
    names = ", ".join(["subject_id", "series_id", "at", "earlier", *metrics])
    updates = ", ".join(f"{name} = excluded.{name}" for name in ("at", "earlier", *metrics))
    return (
        f"insert into balances (workspace_id, {names}) select $1, * from unnest({_arrays(types, 2)}) "
        f"on conflict (workspace_id, subject_id, series_id) do update set {updates}"
    )


_CELL_TYPES = {"day": "date", "zone": "text", "basis": "smallint", "days": "smallint", "currency": "text"}
_CELL_TYPES |= {"paid": "smallint"}


@lru_cache(maxsize=256)
def put_days(table: str, metrics: tuple[str, ...], *, blank: bool, carries: bool = False) -> str:
    """Return the null-aware addition to ``subject_days`` or ``campaign_days``: $1 workspace, then the parameters of
    ``Table.parameters``, and for campaigns the platform. ``blank``: no row is there yet, and one that is refuses the
    statement. ``carries``: the last column has the bits of days that begin inside a line.
    """
    cell, first = tuple(_CELL_TYPES), 5 + len(_CELL_TYPES)
    given = (*metrics, "carried") if carries else metrics
    platform = f"${first + len(given)}"
    owner, extra = ("subject_id", "") if table == "subject_days" else ("campaign_id", "platform, ")
    sums = [f"{name} = coalesce(t.{name} + excluded.{name}, t.{name}, excluded.{name})" for name in metrics]
    sums += ["carried = t.carried | excluded.carried"] if carries else []
    key = f"workspace_id, {owner}, {extra}{', '.join(cell)}"
    return f"""
    insert into {table} as t ({key}, {", ".join(given)})
    select $1, ($2::uuid[])[g.owner], {f"{platform}::text, " if extra else ""}{_of("k", cell)}, {_of("g", given)}
    from unnest($3::text::integer[], $4::text::integer[], {_arrays([METRIC] * len(given), first)})
       as g (owner, cell, {", ".join(given)})
     join unnest({_arrays(tuple(_CELL_TYPES.values()), 5)}) with ordinality as k ({", ".join(cell)}, cell)
       on k.cell = g.cell
     {"" if blank else f"on conflict ({key}) do update set {', '.join(sums)}"}
    """
