"""The database that DATABASE_URL names: whoever started the tests has made it."""

# mypy: ignore-errors
import os

import pytest


@pytest.fixture(scope="session")
def database_url():
    return os.environ["DATABASE_URL"]
