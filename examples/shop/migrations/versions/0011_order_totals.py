"""Orders carry their total; those already placed get it from their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("total_cents", sa.BigInteger))
    op.execute("""
        UPDATE orders SET total_cents = coalesce(
            (SELECT sum(quantity * cents) FROM order_lines WHERE order_id = orders.id), 0)
    """)
    op.alter_column("orders", "total_cents", nullable=False)
    op.create_check_constraint("total", "orders", "total_cents >= 0")


def downgrade() -> None:
    op.drop_constraint(op.f("orders_total_check"), "orders")
    op.drop_column("orders", "total_cents")
