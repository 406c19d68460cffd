"""Facts that change together are one line; policies ask for the workspace once a statement.

A posting that meets a subject for the first time learns a dozen facts of it. And a policy that reads its setting row by
row took a tenth of the time of inserting rows.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SETTING = "nullif(current_setting('app.workspace_id', true), '')::uuid"
_ONCE = f"workspace_id = (select {_SETTING})"
_POLICIES = "select tablename from pg_policies where schemaname = 'public' and policyname = 'workspace' order by 1"


def upgrade() -> None:
    """Fold the lines of facts and let policies ask once."""
    _turn("0010_lines_of_facts.sql")
    _set(_ONCE)


def downgrade() -> None:
    """Unfold the lines of facts and let policies ask row by row again."""
    _turn("0010_facts_one_by_one.sql")
    _set(f"workspace_id = {_SETTING}")


def _turn(name: str) -> None:
    """Write the facts anew, workspace by workspace: policies are forced."""
    bind = op.get_bind()
    make, turn, *rest = _statements(name)
    op.execute(make)
    for workspace_id in bind.execute(sa.text("select workspace_id from tenants order by 1")).scalars().all():
        bind.execute(sa.text("select set_config('app.workspace_id', :w, true)"), {"w": str(workspace_id)})
        bind.exec_driver_sql(turn)
    bind.exec_driver_sql("select set_config('app.workspace_id', '', true)")
    for statement in rest:
        op.execute(statement)
    service = bind.dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    op.execute("alter table subject_facts enable row level security")
    op.execute("alter table subject_facts force row level security")
    op.execute("create policy workspace on subject_facts using (false)")
    op.execute(f"grant select, insert on subject_facts to {service}")


def _set(policy: str) -> None:
    for table in op.get_bind().scalars(sa.text(_POLICIES)).all():
        op.execute(f"alter policy workspace on {table} using ({policy}) with check ({policy})")


def _statements(name: str) -> list[str]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return [statement for part in text.split(";\n") if (statement := part.strip())]
