"""Databases that are there already, one per worker."""

# mypy: ignore-errors
import os

import pytest


@pytest.fixture(scope="session")
def database_url(worker_id):
    return f"{os.environ['DATABASE_URL']}_{worker_id}"
