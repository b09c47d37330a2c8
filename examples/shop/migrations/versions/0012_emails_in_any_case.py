"""One customer for an email, however it is written; the oldest keeps it as it stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        UPDATE customers SET email = email || '+duplicate-' || id
        WHERE id NOT IN (SELECT min(id) FROM customers GROUP BY lower(email))
    """)
    op.drop_constraint(op.f("customers_email_key"), "customers")
    op.create_index("customers_email_lower_key", "customers", [sa.text("lower(email)")], unique=True)


def downgrade() -> None:
    op.drop_index("customers_email_lower_key")
    op.create_unique_constraint(op.f("customers_email_key"), "customers", ["email"])
