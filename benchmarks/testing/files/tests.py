"""What every test of the application uses: a connection to the database of this worker, rolled back after the test."""

# mypy: ignore-errors
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine

CLOCK = os.environ.get("BENCH_CLOCK")
"""Where each worker writes when its first test began and when its last one had ended."""


@pytest.fixture(scope="session")
def engine(database_url):
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine):
    with engine.connect() as connection:
        outer = connection.begin()
        yield connection
        outer.rollback()


@pytest.fixture(scope="session", autouse=True)
def clock(database_url):
    began = time.monotonic()
    yield
    if CLOCK:
        with Path(CLOCK).open("a") as file:
            file.write(f"{began} {time.monotonic()}\n")
