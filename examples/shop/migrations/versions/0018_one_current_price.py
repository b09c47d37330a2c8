"""One price of today for a product; of several, the newest stays and the others end now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        UPDATE prices SET valid_until = now()
        WHERE valid_until IS NULL
          AND id NOT IN (SELECT max(id) FROM prices WHERE valid_until IS NULL GROUP BY product_id)
    """)
    current = sa.text("valid_until IS NULL")
    op.create_index("prices_current_key", "prices", ["product_id"], unique=True, postgresql_where=current)


def downgrade() -> None:
    op.drop_index("prices_current_key")
