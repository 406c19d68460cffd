"""Running sums of the members of campaigns, and what postings have changed since they were built.

Postings of a process that is older leave no touches, which shows: their row has the default.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_WORKSPACE = "workspace_id = (select nullif(current_setting('app.workspace_id', true), '')::uuid)"
_INDEX = "ix_postings_untouched"
_GRANTS = {
    "running_sums": "select, insert, update, delete",
    "running_days": "select, insert, delete",
    "running_touches": "select, insert, delete",
}


def upgrade() -> None:
    """Create the tables, behind their policies. They begin empty and are filled beside the postings."""
    op.create_table(
        "running_sums",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("posting", sa.BigInteger, comment="null: not built yet"),
        sa.Column("roster", BYTEA, nullable=False, comment="ids of subjects, 16 bytes a place; zeros: not to be read"),
        sa.Column("parts", JSONB, nullable=False, comment="zone of whole days or null, currency, paid, by number"),
        sa.Column("built_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double, nullable=False, comment="what the last build took"),
        sa.PrimaryKeyConstraint("workspace_id", "campaign_id", name="pk_running_sums"),
        comment="which campaigns have running sums of their members, and up to which posting",
    )
    op.create_table(
        "running_days",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("metric", sa.Text, nullable=False, comment="carried: bits of that day alone"),
        sa.Column("part", sa.SmallInteger, nullable=False, comment="place in running_sums.parts"),
        sa.Column("day", sa.Date, nullable=False, comment="-infinity: openings, in no other day"),
        sa.Column("sums", BYTEA, nullable=False, comment="service.ledger.history.places"),
        sa.PrimaryKeyConstraint("workspace_id", "campaign_id", "metric", "part", "day", name="pk_running_days"),
        comment="sums of the members of a campaign up to and including a day, place by place",
    )
    op.create_table(
        "running_touches",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("posting", sa.BigInteger, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False, comment="first day that changed; infinity: none"),
        sa.Column("openings", sa.Boolean, nullable=False, comment="openings changed"),
        sa.Column("moved", BYTEA, nullable=False, comment="ids of subjects that joined or left, 16 bytes each"),
        sa.PrimaryKeyConstraint("workspace_id", "campaign_id", "posting", name="pk_running_touches"),
        comment="what postings changed of campaigns that have running sums, until those are brought up to date",
    )
    op.execute("alter table postings add column touches boolean not null default true")
    op.execute("alter table postings alter column touches set default false")
    op.execute("comment on column postings.touches is 'what it changed of running sums is noted'")
    op.create_index(_INDEX, "postings", ["workspace_id", "posting"], postgresql_where=sa.text("not touches"))
    # Numbers of places do not compress well, and what is read is read whole.
    op.execute("alter table running_days alter column sums set storage external")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    for table, grants in _GRANTS.items():
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy workspace on {table} using ({_WORKSPACE}) with check ({_WORKSPACE})")
        op.execute(f"grant {grants} on {table} to {role}")


def downgrade() -> None:
    """Drop the tables: they hold nothing that the tallies do not."""
    op.drop_index(_INDEX, "postings")
    op.drop_column("postings", "touches")
    for table in _GRANTS:
        op.drop_table(table)
