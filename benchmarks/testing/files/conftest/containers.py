"""testcontainers, made as quick as it can be: one server in memory, migrated once, and a clone of that per worker."""

# mypy: ignore-errors
import os
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url, text
from testcontainers.postgres import PostgresContainer

ROOT = Path(__file__).parent
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        return
    container = PostgresContainer(os.environ["BENCH_IMAGE"], driver="psycopg")
    container.with_command("postgres " + " ".join(f"-c {one}" for one in SETTINGS))
    container.with_tmpfs_mount("/var/lib/postgresql").start()
    config.add_cleanup(container.stop)
    config.server_url = container.get_connection_url()
    migrate(config.server_url)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["server_url"] = node.config.server_url


def migrate(url):
    config = Config(ROOT / "alembic.ini")
    engine = create_engine(url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


@pytest.fixture(scope="session")
def database_url(request, worker_id):
    server = make_url(request.config.workerinput["server_url"])
    admin = create_engine(server.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {worker_id} TEMPLATE {server.database} STRATEGY FILE_COPY"))
    admin.dispose()
    return server.set(database=worker_id)
