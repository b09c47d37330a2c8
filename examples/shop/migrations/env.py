"""How Alembic reaches the database: DATABASE_URL and nothing else, or a connection that the caller brings."""

from __future__ import annotations

import asyncio
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from shop.models import Base
from shop.settings import required

config = context.config


def migrate(connection: Connection) -> None:
    """Bring the connection's database to the wanted revision, in one transaction per revision."""
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    engine = create_async_engine(required("DATABASE_URL"), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


def main() -> None:
    if context.is_offline_mode():
        raise SystemExit("these migrations look at the data: run them against a database")
    if (given := config.attributes.get("connection")) is not None:
        migrate(given)
        return
    if config.config_file_name:
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    asyncio.run(connect_and_migrate())


main()
