"""What is said of a green run that never touched its database."""

from __future__ import annotations

import pytest

from envctl.testing.evidence import verdict

EXPORTED = {"DATABASE_URL": "{postgres.url:asyncpg}", "PGHOST": "{postgres.host}", "MODE": "test"}


@pytest.mark.parametrize(
    ("visits", "tests"),
    [({}, 5), ({"shop_test_a": 0}, 0), ({"shop_test_a": 1}, 5), ({"shop_test_a": 0, "shop_test_a_gw0": 3}, 5)],
)
def test_nothing_is_said_where_a_database_was_used_or_that_is_unknown(visits: dict[str, int], tests: int) -> None:
    assert verdict(visits, tests, EXPORTED) == ""


def test_a_run_that_never_used_its_database_is_told_which_and_where_to_look() -> None:
    assert verdict({"shop_test_a": 0}, 12, EXPORTED) == (
        "WRONG DATABASE? This run never connected to its database shop_test_a: the 12 tests that ran used another one, "
        "or none. DATABASE_URL tells where it is: look for a conftest.py or settings that set a URL of their own. "
        "A suite that needs no database says so with services = []."
    )


def test_many_databases_are_not_all_named() -> None:
    said = verdict({f"shop_test_a_gw{number}": 0 for number in range(8)}, 1, EXPORTED)
    assert "its databases shop_test_a_gw0, shop_test_a_gw1, shop_test_a_gw2 and 5 more: the test that ran" in said


@pytest.mark.parametrize(
    ("exported", "remedy"),
    [
        ({"PGHOST": "{postgres.host}", "PGPORT": "{postgres.port}"}, "PGHOST and PGPORT tell where it is"),
        ({"MODE": "test"}, 'add one to [variables], such as DATABASE_URL = "{postgres.url}".'),
    ],
)
def test_the_remedy_names_the_variables_that_there_are(exported: dict[str, str], remedy: str) -> None:
    assert remedy in verdict({"shop_test_a": 0}, 2, exported)
