"""Addresses abroad: a column for the country, filled for those that are there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("addresses", sa.Column("country", sa.Text, server_default="GB", nullable=False))


def downgrade() -> None:
    op.drop_column("addresses", "country")
