"""Policies: tiers of creators and benchmarks, in versions dated by posting.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLE = "policies"
_WORKSPACE = "workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid)"


def upgrade() -> None:
    """Create the table, behind its policy. It begins empty: what comes with the service is code."""
    op.create_table(
        _TABLE,
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("batch", sa.BigInteger, nullable=False, comment="key of the posting, known before its number"),
        sa.Column("body", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "name", "version", name=f"pk_{_TABLE}"),
        comment="append-only: tier policies and benchmarks; a change is a new version, dated by posting",
    )
    op.execute(f"alter table {_TABLE} enable row level security")
    op.execute(f"alter table {_TABLE} force row level security")
    op.execute(f"create policy workspace on {_TABLE} using ({_WORKSPACE}) with check ({_WORKSPACE})")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    op.execute(f"grant select, insert on {_TABLE} to {role}")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(_TABLE)
