"""What platforms say against their numbers has an index of its own: an answer looks at those lines alone.

Revision ID: 0014
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_NAME = "ix_entries_said"
_COLUMNS = "workspace_id, subject_id, valid_from"
_WHERE = "flags & 1920 <> 0"
_NOT_INDEXED = """
select p.inhrelid::regclass::text from pg_inherits p where p.inhparent = 'entries'::regclass and not exists (
  select from pg_index x join pg_inherits i on i.inhrelid = x.indexrelid
  where x.indrelid = p.inhrelid and i.inhparent = 'ix_entries_said'::regclass)
order by 1
"""


def upgrade() -> None:
    """Index partition by partition while others write, outside a transaction; it may be run again."""
    with op.get_context().autocommit_block():
        # Who makes an index so waits for transactions, but nobody waits for it.
        op.execute("set lock_timeout = '60s'")
        op.execute(f"create index if not exists {_NAME} on only entries ({_COLUMNS}) where {_WHERE}")
        for partition in op.get_bind().execute(sa.text(_NOT_INDEXED)).scalars().all():
            part = f"{_NAME}_{partition.removeprefix('entries_')}"
            op.execute(f"drop index concurrently if exists {part}")
            op.execute(f"create index concurrently {part} on {partition} ({_COLUMNS}) where {_WHERE}")
            op.execute(f"alter index {_NAME} attach partition {part}")
        op.execute("set lock_timeout = '4s'")


def downgrade() -> None:
    """Drop it."""
    op.execute(f"drop index {_NAME}")
