"""How far one has come in moving subjects between campaigns.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WORKSPACE = "workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid)"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "moves",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("after", sa.Uuid, nullable=False, comment="subjects up to this one are decided"),
        sa.PrimaryKeyConstraint("workspace_id", "campaign_id", name="pk_moves"),
        comment="campaigns whose rules changed and whose subjects are being moved, a few at a time",
    )
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    op.execute("alter table moves enable row level security")
    op.execute("alter table moves force row level security")
    op.execute(f"create policy workspace on moves using ({WORKSPACE}) with check ({WORKSPACE})")
    op.execute(f"grant select, insert, update, delete on moves to {role}")


def downgrade() -> None:
    """Take it away; what waits there is to be moved first."""
    op.drop_table("moves")
