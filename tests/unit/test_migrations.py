"""Migrations: their steps, their fingerprint, and the commands they run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl import migrations
from envctl.errors import ConfigError, EnvctlError
from envctl.migrations import Migrate, Step, statements

CONNECT = {"url": "postgresql://u:hunter22@127.0.0.1:1/x", "password": "hunter22"}


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def run(root: Path, *steps: Step, **variables: str) -> list[str]:
    """The lines that the steps printed."""
    lines: list[str] = []
    migrations.run(steps, root=root, variables=variables, connect=CONNECT, talk=lambda line: None, output=lines.append)
    return lines


def failure(root: Path, command: str, **variables: str) -> EnvctlError:
    with pytest.raises(EnvctlError) as caught:
        run(root, Step(run=command), **variables)
    return caught.value


# steps


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        ("alembic upgrade head", (Step(run="alembic upgrade head"),)),
        (["a", "b"], (Step(run="a"), Step(run="b"))),
        ({"run": "a", "cwd": "backend"}, (Step(run="a", cwd="backend"),)),
        ([{"sql": ["db/*.sql"]}, "a"], (Step(sql=("db/*.sql",)), Step(run="a"))),
        ([], ()),
    ],
)
def test_migrate_is_a_command_a_table_or_a_list_of_both(value: object, steps: tuple[Step, ...]) -> None:
    assert Migrate.parse(value, "envctl.toml:3") == steps


@pytest.mark.parametrize(
    "value",
    [
        7,
        "",
        "  ",
        {},
        {"run": ""},
        {"run": 7},
        {"sql": "db/*.sql"},
        {"sql": []},
        {"sql": [""]},
        {"run": "a", "sql": ["b"]},
        {"sql": ["b"], "cwd": "c"},
        {"cmd": "a"},
        [["a"]],
    ],
)
def test_a_step_of_another_shape_is_refused_at_its_place(value: object) -> None:
    with pytest.raises(ConfigError, match=r"envctl\.toml:3"):
        Migrate.parse(value, "envctl.toml:3")


# fingerprint


def test_the_digest_changes_with_content_names_steps_and_extra_and_with_nothing_else(tmp_path: Path) -> None:
    root = lay(tmp_path, {"m/1.py": "one", "m/2.py": b"\xff\0binary", "other.txt": "x"})
    steps = [Step(run="alembic upgrade head")]

    def digest(steps: list[Step] = steps, **extra: str) -> str:
        return migrations.fingerprint(steps, ["m/**"], root, extra).digest

    before = digest()
    lay(root, {"other.txt": "y", "m/__pycache__/1.pyc": "z", "m/1.py": "one"})
    os.utime(root / "m/1.py", (0, 0))
    assert digest() == before
    seen = {before, digest([Step(run="alembic upgrade 1")]), digest(server="18")}
    lay(root, {"m/1.py": "ONE"})
    seen.add(digest())
    (root / "m/1.py").rename(root / "m/3.py")
    seen.add(digest())
    assert len(seen) == 5


def test_every_way_to_name_files_finds_them(tmp_path: Path) -> None:
    root = lay(
        tmp_path, {"m/1.py": "a", "m/deep/er/2.py": "b", "alembic.ini": "c", "m/.hidden": "d", "q/[x] y.sql": "e"}
    )
    (root / "link.ini").symlink_to("alembic.ini")
    (root / "m/loop").symlink_to(root / "m")
    (root / "m/broken").symlink_to("nowhere")

    def files(*watch: str) -> set[str]:
        return set(migrations.fingerprint([], watch, root).files)

    everything = {"m/1.py", "m/deep/er/2.py", "m/.hidden"}
    assert {name for name in files("m/**") if not name.startswith("m/loop")} == everything
    assert {name for name in files("m") if not name.startswith("m/loop")} == everything
    assert files("m/**/*.py", "*.ini") >= {"m/1.py", "m/deep/er/2.py", "alembic.ini", "link.ini"}
    assert files("q/*") == {"q/[x] y.sql"}


def test_a_pattern_without_files_is_a_warning_and_an_absolute_one_an_error(tmp_path: Path) -> None:
    assert migrations.fingerprint([], ["gone/**"], tmp_path).warnings == (f"no file matches 'gone/**' in {tmp_path}",)
    with pytest.raises(ConfigError, match="path from the project's folder"):
        migrations.fingerprint([], ["/etc/*"], tmp_path)


def test_migrations_are_due_when_something_changed_or_nobody_can_tell(tmp_path: Path) -> None:
    watched = migrations.fingerprint([Step(run="a")], ["m/**"], lay(tmp_path, {"m/1": ""}))
    unwatched = migrations.fingerprint([Step(run="a")], [], tmp_path)
    sql = migrations.fingerprint([Step(sql=("m/*",))], [], tmp_path)
    assert migrations.needed(watched, None)
    assert migrations.needed(watched, "another")
    assert not migrations.needed(watched, watched.digest)
    assert migrations.needed(unwatched, unwatched.digest)
    assert not migrations.needed(sql, sql.digest)
    assert set(sql.files) == {"m/1"}


def test_sql_files_run_pattern_by_pattern_sorted_and_none_twice(tmp_path: Path) -> None:
    root = lay(tmp_path, {"db/2.sql": "", "db/10.sql": "", "db/1.sql": "", "first.sql": ""})
    assert migrations.sql_files(root, ["first.sql", "db/*.sql", "db/1.sql"]) == [
        "first.sql",
        "db/1.sql",
        "db/10.sql",
        "db/2.sql",
    ]
    with pytest.raises(EnvctlError, match="no SQL file matches 'seed/\\*'"):
        migrations.sql_files(root, ["seed/*"])


# commands


def test_a_command_runs_in_its_folder_with_the_sandbox_s_variables(tmp_path: Path) -> None:
    root = lay(tmp_path, {"back end/x": ""})
    lines = run(root, Step(run='echo "$GREETING" && pwd', cwd="back end"), Step(run="echo two"), GREETING="it's you")
    assert lines == ["it's you", str((root / "back end").resolve()), "two"]


def test_the_project_s_virtual_environment_goes_before_everything(tmp_path: Path) -> None:
    root = lay(tmp_path, {".venv/bin/ls": "#!/bin/sh\necho ours\n"})
    (root / ".venv/bin/ls").chmod(0o755)
    assert run(root, Step(run="ls")) == ["ours"]


def test_a_failure_shows_its_output_and_stops_what_follows(tmp_path: Path) -> None:
    command = "for n in 1 2 3; do echo line $n; done; echo oops >&2; exit 3"
    error = failure(tmp_path, command)
    assert "ended with 3" in error.message
    assert error.cause.splitlines() == ["line 1", "line 2", "line 3", "oops"]
    with pytest.raises(EnvctlError):
        run(tmp_path, Step(run="false"), Step(run="touch after"))
    assert not (tmp_path / "after").exists()


def test_a_failure_shows_no_secret(tmp_path: Path) -> None:
    variables = {"DATABASE_URL": "postgresql+asyncpg://u:p%40ssw0rd@h/x", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
    command = 'echo "$DATABASE_URL"; echo "p@ssw0rd p%40ssw0rd $AWS_SECRET_ACCESS_KEY hunter22"; exit 1'
    error = failure(tmp_path, command, **variables)
    for secret in ("p%40ssw0rd", "p@ssw0rd", "wJalrXUtnFEMI", "hunter22"):
        assert secret not in f"{error.message}{error.cause}{error.hint}"
    assert "@h/x" in error.cause


def test_a_failure_shows_no_part_of_a_secret(tmp_path: Path) -> None:
    secrets = {"SHORT_TOKEN": "hunter", "LONG_TOKEN": "hunter-and-more", "KEY": "first line\n  second line\n"}
    error = failure(tmp_path, """printf '%s\\n' "$SHORT_TOKEN $LONG_TOKEN" "$KEY"; exit 1""", **secrets)
    for part in ("hunter", "more", "first", "second"):
        assert part not in error.cause


def test_a_long_line_is_shown_in_part_and_its_password_in_none(tmp_path: Path) -> None:
    password = "hunter22" * 4
    lines = run(tmp_path, Step(run='printf "%08180d%s%09000d" 0 "a://u:$WORD@h" 0'), WORD=password, X_TOKEN=password)
    assert lines == [f"{'0' * 8180}a://u:***@h{'0'}… (8999 more letters)"]


def test_a_program_that_is_missing_or_was_killed_is_told_apart(tmp_path: Path) -> None:
    assert ".venv" in failure(tmp_path, "no-such-program-here").hint
    assert "was ended by SIGKILL" in failure(tmp_path, "kill -9 $$").message


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvctlError, match="gone"):
        run(tmp_path, Step(run="true", cwd="gone"))


def test_a_program_left_in_the_background_neither_holds_the_migration_nor_outlives_it(tmp_path: Path) -> None:
    lines = run(tmp_path, Step(run="sleep 60 & echo $!"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines[0]), 0)


def test_an_interrupt_ends_the_command_and_its_children(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    held: list[str] = []

    def interrupt() -> None:
        with (tmp_path / "alive").open() as alive:
            alive.readline()
            os.kill(os.getpid(), signal.SIGINT)
            held.append(alive.read())  # ends when the last writer has ended

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Step(run="exec 3>alive; sleep 1000 & echo up >&3; wait"))
    watcher.join(20)
    assert held == [""]


# statements


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("-- only a comment; nothing\n/* nor; /* here; */ */", []),
        ("SELECT 1", [("SELECT 1", 1)]),
        ("SELECT 1;;\n\nSELECT 2;", [("SELECT 1", 1), ("SELECT 2", 3)]),
        ("-- a\nSELECT ';' ; SELECT 2", [("SELECT ';'", 2), ("SELECT 2", 2)]),
        ("SELECT 'it''s;', \"a;\"\"b\", E'\\';', $$ ; $$, $x$ $$ ; $x$; SELECT 2", None),
        ("SELECT a$1$b; SELECT 2", [("SELECT a$1$b", 1), ("SELECT 2", 1)]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", None),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; SELECT 3",
            None,
        ),
        ("CREATE or replace\nPROCEDURE p() AS $$ BEGIN; END; $$ LANGUAGE plpgsql; SELECT 3", None),
        ("BEGIN; SELECT 1; END", [("BEGIN", 1), ("SELECT 1", 1), ("END", 1)]),
        ("SELECT 1 /* ; */ ; -- ;\nSELECT 2", [("SELECT 1 /* ; */", 1), ("SELECT 2", 2)]),
    ],
)
def test_sql_is_cut_at_its_semicolons_and_at_no_others(text: str, found: list[tuple[str, int]] | None) -> None:
    pieces = [(one.text, one.line) for one in statements.split(text)]
    if found is None:
        assert len(pieces) == 2
        assert [text.split("; ")[-1]] == [pieces[1][0]]
    else:
        assert pieces == found


def test_a_psql_command_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 3"):
        list(statements.split("SELECT 1;\n\n\\connect other\n"))


@given(st.text("ab'\"$;()-/*\\\n x", max_size=60))
def test_cutting_ends_and_loses_no_line(text: str) -> None:
    try:
        pieces = list(statements.split(text))
    except ValueError:
        return
    lines = text.split("\n")
    for piece in pieces:
        assert piece.text.split("\n")[0] in lines[piece.line - 1]
