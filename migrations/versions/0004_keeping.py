"""Keeping: what is queued to be read again, from when the books are kept, dropping what is older, verdicts on falls.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = TIMESTAMP(timezone=True)
WORKSPACE = "workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid"

# As in 0001, but that the months begin where retention left off: what lies before is one partition.
MAKE_PARTITIONS = r"""
create or replace function tallybook_make_partitions(today date, ahead integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  made integer := 0;
  parent text;
  child text;
  low date;
  high date;
begin
  perform pg_advisory_xact_lock(hashtext('tallybook partitions'));
  foreach parent in array array['entries', 'confirmations', 'subject_days', 'campaign_days'] loop
    select coalesce(min(to_date(right(c.relname, 6), 'YYYYMM')), date '2025-01-01') into low
    from pg_inherits join pg_class c on c.oid = inhrelid
    where inhparent = parent::regclass and c.relname ~ '_[0-9]{6}$';
    child := parent || '_before';
    if to_regclass('public.' || child) is null then
      execute format('create table %I partition of %I for values from (minvalue) to (%L)', child, parent,
                     case when parent like '%\_days' then low::text else low::text || ' 00:00:00+00' end);
      execute format('alter table %I enable row level security', child);
      execute format('alter table %I force row level security', child);
      made := made + 1;
    end if;
    while low <= today + ahead loop
      high := (low + interval '1 month')::date;
      child := parent || '_' || to_char(low, 'YYYYMM');
      if to_regclass('public.' || child) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent,
                       case when parent like '%\_days' then low::text else low::text || ' 00:00:00+00' end,
                       case when parent like '%\_days' then high::text else high::text || ' 00:00:00+00' end);
        execute format('alter table %I enable row level security', child);
        execute format('alter table %I force row level security', child);
        made := made + 1;
      end if;
      low := high;
    end loop;
  end loop;
  foreach parent in array array['deliveries', 'delivery_outcomes'] loop
    low := today - 1;
    while low <= today + ahead loop
      child := parent || '_' || to_char(low, 'YYYYMMDD');
      if to_regclass('public.' || child) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent,
                       low::text || ' 00:00:00+00', (low + 1)::text || ' 00:00:00+00');
        execute format('alter table %I enable row level security', child);
        execute format('alter table %I force row level security', child);
        made := made + 1;
      end if;
      low := low + 1;
    end loop;
  end loop;
  return made;
