"""What frontends need: which posting last shaped each campaign, answers to writes that may be sent again,
and tickets of streams that were used.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = TIMESTAMP(timezone=True)
WORKSPACE = "workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid"
_TABLES = {
    "campaign_postings": "select, insert, update",
    "idempotency_keys": "select, insert, update, delete",
    "spent_tickets": "select, insert, delete",
}


def upgrade() -> None:
    """Create the tables, empty: without a row the newest posting of the workspace counts for a campaign."""
    op.create_table(
        "campaign_postings",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False, comment="nil: every campaign of the workspace"),
        sa.Column("posting", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "campaign_id", name="pk_campaign_postings"),
        comment="the newest posting that may have changed an answer about a campaign",
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("key_id", sa.Uuid, nullable=False, comment="the API key that wrote"),
        sa.Column("name_hash", BYTEA, nullable=False, comment="SHA-256 of the Idempotency-Key"),
        sa.Column("request_id", sa.Uuid, nullable=False, comment="the request that holds the row"),
        sa.Column("fingerprint", BYTEA, nullable=False, comment="SHA-256 of method, path, query and body"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("status", sa.SmallInteger, comment="null: under way"),
        sa.Column("media_type", sa.Text),
        sa.Column("body", BYTEA, comment="sealed: an answer may show a secret once"),
        sa.PrimaryKeyConstraint("workspace_id", "key_id", "name_hash", name="pk_idempotency_keys"),
        comment="answers to writes by the name that their sender gave them, for a day",
    )
    op.create_index("ix_idempotency_keys_workspace_id_created_at", "idempotency_keys", ["workspace_id", "created_at"])
    op.create_table(
        "spent_tickets",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("ticket_hash", BYTEA, nullable=False, comment="SHA-256 of the ticket"),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "ticket_hash", name="pk_spent_tickets"),
        comment="tickets of streams that were used, until they would have ended",
    )
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    for table, rights in _TABLES.items():
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy workspace on {table} using ({WORKSPACE}) with check ({WORKSPACE})")
        op.execute(f"grant {rights} on {table} to {role}")


def downgrade() -> None:
    """Drop them."""
    for table in reversed(_TABLES):
        op.drop_table(table)
