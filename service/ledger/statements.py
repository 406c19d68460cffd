"""The hot statements of the ledger, as SQL text in one place. Parameters are whole columns: arrays, and the
numbers of all rows as one string of bytes.

Every statement names its workspace, beside the policy that does: a distributed database routes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from connectors.contract import ADDITIVE, STORED
from service.ledger.history.days import days_of_subjects
from service.ledger.series import UNSAYING, Cause, Mark

SUBJECTS = """
select external_id, subject_id, type, facts from subjects
where workspace_id = $1 and platform = $2 and external_id = any($3::text[])
"""

INSERT_SUBJECTS = """
insert into subjects (workspace_id, subject_id, platform, external_id, type, batch, facts)
select $1, id, $2, external_id, type, $3, facts
from unnest($4::uuid[], $5::text[], $6::text[], $7::jsonb[]) as given (id, external_id, type, facts)
on conflict (workspace_id, platform, external_id) do nothing
returning external_id
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

# Every row is there, and subjects are never deleted: of the insert only its conflict takes place. It looks rows up one
# by one and locks them in the order given, which an update that joins leaves to the planner.
EXTEND_SUBJECTS = """
insert into subjects as known (
  workspace_id, subject_id, platform, external_id, type, batch, facts, observed_at, longest)
select $1, s.subject_id, s.platform, s.external_id, s.type, s.batch, s.facts, given.at, given.days
from unnest($2::uuid[], $3::timestamptz[], $4::smallint[]) as given (subject_id, at, days)
cross join lateral (
  select * from subjects s
  where s.workspace_id = $1 and s.subject_id = given.subject_id
    and (s.observed_at is null or s.observed_at < given.at or s.longest < given.days)
  offset 0
) s
on conflict (workspace_id, subject_id) do update set
  observed_at = greatest(known.observed_at, excluded.observed_at), longest = greatest(known.longest, excluded.longest)
"""

INSERT_FACTS = """
insert into subject_facts (workspace_id, subject_id, batch, facts)
select $1, subject_id, $2, facts from unnest($3::uuid[], $4::jsonb[]) as given (subject_id, facts)
"""

FACTS = """(
  select f.workspace_id, f.subject_id, f.batch, one.key as name,
    (one.value ->> 0)::timestamptz as observed_at, one.value -> 1 as value
  from subject_facts f cross join lateral jsonb_each(f.facts) as one
)"""
"""The lines of ``subject_facts`` one by one."""

INSERT_SERIES = """
insert into series (workspace_id, series_id, source_id, kind, scope, zone, currency, paid, goal, counted)
select $1, series_id, $2, kind, scope, zone, currency, paid, goal, counted
from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::boolean[])
  as given (series_id, kind, scope, zone, currency, paid, goal, counted)
on conflict (workspace_id, series_id) do nothing
"""

_NULL = -(2**63)


def _numbers(parameter: int, count: str, names: Sequence[str], metrics: Sequence[str]) -> str:
    """Return the rows of ``grid.packed`` as a table: ``n`` from 1, the named numbers, the metrics.

    The fence (offset 0) names the bytes once: a plan would hold a copy of them for every number of a row.
    """
    width = len(names) + len(metrics)
    cells = [
        f"substring(given.bytes from (n - 1) * {8 * width} + {8 * place + 1} for 8)::bigint" for place in range(width)
    ]
    found = [f"{cell} as {name}" for cell, name in zip(cells, names, strict=False)]
    found += [f"nullif({cell}, {_NULL}) as {name}" for cell, name in zip(cells[len(names) :], metrics, strict=True)]
    return f"""(
      select n::bigint, {", ".join(found)}
      from (select ${parameter}::bytea as bytes offset 0) given cross join generate_series(1, {count}) as n offset 0
    )"""


_STORED_COLUMNS = ", ".join(STORED)
_UNSAYING = ", ".join(str(int(cause)) for cause in sorted(UNSAYING))
_SPOKE = f"""case when e.sign > 0 then case when e.cause in ({_UNSAYING}) then 0 else 1 end
              when e.cause = {int(Cause.MAPPING_CHANGED)} then -1 else 0 end"""
