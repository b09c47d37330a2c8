"""Words in names and descriptions can be searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.Computed("to_tsvector('english', name || ' ' || description)", persisted=True)
    op.add_column("products", sa.Column("search", TSVECTOR, words, nullable=False))
    op.create_index("products_search_idx", "products", ["search"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_column("products", "search")