end $$
"""

# Names the partitions that end on or before two days (null: none of that kind). Nothing is changed.
OLD_PARTITIONS = """
create function tallybook_old_partitions(deliveries_before date, validity_before date)
returns table (parent text, child text, bytes bigint)
language sql stable security definer set search_path = public, pg_temp as $$
  select p.relname::text, c.relname::text, pg_total_relation_size(c.oid)
  from pg_inherits join pg_class c on c.oid = inhrelid join pg_class p on p.oid = inhparent
  where (p.relname in ('deliveries', 'delivery_outcomes') and c.relname ~ '_[0-9]{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < deliveries_before)
    or (p.relname in ('entries', 'confirmations', 'subject_days', 'campaign_days') and (
      (c.relname ~ '_[0-9]{6}$' and to_date(right(c.relname, 6), 'YYYYMM') < validity_before)
      or (c.relname = p.relname || '_before' and exists (
        select from pg_inherits i join pg_class m on m.oid = i.inhrelid
        where i.inhparent = p.oid and m.relname ~ '_[0-9]{6}$'
          and to_date(right(m.relname, 6), 'YYYYMM') <= validity_before))))
  order by 1, 2
$$
"""

# Drops them, whole. A month goes only after every workspace has carried its values over it, a day only after nothing
# of it waits to be read: the function looks for itself, so that the service cannot drop what is still needed.
DROP_PARTITIONS = r"""
create function tallybook_drop_partitions(deliveries_before date, validity_before date) returns text[]
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  one record;
  low date;
  dropped text[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtext('tallybook partitions'));
  perform set_config('lock_timeout', '4s', true);
  for one in select workspace_id from tenants order by workspace_id loop
    perform set_config('app.workspace_id', one.workspace_id::text, true);
    if validity_before is not null and not exists (
      select from retentions r where r.workspace_id = one.workspace_id
        and r.kept_from >= (validity_before::text || ' 00:00:00+00')::timestamptz) then
      raise exception 'a workspace has not carried its values' using errcode = 'object_not_in_prerequisite_state';
    end if;
    if deliveries_before is not null and exists (
      select from delivery_queue q where q.workspace_id = one.workspace_id
        and q.received_at < (deliveries_before::text || ' 00:00:00+00')::timestamptz) then
      raise exception 'deliveries wait to be read' using errcode = 'object_not_in_prerequisite_state';
    end if;
  end loop;
  perform set_config('app.workspace_id', '', true);
  for one in select * from tallybook_old_partitions(deliveries_before, validity_before) loop
    execute format('drop table %I', one.child);
    dropped := dropped || one.child;
  end loop;
  for one in select distinct p.name from unnest(array['entries', 'confirmations', 'subject_days', 'campaign_days'])
      as p (name) where to_regclass('public.' || p.name || '_before') is null loop
    select min(to_date(right(c.relname, 6), 'YYYYMM')) into low
    from pg_inherits join pg_class c on c.oid = inhrelid
    where inhparent = one.name::regclass and c.relname ~ '_[0-9]{6}$';
    execute format('create table %I partition of %I for values from (minvalue) to (%L)', one.name || '_before',
                   one.name,
                   case when one.name like '%\_days' then low::text else low::text || ' 00:00:00+00' end);
    execute format('alter table %I enable row level security', one.name || '_before');
    execute format('alter table %I force row level security', one.name || '_before');
  end loop;
  return dropped;
end $$
"""

FUNCTIONS = ("tallybook_old_partitions(date, date)", "tallybook_drop_partitions(date, date)")


def upgrade() -> None:
    """Add a mark to the queue, the edge of the books to workspaces, two tables and two functions."""
    op.add_column(
        "delivery_queue",
        sa.Column(
            "again", sa.Boolean, nullable=False, server_default=sa.false(), comment="it was posted before: read anew"
        ),
    )
    op.create_index(
        "ix_delivery_queue_again", "delivery_queue", ["workspace_id", "source_id"], postgresql_where=sa.text("again")
    )
    op.add_column(
        "workspaces",
        sa.Column("kept_from", INSTANT, comment="nothing is written before it: retention takes or took it"),
    )
    op.create_table(
        "retentions",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("kept_from", INSTANT, nullable=False),
        sa.Column("batch", sa.BigInteger, nullable=False, comment="key of the posting, known before its number"),
        sa.Column("since", INSTANT, nullable=False, comment="what begins here or later lost nothing"),
        sa.Column("observed", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.PrimaryKeyConstraint("workspace_id", "kept_from", name="pk_retentions"),
        comment="append-only: what was carried before months of validity went; observed: newest of them per platform",
    )
    op.create_table(
        "resets",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("series_id", sa.BigInteger, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("batch", sa.BigInteger, nullable=False, comment="key of the posting, known before its number"),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("missing", sa.BigInteger, comment="suspected: what the counter lacked when retention took its fall"),
        sa.Column("actor", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("workspace_id", "subject_id", "series_id", "metric", "at", "batch", name="pk_resets"),
        comment="append-only: what people said of falls of counters, and falls that were open when their months went",
    )
    for table in ("retentions", "resets"):
        _secure(table, "select, insert")
    for text in (MAKE_PARTITIONS, OLD_PARTITIONS, DROP_PARTITIONS):
        op.get_bind().exec_driver_sql(text)
    for function in FUNCTIONS:
        op.execute(f"revoke all on function {function} from public")
        op.execute(f"grant execute on function {function} to {_service()}")


def _secure(table: str, rights: str) -> None:
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy workspace on {table} using ({WORKSPACE}) with check ({WORKSPACE})")
    op.execute(f"grant {rights} on {table} to {_service()}")


def _service() -> str:
    quoted: str = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    return quoted


def downgrade() -> None:
    """Take it all away; the function that makes partitions stays as it is."""
    for function in FUNCTIONS:
        op.execute(f"drop function {function}")
    op.drop_table("resets")
    op.drop_table("retentions")
    op.drop_column("workspaces", "kept_from")
    op.drop_index("ix_delivery_queue_again", "delivery_queue")
    op.drop_column("delivery_queue", "again")
