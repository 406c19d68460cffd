"""How far other windows of touches have come among the members of a campaign, and in which workspaces somebody waits.

Revision ID: 0015
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLE = "window_steps"
_PENDING = "pending_moves"
_WORKSPACE = "workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid)"
_COMMENT = "append-only: how far other windows of touches have come; a version without a line holds for all at once"


def upgrade() -> None:
    """Add the tables; of windows it is empty: those of every version that is there hold for all members already."""
    op.create_table(
        _TABLE,
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, comment="of the campaign whose windows come to its members"),
        sa.Column("batch", sa.BigInteger, nullable=False, comment="key of the posting, known before its number"),
        sa.Column("after", sa.Uuid, nullable=False, comment="for subjects up to this one they hold"),
        sa.PrimaryKeyConstraint("workspace_id", "campaign_id", "version", "batch", name=f"pk_{_TABLE}"),
        comment=_COMMENT,
    )
    op.execute(f"alter table {_TABLE} enable row level security")
    op.execute(f"alter table {_TABLE} force row level security")
    op.execute(f"create policy workspace on {_TABLE} using ({_WORKSPACE}) with check ({_WORKSPACE})")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    op.execute(f"grant select, insert on {_TABLE} to {role}")
    op.create_table(
        _PENDING,
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=f"pk_{_PENDING}"),
        comment="control: workspaces in which subjects wait to be moved or credited after a changed campaign",
    )
    op.execute(f"grant select, insert, delete on {_PENDING} to {role}")
    # Who waits stands behind policies: the first sweep looks everywhere once more.
    op.execute("insert into pending_moves select workspace_id from tenants")


def downgrade() -> None:
    """Take it away; windows that wait are to come to all members first."""
    op.drop_table(_PENDING)
    op.drop_table(_TABLE)
