"""Reviews, one for a product and a customer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("product_id", sa.BigInteger, sa.ForeignKey("products.id", ondelete="CASCADE"), nullable=False),
        sa.Column("customer_id", sa.BigInteger, sa.ForeignKey("customers.id", ondelete="CASCADE"), nullable=False),
        sa.Column("rating", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, server_default="", nullable=False),
        sa.UniqueConstraint("product_id", "customer_id"),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
    )


def downgrade() -> None:
    op.drop_table("reviews")
