"""Orders may be refunded, and a trigger writes down what becomes of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ENUM

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TYPE order_status ADD VALUE 'refunded'")
    status = ENUM(name="order_status", create_type=False)
    op.create_table(
        "order_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column(
            "order_id", sa.BigInteger, sa.ForeignKey("orders.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("before", status),
        sa.Column("after", status, nullable=False),
    )
    op.execute("""
        CREATE FUNCTION record_order_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO order_events (order_id, after) VALUES (NEW.id, NEW.status);
            ELSIF OLD.status <> NEW.status THEN
                INSERT INTO order_events (order_id, before, after) VALUES (NEW.id, OLD.status, NEW.status);
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER record AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION record_order_event()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER record ON orders")
    op.execute("DROP FUNCTION record_order_event")
    op.drop_table("order_events")
    # An enum cannot lose a value: the column moves to a new type, and what was refunded counts as cancelled.
    op.execute("ALTER TYPE order_status RENAME TO order_status_with_refunds")
    op.execute("CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'cancelled')")
    op.execute("UPDATE orders SET status = 'cancelled' WHERE status = 'refunded'")
    op.execute("ALTER TABLE orders ALTER COLUMN status DROP DEFAULT")
    op.execute(
        "ALTER TABLE orders ALTER COLUMN status TYPE order_status USING CAST(CAST(status AS text) AS order_status)"
    )
    op.execute("ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'placed'")
    op.execute("DROP TYPE order_status_with_refunds")
