"""Raw bodies are packed by LZ4 where the server has it, and else kept as they are.

The server's own way of packing took a third of the time of keeping a page.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_HAS_LZ4 = "select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'"
_PARTITIONS = "select inhrelid::regclass::text from pg_inherits where inhparent = 'deliveries'::regclass"


def _alter(change: str) -> None:
    """Change the column of the table and of the partitions that it has; later ones take after the table."""
    for table in ["deliveries", *op.get_bind().scalars(sa.text(_PARTITIONS))]:
        op.execute(f"alter table {table} alter column body {change}")


def upgrade() -> None:
    """Change how new bodies are kept; those that are there stay as they are."""
    has_lz4 = op.get_bind().scalar(sa.text(_HAS_LZ4))
    _alter("set compression lz4" if has_lz4 else "set storage external")


def downgrade() -> None:
    """Let the server pack new bodies in its own way again."""
    _alter("set storage extended")
    _alter("set compression default")
