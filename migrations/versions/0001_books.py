"""The books: registry, inbox, ledger, tallies and control tables, with row-level security and partitions.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TENANT = (
    "workspaces", "api_keys", "strategies", "campaigns", "campaign_versions", "sources", "creators",
    "creator_profiles", "deliveries", "delivery_keys", "delivery_queue", "delivery_outcomes", "refresh_hints",
    "fetch_tasks", "subjects", "subject_facts", "memberships", "books", "postings", "series", "entries", "balances",
    "confirmations", "events", "subject_days", "campaign_days",
)  # fmt: skip
CONTROL = ("tenants", "key_routes", "webhook_routes", "pending_work")
LANDED = ("deliveries", "delivery_keys", "delivery_queue")
APPEND_ONLY = (
    "deliveries",
    "delivery_keys",
    "delivery_outcomes",
    "postings",
    "entries",
    "subject_facts",
    "memberships",
)

# A setting that was local to a transaction reads back as the empty string after it, hence nullif.
WORKSPACE = "workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid"
LANDING = "workspace_id::text = any(string_to_array(current_setting('app.landing', true), ','))"

# The service role owns nothing, so partitions are made by a function of the owner with a fixed search path.
# Partitions are granted to nobody: rows are reached through their parent and its policies alone.
MAKE_PARTITIONS = """
create function tallybook_make_partitions(today date, ahead integer) returns integer
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
    child := parent || '_before';
    if to_regclass('public.' || child) is null then
      execute format('create table %I partition of %I for values from (minvalue) to (%L)',
                     child, parent,
                     case when parent like '%\\_days' then '2025-01-01' else '2025-01-01 00:00:00+00' end);
      execute format('alter table %I enable row level security', child);
      execute format('alter table %I force row level security', child);
      made := made + 1;
    end if;
    low := date '2025-01-01';
    while low <= today + ahead loop
      high := (low + interval '1 month')::date;
      child := parent || '_' || to_char(low, 'YYYYMM');
      if to_regclass('public.' || child) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent,
                       case when parent like '%\\_days' then low::text else low::text || ' 00:00:00+00' end,
                       case when parent like '%\\_days' then high::text else high::text || ' 00:00:00+00' end);
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

LAST_PARTITION = """
create function tallybook_last_partition() returns date
language sql stable security definer set search_path = public, pg_temp as $$
  select max(to_date(right(child.relname, 8), 'YYYYMMDD'))
  from pg_inherits join pg_class child on child.oid = inhrelid
  where inhparent = 'deliveries'::regclass and child.relname ~ '_[0-9]{8}$'
$$
"""


def _statements() -> list[str]:
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    return [statement for part in text.split(";\n") if (statement := part.strip())]


def _secure(table: str) -> None:
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy workspace on {table} using ({WORKSPACE}) with check ({WORKSPACE})")


def _grant(role: str) -> None:
    quoted = op.get_bind().dialect.identifier_preparer.quote(role)
    op.execute(f"grant usage on schema public to {quoted}")
    for table in TENANT + CONTROL:
        rights = "select, insert" if table in APPEND_ONLY else "select, insert, update, delete"
        op.execute(f"grant {rights} on {table} to {quoted}")
    op.execute(f"grant select on alembic_version to {quoted}")
    for function in ("tallybook_make_partitions(date, integer)", "tallybook_last_partition()"):
        op.execute(f"revoke all on function {function} from public")
        op.execute(f"grant execute on function {function} to {quoted}")


def upgrade() -> None:
    """Create everything."""
    for statement in _statements():
        op.execute(sa.text(statement.replace(":", r"\:")))
    for table in TENANT:
        _secure(table)
    for table in LANDED:
        op.execute(f"create policy landing on {table} for insert with check ({LANDING})")
    op.execute(f"create policy landing_seen on delivery_keys for select using ({LANDING})")
    for function in (MAKE_PARTITIONS, LAST_PARTITION):
        op.get_bind().exec_driver_sql(function)
    _grant(context.config.attributes["service_role"])
    today = datetime.now(UTC).date()  # noqa: TID251 - a migration runs outside every context
    op.execute(
        sa.text("select tallybook_make_partitions(:today, :ahead)").bindparams(
            today=today, ahead=timedelta(days=35).days
        )
    )


def downgrade() -> None:
    """Drop everything: only ever for a test database."""
    for function in ("tallybook_make_partitions(date, integer)", "tallybook_last_partition()"):
        op.execute(f"drop function {function}")
    for table in (*TENANT, *CONTROL):
        op.execute(f"drop table if exists {table} cascade")
