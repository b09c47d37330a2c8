"""How long a test waits for a database of its own, and how long all of the test takes; written to BENCH_FRESH."""

# mypy: ignore-errors
import json
import os
import time
from pathlib import Path

import psycopg
import pytest

LAPS = {"fixture": [], "test": []}
PAUSE = float(os.environ.get("BENCH_PAUSE", "0"))
"""For how long each test does something else first, outside of the clock."""
WATCHED = os.environ["BENCH_FIXTURE"]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    began = time.perf_counter()
    result = yield
    if fixturedef.argname == WATCHED:
        LAPS["fixture"].append(time.perf_counter() - began)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    time.sleep(PAUSE)
    began = time.perf_counter()
    result = yield
    LAPS["test"].append(time.perf_counter() - began)
    return result


def pytest_sessionfinish():
    with Path(os.environ["BENCH_FRESH"]).open("w") as file:
        json.dump(LAPS, file)


@pytest.fixture
def cursor(request):
    """A cursor in this test's own database: pytest-postgresql's fixture is connected, envctl's is an address."""
    given = request.getfixturevalue(WATCHED)
    if isinstance(given, psycopg.Connection):
        yield given.cursor()
        return
    with psycopg.connect(given.url) as connection:
        yield connection.cursor()
