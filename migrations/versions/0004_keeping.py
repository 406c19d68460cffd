"""Replay with newer readings: what is queued to be read again is told from what was never read.

Revision ID: 0004
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark: what is queued now was never read, or was put aside unread."""
    op.add_column(
        "delivery_queue",
        sa.Column(
            "again", sa.Boolean, nullable=False, server_default=sa.false(), comment="it was posted before: read anew"
        ),
    )
    op.create_index(
        "ix_delivery_queue_again", "delivery_queue", ["workspace_id", "source_id"], postgresql_where=sa.text("again")
    )


def downgrade() -> None:
    """Take the mark away."""
    op.drop_index("ix_delivery_queue_again", "delivery_queue")
    op.drop_column("delivery_queue", "again")
