"""Products have a stock that cannot fall below nothing, and a picture."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("products", sa.Column("stock", sa.BigInteger, server_default="0", nullable=False))
    op.add_column("products", sa.Column("image_key", sa.Text))
    op.create_check_constraint("stock", "products", "stock >= 0")


def downgrade() -> None:
    op.drop_constraint(op.f("products_stock_check"), "products")
    op.drop_column("products", "image_key")
    op.drop_column("products", "stock")
