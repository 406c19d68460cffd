"""How a line is kept stands beside what it says: whether it is a tally by itself, and all that stands of its window.

Lines that are there have no mark. What a line says stays append-only: the service may change its mark and nothing else.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_CELL = "day, zone, basis, days, currency, paid"
_METRICS = """
select column_name from information_schema.columns
where table_schema = 'public' and table_name = 'subject_days' and data_type = 'bigint' and column_name <> 'carried'
order by ordinal_position
"""


def upgrade() -> None:
    """Add the column; a default that is a constant rewrites nothing."""
    op.add_column(
        "entries",
        sa.Column(
            "mark",
            sa.SmallInteger,
            nullable=False,
            server_default=sa.text("0"),
            comment="bits of service.ledger.series.Mark: how the line is kept, nothing that it says",
        ),
    )
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["service_role"])
    op.execute(f"grant update (mark) on entries to {role}")


def downgrade() -> None:
    """Write what lines were a tally of by themselves as rows, workspace by workspace: policies are forced."""
    bind = op.get_bind()
    metrics = bind.scalars(sa.text(_METRICS)).all()
    names = ", ".join(metrics)
    sums = ", ".join(f"{name} = coalesce(t.{name} + excluded.{name}, t.{name}, excluded.{name})" for name in metrics)
    for workspace_id in bind.execute(sa.text("select workspace_id from tenants order by 1")).scalars().all():
        bind.execute(sa.text("select set_config('app.workspace_id', :w, true)"), {"w": str(workspace_id)})
        bind.exec_driver_sql(f"""
            insert into subject_days as t (workspace_id, subject_id, {_CELL}, {names})
            select e.workspace_id, e.subject_id, e.day, s.zone, 1, e.days, s.currency, s.paid,
              {", ".join(f"sum(e.{name})::bigint" for name in metrics)}
            from entries e join series s using (workspace_id, series_id)
            where e.mark & 1 <> 0
            group by 1, 2, 3, 4, 6, 7, 8
            on conflict (workspace_id, subject_id, {_CELL}) do update set {sums}
        """)  # noqa: S608 - names of the catalogue
    bind.exec_driver_sql("select set_config('app.workspace_id', '', true)")
    op.drop_column("entries", "mark")
