"""What fetching needs to know between replicas: tokens that end, connections under way, leases, budgets, circuits.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TENANT = ("source_tokens", "connect_requests", "subscriptions")
CONTROL = ("rate_budgets", "circuits")
WORKSPACE = "workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid"

_TABLES = (
    """
    create table source_tokens (
        workspace_id uuid not null,
        source_id uuid not null,
        obtained_at timestamptz not null,
        expires_at timestamptz,
        refresh_expires_at timestamptz,
        estimated boolean not null,
        generation integer not null,
        claimed_until timestamptz,
        next_try timestamptz,
        error text not null default '',
        constraint pk_source_tokens primary key (workspace_id, source_id),
        constraint fk_source_tokens_sources foreign key (workspace_id, source_id)
            references sources (workspace_id, source_id)
    )
    """,
    """
    create table connect_requests (
        workspace_id uuid not null,
        state_hash bytea not null,
        wanted bytea not null,
        expires_at timestamptz not null,
        constraint pk_connect_requests primary key (workspace_id, state_hash),
        constraint fk_connect_requests_workspaces foreign key (workspace_id) references workspaces (workspace_id)
    )
    """,
    """
    create table subscriptions (
        workspace_id uuid not null,
        source_id uuid not null,
        subscribed_at timestamptz,
        ends_at timestamptz,
        renew_at timestamptz,
        claimed_until timestamptz,
        error text not null default '',
        constraint pk_subscriptions primary key (workspace_id, source_id),
        constraint fk_subscriptions_sources foreign key (workspace_id, source_id)
            references sources (workspace_id, source_id)
    )
    """,
    """
    create table rate_budgets (
        key bytea not null,
        state jsonb not null default '{}'::jsonb,
        updated_at timestamptz not null,
        constraint pk_rate_budgets primary key (key)
    )
    """,
    """
    create table circuits (
        key bytea not null,
        failures integer not null,
        open_until timestamptz,
        probe_until timestamptz,
        updated_at timestamptz not null,
        constraint pk_circuits primary key (key)
    )
    """,
)
_COMMENTS = {
    "column sources.address": "sealed: the webhook address, to subscribe with",
    "column source_tokens.estimated": "nobody said when it ends: reckoned from its lifetime",
    "column source_tokens.generation": "counts the tokens that were kept",
    "column connect_requests.wanted": "sealed JSON: what to connect, and the proof key",
    "table source_tokens": (
        "until when the tokens of a source live, and who renews them; a claim that ran out is a lost answer"
    ),
    "table connect_requests": "accounts that people are connecting at a platform; each row answers one callback",
    "table subscriptions": "what a platform was asked to push, and when to ask again",
    "table rate_budgets": "control: what is drawn on a rate limit of a platform, by the hash of its app or account",
    "table circuits": "control: platforms that did not answer, by the hash of platform and account",
}


def upgrade() -> None:
    """Add the tables and the sealed address; sources that are there have theirs from their next rotation on."""
    op.add_column("sources", sa.Column("address", sa.LargeBinary))
    for table in _TABLES:
        op.execute(sa.text(table.replace("::", r"\:\:")))
    for what, text in _COMMENTS.items():
        op.execute(f"comment on {what} is '{text}'")
    for table in TENANT:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy workspace on {table} using ({WORKSPACE}) with check ({WORKSPACE})")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    for table in TENANT + CONTROL:
        op.execute(f"grant select, insert, update, delete on {table} to {role}")


def downgrade() -> None:
    """Drop them."""
    for table in TENANT + CONTROL:
        op.execute(f"drop table {table}")
    op.drop_column("sources", "address")
