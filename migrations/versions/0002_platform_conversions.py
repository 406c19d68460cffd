"""Conversions that a platform claims have columns of their own, beside those that the ledger counts.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("entries", "balances", "subject_days", "campaign_days")
_KEYS = ("conversions_platform", "conversion_value_platform")


def upgrade() -> None:
    """Add the columns: null in every row that is there, which is what it means."""
    for table in _TABLES:
        for key in _KEYS:
            op.add_column(table, sa.Column(key, sa.BigInteger))


def downgrade() -> None:
    """Drop the columns."""
    for table in _TABLES:
        for key in _KEYS:
            op.drop_column(table, key)
