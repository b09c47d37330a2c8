"""Each worker makes its own database and runs Alembic in it, as many a conftest does."""

# mypy: ignore-errors
import os
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url, text

ROOT = Path(__file__).parent


@pytest.fixture(scope="session")
def database_url(worker_id):
    server = make_url(os.environ["DATABASE_URL"])
    name = f"{server.database}_{worker_id}"
    admin = create_engine(server.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = server.set(database=name)
    migrate(url)
    yield url
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    admin.dispose()


def migrate(url):
    config = Config(ROOT / "alembic.ini")
    engine = create_engine(url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
