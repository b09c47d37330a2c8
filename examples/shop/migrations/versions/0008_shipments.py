"""Shipments, one for an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shipments",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("order_id", sa.BigInteger, sa.ForeignKey("orders.id"), nullable=False, unique=True),
        sa.Column("address_id", sa.BigInteger, sa.ForeignKey("addresses.id"), nullable=False),
        sa.Column("tracking", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("shipments")
