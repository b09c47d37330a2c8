"""Payments, each known by the reference of the bank."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("order_id", sa.BigInteger, sa.ForeignKey("orders.id"), nullable=False, index=True),
        sa.Column("reference", sa.Text, nullable=False, unique=True),
        sa.Column("cents", sa.BigInteger, nullable=False),
        sa.CheckConstraint("cents > 0", name="cents"),
    )


def downgrade() -> None:
    op.drop_table("payments")
