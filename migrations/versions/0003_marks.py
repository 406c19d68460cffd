"""What an answer says of its sums stands beside them: days begun inside a line, newest readings, falls, long windows.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("subjects", "observed_at", "timestamptz", "the newest observed_at of its lines"),
    ("subjects", "longest", "smallint not null default 1", "days of its longest window that counts"),
    (
        "subject_days",
        "carried",
        "bigint not null default 0",
        "bit n: the day begins inside a line of the n-th stored metric",
    ),
)
_INDEXES = (
    ("ix_entries_suspected", "entries", "workspace_id, subject_id, valid_from", "flags & 64 <> 0"),
    (
        "ix_entries_people",
        "entries",
        "workspace_id, subject_id, valid_from",
        "reach is not null or followers is not null",
    ),
    ("ix_subject_days_windows", "subject_days", "workspace_id, subject_id, day", "days > 1"),
)
_NOT_INDEXED = """
select p.inhrelid::regclass::text from pg_inherits p where p.inhparent = '{table}'::regclass and not exists (
  select from pg_index x join pg_inherits i on i.inhrelid = x.indexrelid
  where x.indrelid = p.inhrelid and i.inhparent = '{name}'::regclass)
order by 1
"""


def upgrade() -> None:
    """Add columns, which is quick; index partition by partition while others write; fill workspace by workspace.

    The indexes end the transaction, so that a migration which failed later may be run again.
    """
    for table, name, kind, comment in _COLUMNS:
        op.execute(f"alter table {table} add column if not exists {name} {kind}")
        op.execute(f"comment on column {table}.{name} is '{comment}'")
    # A subject's row is written by most postings now: with room on its page its indexes need no new entries.
    op.execute("alter table subjects set (fillfactor = 80)")
    with op.get_context().autocommit_block():
        # Who makes an index so waits for transactions, but nobody waits for it: four seconds would be needlessly short.
        op.execute("set lock_timeout = '60s'")
        for index in _INDEXES:
            _index(*index)
        op.execute("set lock_timeout = '4s'")
        fill(op.get_bind())


def downgrade() -> None:
    """Drop what was added."""
    op.execute("alter table subjects reset (fillfactor)")
    for name, *_ in _INDEXES:
        op.execute(f"drop index {name}")
    for table, name, *_ in reversed(_COLUMNS):
        op.drop_column(table, name)


def _index(name: str, table: str, columns: str, where: str) -> None:
    """Index a partitioned table: a frame for the parent, then each partition, joined to it when it is done."""
    op.execute(f"create index if not exists {name} on only {table} ({columns}) where {where}")
    for partition in op.get_bind().execute(sa.text(_NOT_INDEXED.format(table=table, name=name))).scalars().all():
        part = f"{name}_{partition.removeprefix(table + '_')}"
        op.execute(f"drop index concurrently if exists {part}")
        op.execute(f"create index concurrently {part} on {partition} ({columns}) where {where}")
        op.execute(f"alter index {name} attach partition {part}")


def fill(bind: sa.Connection) -> None:
    """Fill the columns from the lines, each workspace by itself; outside a transaction.

    The policies are forced, so that even the owner sees one workspace at a time.
    """
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n")
    for workspace_id in bind.execute(sa.text("select workspace_id from tenants order by 1")).scalars().all():
        bind.execute(sa.text("select set_config('app.workspace_id', :w, false)"), {"w": str(workspace_id)})
        for statement in filter(str.strip, statements):
            bind.exec_driver_sql(statement)
    bind.exec_driver_sql("reset app.workspace_id")
