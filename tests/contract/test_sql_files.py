"""SQL files that envctl runs itself, on a real server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from postgres_ground import ask
from service_ground import Ground

from envctl import migrations
from envctl.errors import EnvctlError, UnavailableError
from envctl.migrations import Step


@pytest.fixture
def service() -> str:
    return "postgres"


@pytest.fixture
def values(ground: Ground) -> Mapping[str, str]:
    """A namespace's own database."""
    return ground.service.create(ground.address, ground.settings, ground.claim("one")).values


def run(root: Path, values: Mapping[str, str], **files: str) -> list[str]:
    """Run the files, named in the order given; what was said meanwhile."""
    (root / "db").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / f"db/{name}.sql").write_text(text)
    said: list[str] = []
    migrations.run([Step(sql=("db/*.sql",))], root=root, variables={}, connect=values, talk=said.append)
    return said


def tables(ground: Ground, values: Mapping[str, str]) -> set[str]:
    query = b"SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return {row[0] for row in ask(ground.address, query, values["database"])}


def test_files_run_in_order_as_the_namespace_s_login(ground: Ground, values: Mapping[str, str], tmp_path: Path) -> None:
    said = run(
        tmp_path,
        values,
        a="\ufeffCREATE TABLE one (id int);\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;",
        b="INSERT INTO one VALUES (f()); SELECT * FROM one WHERE '%s' = '%s';",
    )
    assert said == ["sql db/a.sql", "sql db/b.sql"]
    query = b"SELECT tableowner FROM pg_tables WHERE tablename = 'one'"
    assert ask(ground.address, query, values["database"]) == [(values["user"],)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("CREATE TABLE two (id int);\n\n-- now\nSELECT nothing\n  FROM nowhere;", 5),
        ("CREATE TABLE two (id int);\nINSERT INTO two VALUES (1);\nSELECT 1 / 0;", 3),
        ("CREATE TABLE two (id int);\nSELECT 'open", 2),
        ("CREATE TABLE two (id int);\n\\connect other", 2),
        ("CREATE TABLE two (id int);\nCREATE INDEX CONCURRENTLY ON two (id);", 2),
    ],
)
def test_an_error_has_its_file_and_line_and_its_file_is_undone(
    ground: Ground, values: Mapping[str, str], tmp_path: Path, text: str, line: int
) -> None:
    with pytest.raises(EnvctlError, match=rf"^db/b\.sql, line {line}\b"):
        run(tmp_path, values, a="CREATE TABLE one (id int)", b=text, c="CREATE TABLE three (id int)")
    assert tables(ground, values) == {"one"}


def test_a_file_may_ask_for_no_transaction(ground: Ground, values: Mapping[str, str], tmp_path: Path) -> None:
    text = "-- envctl: no-transaction\nCREATE TABLE one (id int);\nCREATE INDEX CONCURRENTLY ON one (id);\nVACUUM one;"
    run(tmp_path, values, a=text)
    assert tables(ground, values) == {"one"}
    with pytest.raises(EnvctlError) as caught:
        run(tmp_path, values, a="VACUUM one;")
    assert "no-transaction" in caught.value.hint


def test_a_file_may_bring_its_own_transactions(ground: Ground, values: Mapping[str, str], tmp_path: Path) -> None:
    text = "BEGIN; CREATE TABLE one (id int); COMMIT;\nbegin; CREATE TABLE two (id int); rollback;\n"
    run(tmp_path, values, a=text)
    assert tables(ground, values) == {"one"}


def test_a_file_that_cannot_run_twice_says_what_to_do(values: Mapping[str, str], tmp_path: Path) -> None:
    run(tmp_path, values, a="CREATE TABLE one (id int)")
    with pytest.raises(EnvctlError, match="already exists") as caught:
        run(tmp_path, values)
    assert "envctl dev reset" in caught.value.hint


def test_what_the_server_notices_is_told(values: Mapping[str, str], tmp_path: Path) -> None:
    said = run(tmp_path, values, a="DO $$ BEGIN RAISE WARNING 'look here'; END $$")
    assert said == ["sql db/a.sql", "  WARNING: look here"]


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_shown(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        run(tmp_path, {"url": "postgresql://u:hunter22@127.0.0.1:1/x"}, a="SELECT 1")
    assert "hunter22" not in f"{caught.value.message}{caught.value.cause}"


def test_a_file_that_is_no_utf8_is_named(values: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db/a.sql").write_bytes(b"SELECT '\xff'")
    with pytest.raises(EnvctlError, match=r"a\.sql cannot be read"):
        run(tmp_path, values)
