"""Days that are restated have room on their pages: a row that is updated there needs no new entry in an index.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# As in 0004, but that partitions of subject_days are filled by half.
MAKE_PARTITIONS = r"""
create or replace function tallybook_make_partitions(today date, ahead integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  made integer := 0;
  parent text;
  child text;
  low date;
  high date;
  midnight text;
  room text;
begin
  perform pg_advisory_xact_lock(hashtext('tallybook partitions'));
  foreach parent in array array['entries', 'confirmations', 'subject_days', 'campaign_days'] loop
    midnight := case when parent like '%\_days' then '' else ' 00:00:00+00' end;
    room := case when parent = 'subject_days' then ' with (fillfactor = 50)' else '' end;
    select coalesce(min(to_date(right(c.relname, 6), 'YYYYMM')), date '2025-01-01') into low
    from pg_inherits join pg_class c on c.oid = inhrelid
    where inhparent = parent::regclass and c.relname ~ '_[0-9]{6}$';
    child := parent || '_before';
    if to_regclass('public.' || child) is null then
      execute format('create table %I partition of %I for values from (minvalue) to (%L)', child, parent,
                     low::text || midnight) || room;
      execute format('alter table %I enable row level security', child);
      execute format('alter table %I force row level security', child);
      made := made + 1;
    end if;
    while low <= today + ahead loop
      high := (low + interval '1 month')::date;
      child := parent || '_' || to_char(low, 'YYYYMM');
      if to_regclass('public.' || child) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent,
                       low::text || midnight, high::text || midnight) || room;
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
_PARTITIONS = "select inhrelid::regclass::text from pg_inherits where inhparent = 'subject_days'::regclass order by 1"


def upgrade() -> None:
    """Leave room in months to come and in those that are there, where it shows with what is written from now on."""
    bind = op.get_bind()
    bind.exec_driver_sql(MAKE_PARTITIONS)
    for partition in bind.scalars(sa.text(_PARTITIONS)).all():
        op.execute(f"alter table {partition} set (fillfactor = 50)")


def downgrade() -> None:
    """Fill pages again; months to come go on as they were made."""
    for partition in op.get_bind().scalars(sa.text(_PARTITIONS)).all():
        op.execute(f"alter table {partition} reset (fillfactor)")
