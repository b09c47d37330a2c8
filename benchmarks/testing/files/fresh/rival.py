"""pytest-postgresql's client fixture: a clone of the template for every test."""

# mypy: ignore-errors
import os
from pathlib import Path

from pytest_postgresql import factories
from sqlalchemy import make_url

SERVER = make_url(os.environ["DATABASE_URL"])
server = factories.postgresql_noproc(
    host=SERVER.host,
    port=SERVER.port,
    user=SERVER.username,
    password=SERVER.password,
    dbname="rival_fresh",
    load=[Path(__file__).parent / "schema.sql"],
)
postgresql = factories.postgresql("server")
