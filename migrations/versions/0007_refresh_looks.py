"""When each kind of task last asked for a subject by name: for the refresh plan, and hints that every kind answers.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = "refresh_looks"
_COMMENT = "when a kind of task last asked for a subject by name, and last with an answer"
_WORKSPACE = "workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid"


def upgrade() -> None:
    """Create the table, behind its policy. It begins empty: then everything was looked at by whole tasks alone."""
    op.create_table(
        _TABLE,
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("source_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("asked_at", TIMESTAMP(timezone=True)),
        sa.Column("answered_at", TIMESTAMP(timezone=True)),
        sa.PrimaryKeyConstraint("workspace_id", "source_id", "kind", "external_id", name=f"pk_{_TABLE}"),
        comment=_COMMENT,
    )
    op.execute(f"alter table {_TABLE} enable row level security")
    op.execute(f"alter table {_TABLE} force row level security")
    op.execute(f"create policy workspace on {_TABLE} using ({_WORKSPACE}) with check ({_WORKSPACE})")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    op.execute(f"grant select, insert, update, delete on {_TABLE} to {role}")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(_TABLE)
