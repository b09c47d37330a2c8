"""pytest-postgresql against a server that runs: it loads a template per worker, and the worker's database is a clone.

The template is loaded from a dump where BENCH_DUMP names one, else by Alembic.
"""

# mypy: ignore-errors
import os
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from pytest_postgresql import factories
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import URL, create_engine, make_url

ROOT = Path(__file__).parent
SERVER = make_url(os.environ["DATABASE_URL"])


def migrate(*, host, port, user, dbname, password, autocommit):
    engine = create_engine(URL.create("postgresql+psycopg", user, password, host, port, dbname))
    config = Config(ROOT / "alembic.ini")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


dump = os.environ.get("BENCH_DUMP")
server = factories.postgresql_noproc(
    host=SERVER.host,
    port=SERVER.port,
    user=SERVER.username,
    password=SERVER.password,
    dbname=SERVER.database,
    load=[Path(dump) if dump else migrate],
)


@pytest.fixture(scope="session")
def database_url(server):
    address = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    with DatabaseJanitor(**address, dbname=server.dbname, template_dbname=server.template_dbname):
        yield SERVER.set(database=server.dbname)
