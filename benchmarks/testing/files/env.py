"""Alembic's entry: the database is the one that DATABASE_URL names, or the connection that a caller brought."""

# mypy: ignore-errors
import os

from alembic import context
from ledger.tables import metadata
from sqlalchemy import create_engine, pool


def migrate(connection):
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


brought = context.config.attributes.get("connection")
if brought is not None:
    migrate(brought)
else:
    engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        migrate(connection)
