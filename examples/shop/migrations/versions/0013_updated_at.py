"""Products and orders know when they changed, whoever changes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.updated_at = clock_timestamp();
            RETURN NEW;
        END $$
    """)
    for table in ("products", "orders"):
        column = sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
        op.add_column(table, column)
        op.execute(f"CREATE TRIGGER touch BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION touch_updated_at()")


def downgrade() -> None:
    for table in ("products", "orders"):
        op.execute(f"DROP TRIGGER touch ON {table}")
        op.drop_column(table, "updated_at")
    op.execute("DROP FUNCTION touch_updated_at")