"""What ``series.spoke`` says of a line."""
_ENTRY_COLUMNS = (
    "e.subject_id, e.series_id, e.valid_from, e.valid_to, e.sign, e.cause, e.flags, e.observed_at, e.delivery_id, "
    "e.received_at, e.day, e.days, e.event_key"
)

# One look-up per key, whatever the planner knows (offset 0): it may have met the table empty, and would read all of a
# workspace.
BALANCES = f"""
select b.subject_id, b.series_id, b.at, b.earlier, {_STORED_COLUMNS}
from unnest($2::uuid[], $3::bigint[]) as given (subject_id, series_id)
cross join lateral (
  select * from balances b
  where b.workspace_id = $1 and b.subject_id = given.subject_id and b.series_id = given.series_id
  offset 0
) b
"""

ENTRIES_OF_SERIES = f"""
select {_ENTRY_COLUMNS}, {", ".join(f"e.{key}" for key in STORED)}
from unnest($2::uuid[], $3::bigint[]) as given (subject_id, series_id)
cross join lateral (
  select * from entries e
  where e.workspace_id = $1 and e.subject_id = given.subject_id and e.series_id = given.series_id
  offset 0
) e
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
cross join lateral ({days_of_subjects(ADDITIVE, "= m.subject_id")}) d
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
    """Return the parameters of ``unnest``."""
    return ", ".join(f"${first + place}::{kind}[]" for place, kind in enumerate(types))


def _of(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


_FORM = {
    "series_id": "bigint",
    "valid_from": "timestamptz",
    "valid_to": "timestamptz",
    "sign": "smallint",
    "cause": "smallint",
    "flags": "smallint",
    "day": "date",
    "days": "smallint",
    "event_key": "bytea",
    "mark": "smallint",
}
_SAYING = {"observed_at": "timestamptz", "delivery_id": "uuid", "received_at": "timestamptz"}


@lru_cache(maxsize=256)
def insert_entries(metrics: tuple[str, ...], *, credits_: bool = False) -> str:
    """Return the insert of entries that hold the given metrics: $1 workspace, $2 batch, then ``Sheet.columns``.

    Lines of ``credits_`` that are written beside those of the posting are numbered downwards, apart from the others.
    The dictionaries of forms and sayings are joined, not subscripted: a subscript walks an array that holds nulls from
    its start.
    """
    line = "-g.n" if credits_ else "g.n"
    forms, sayings = tuple(_FORM), tuple(_SAYING)
    return f"""
    insert into entries (workspace_id, batch, subject_id, line, {", ".join((*forms, *sayings, *metrics))})
    select $1, $2, ($3::uuid[])[g.subject], {line}, {_of("f", forms)}, {_of("s", sayings)}, {_of("g", metrics)}
    from {_numbers(5, "$4::integer", ("subject", "form", "saying"), metrics)} g
    join unnest({_arrays(tuple(_FORM.values()), 6)}) with ordinality as f ({", ".join(forms)}, form) using (form)
    join unnest({_arrays(tuple(_SAYING.values()), 6 + len(forms))}) with ordinality as s ({", ".join(sayings)}, saying)
      using (saying)
    """


@lru_cache(maxsize=256)
def lines_of_windows(metrics: tuple[str, ...]) -> str:
    """Return the look at the lines of windows and at what confirms them: $1 workspace, $2 subjects, $3 how many windows
    are asked for and $4 a block of their subject and window by place, $5 to $7 series, first and last instants of
    windows, $8 and $9 the bounds of the first.

    One row of columns, most of them strings of bytes; null where there is no line, or no confirmation. ``line_of`` and
    ``confirmation_of`` are places among the asked ones, ``known`` counts all metrics that a line has.

    Of each window those lines from the newest on that stood alone when it was written: what came before it comes to
    nothing. Mostly that is the newest line, which is looked up first. The index is read backwards, so that what is read
    does not grow with what was said before. Lines of a window are written one posting after the other, and the keys of
    these postings ascend (docs/adr/0002).
    """

    def since(column: str, least: int) -> str:
        # Not coalesce: it may leak what it sees, as the policy has it, and is no condition of an index then.
        return f"case when alone.{column} is null then {least} else alone.{column} end"

    def of_window(alias: str) -> str:
        return f"""{alias}.workspace_id = $1 and {alias}.subject_id = given.subject_id
        and {alias}.valid_from = given.valid_from and {alias}.series_id = given.series_id
        and {alias}.valid_to = given.valid_to and {alias}.valid_from between $8 and $9"""

    numbers = ", ".join(f"string_agg(int8send(coalesce({key}, {_NULL})), '') as {key}" for key in metrics)
    names = ("sign", "cause", "flags", "observed_at", "delivery_id", "received_at", "spoke", "known", *metrics)
    columns = f"""{_of("e", names[:6])}, ({_SPOKE})::smallint as spoke,
            num_nonnulls({_of("e", STORED)})::smallint as known, {_of("e", metrics)}"""
    return f"""
    with given as materialized (
      select (n - 1)::integer as place, ($2::uuid[])[subject] as subject_id, series_id, valid_from, valid_to
      from {_numbers(4, "$3::integer", ("subject", "seen"), ())} g
      join unnest($5::bigint[], $6::timestamptz[], $7::timestamptz[]) with ordinality
        as w (series_id, valid_from, valid_to, seen) using (seen)
    )
    select * from (
      select string_agg(int4send(place), '') as line_of, string_agg(int2send(sign), '') as sign,
        string_agg(int2send(cause), '') as cause, string_agg(int2send(flags), '') as flags,
        string_agg(int2send(spoke), '') as spoke, string_agg(int2send(known), '') as known,
        string_agg(timestamptz_send(observed_at), '') as observed, array_agg(observed_at) as observed_at,
        array_agg(delivery_id) as delivery_id, array_agg(received_at) as received_at, {numbers}
      from (
        select given.place, e.*
        from given
        cross join lateral (
          select {columns}, e.mark from entries e where {of_window("e")}
          order by e.batch desc, e.line desc limit 1
        ) newest
        cross join lateral (
          select {_of("newest", names)} where newest.mark & {Mark.ALONE} <> 0
          union all
          select since.* from (
            select e.*
            from (values (0)) as one
            left join lateral (
              select e.batch, e.line from entries e where {of_window("e")} and e.mark & {Mark.ALONE} <> 0
              order by e.batch desc, e.line desc limit 1
            ) alone on true
            cross join lateral (
              select {columns} from entries e where {of_window("e")}
                and (e.batch, e.line) >= ({since("batch", _NULL)}, {since("line", -(2**31))})
              offset 0
            ) e
          ) since
          where newest.mark & {Mark.ALONE} = 0
        ) e
        offset 0
      ) l
    ) lines cross join (
      select string_agg(int4send(place), '') as confirmation_of, string_agg(int8send(mask), '') as mask,
        string_agg(timestamptz_send(confirmed_at), '') as confirmed, array_agg(confirmed_at) as confirmed_at
      from (
        select given.place, c.mask, c.confirmed_at
        from given
        cross join lateral (select * from confirmations c where {of_window("c")} offset 0) c
        offset 0
      ) c
    ) confirmations
    """


def _all_of(table: str, alias: str) -> str:
    """Return the rows of a table for every pair of the subjects $2 and the instants $3."""
    return f"""{table} {alias} where {alias}.workspace_id = $1
        and {alias}.subject_id = any($2::uuid[]) and {alias}.valid_from = any($3::timestamptz[])"""


_BYTES_OF_WINDOW = """
      string_agg(uuid_send(subject_id), '') as subjects, string_agg(int8send(series_id), '') as series_id,
      string_agg(timestamptz_send(valid_from), '') as valid_from,
      string_agg(timestamptz_send(valid_to), '') as valid_to"""


@lru_cache(maxsize=256)
def lines_of_batch(metrics: tuple[str, ...]) -> str:
    """Return the look at the lines that begin when windows of a batch do: $1 workspace, $2 subjects, $3 instants.

    One row of columns, each a string of bytes, most significant first; all null where there is no line. An absent
    number is ``grid.NULL``; ``known`` counts all metrics that a line has. What is gone through once for each column is
    told apart before (offset 0).
    """
    numbers = ", ".join(f"string_agg(int8send(coalesce({key}, {_NULL})), '') as {key}" for key in metrics)
    return f"""
    select {_BYTES_OF_WINDOW}, string_agg(timestamptz_send(observed_at), '') as observed_at,
      string_agg(int2send(sign), '') as sign, string_agg(int2send(spoke), '') as spoke,
      string_agg(int2send(known), '') as known, {numbers}
    from (
      select e.subject_id, e.series_id, e.valid_from, e.valid_to, e.observed_at, e.sign, ({_SPOKE})::smallint as spoke,
        num_nonnulls({_of("e", STORED)})::smallint as known, {_of("e", metrics)}
      from {_all_of("entries", "e")}
      offset 0
    ) l
    """


CONFIRMED_OF_BATCH = f"""
select {_BYTES_OF_WINDOW}, string_agg(int8send(mask), '') as mask,
  string_agg(timestamptz_send(confirmed_at), '') as confirmed_at
