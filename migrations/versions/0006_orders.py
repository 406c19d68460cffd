"""From a touch to an order: touchpoints, conversions and their credits; the windows of campaigns.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = ("touchpoints", "conversions", "credits")
_WORKSPACE = "workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid"
_MADE, _CARRIED = "0006_orders.sql", "0006_carried.sql"


def upgrade() -> None:
    """Make the tables behind their policies, and carry what was booked as plain events over to them."""
    for statement in _statements(_MADE):
        op.execute(statement)
    service = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    for table in _TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy workspace on {table} using ({_WORKSPACE}) with check ({_WORKSPACE})")
        op.execute(f"grant select, insert on {table} to {service}")
    _carry()


def _carry() -> None:
    """Turn the rows of events that sold something into first versions, workspace by workspace: policies are forced."""
    bind = op.get_bind()
    for workspace_id in bind.execute(sa.text("select workspace_id from tenants order by 1")).scalars().all():
        bind.execute(sa.text("select set_config('app.workspace_id', :w, true)"), {"w": str(workspace_id)})
        for statement in _statements(_CARRIED):
            bind.exec_driver_sql(statement)
    bind.exec_driver_sql("select set_config('app.workspace_id', '', true)")


def _statements(name: str) -> list[str]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return [statement for part in text.split(";\n") if (statement := part.strip())]


def downgrade() -> None:
    """Drop the tables: only ever for a test database."""
    for table in _TABLES:
        op.execute(f"drop table {table}")
    for column in ("click_days", "view_days"):
        op.drop_column("campaign_versions", column)