from {_all_of("confirmations", "c")}
"""
"""The same of what confirms windows."""


@lru_cache(maxsize=256)
def write_balances(metrics: tuple[str, ...]) -> str:
    """Return the upsert of balances that hold the given metrics: $1 workspace, then ``rows.balance_columns``."""
    own = ("subject_id", "series_id", "at", "earlier")
    updates = ", ".join(f"{name} = excluded.{name}" for name in ("at", "earlier", *metrics))
    return f"""
    insert into balances (workspace_id, {", ".join((*own, *metrics))})
    select $1, {_of("k", own)}, {_of("g", metrics)}
    from {_numbers(2, "cardinality($3::uuid[])", (), metrics)} g
    join unnest({_arrays(("uuid", "bigint", "timestamptz", "jsonb"), 3)}) with ordinality as k ({", ".join(own)}, n)
      using (n)
    order by n
    on conflict (workspace_id, subject_id, series_id) do update set {updates}
    """


_CELL_TYPES = {"day": "date", "zone": "text", "basis": "smallint", "days": "smallint", "currency": "text"}
_CELL_TYPES |= {"paid": "smallint"}


@lru_cache(maxsize=256)
def put_days(table: str, metrics: tuple[str, ...], *, carries: bool = False) -> str:
    """Return the null-aware addition to ``subject_days`` or ``campaign_days``: $1 workspace, then the parameters of
    ``Table.parameters``, and for campaigns the platform. ``carries``: each row has the bits of days that begin inside a
    line.
    """
    cell, platform = tuple(_CELL_TYPES), f"${5 + len(_CELL_TYPES)}"
    owner, extra = ("subject_id", "") if table == "subject_days" else ("campaign_id", "platform, ")
    carried = ("carried",) if carries else ()
    sums = [f"{name} = coalesce(t.{name} + excluded.{name}, t.{name}, excluded.{name})" for name in metrics]
    sums += [f"{name} = t.{name} | excluded.{name}" for name in carried]
    key = f"workspace_id, {owner}, {extra}{', '.join(cell)}"
    return f"""
    insert into {table} as t ({", ".join((key, *carried, *metrics))})
    select $1, ($2::uuid[])[g.owner], {f"{platform}::text, " if extra else ""}{_of("k", cell)},
      {_of("g", (*carried, *metrics))}
    from {_numbers(4, "$3::integer", ("owner", "cell", *carried), metrics)} g
    join unnest({_arrays(tuple(_CELL_TYPES.values()), 5)}) with ordinality as k ({", ".join(cell)}, cell) using (cell)
    on conflict ({key}) do update set {", ".join(sums)}
    """
