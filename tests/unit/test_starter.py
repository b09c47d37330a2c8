"""What `init` proposes loads, gives a reason for each claim, and never replaces a file by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from envctl import config, namespace, services
from envctl import starter as init
from envctl.errors import ConfigError, EnvctlError

COMPOSE = """\
# the stack
services:
  "db":
    image: "pgvector/pgvector:pg16"  # with vectors
    environment:
      image: not-this
  cache:
    build: ./cache
    image: docker.io/valkey/valkey:8-alpine
  store:
    image: quay.io/minio/minio@sha256:abc
  web:
    image: example.com/my-redis-dashboard:1
volumes:
  redis:
    image: redis
"""
ALEMBIC = "[alembic]\nscript_location = %(here)s/db/versions # x\nsqlalchemy.url = driver://u:hunter2@h/d\n".replace(
    " # x", ""
)
ENV = """\
# servers
export DATABASE_URL="postgresql+asyncpg://shop:hunter2@localhost/shop"
POSTGRES_HOST=localhost
POSTGRES_PASSWORD=hunter2
REDIS_URL=redis://:hunter2@localhost:6379/0
S3_ENDPOINT=http://localhost:9000
S3_SECRET_KEY=hunter2
S3_BUCKET=statements
SECRET_KEY=hunter2 # signing
LOG_LEVEL='info'
"""


def proposed(root: Path, files: Mapping[str, str]) -> tuple[config.Config, str]:
    """What a repository of these files is proposed, loaded with the real services."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    proposal = init.propose(root)
    for reason in proposal.reasons:
        assert f"# {reason}\n" in proposal.text
    return loaded(root / "envctl.toml", proposal.text), proposal.text


def loaded(file: Path, text: str) -> config.Config:
    """That file, written and read with the real services."""
    init.write(file, text, overwrite=False)
    return config.load(
        file,
        {name: services.get(name).settings for name in services.REGISTRY},
        environ={},
        placeholders=lambda name, settings: services.get(name).placeholders(settings),
        logical_names=lambda name, settings: services.get(name).logical_names(settings),
    )


def test_an_empty_folder_is_a_project_and_nothing_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "My Shop 2").mkdir()
    found, text = proposed(tmp_path / "My Shop 2", {})
    assert found.project == "my_shop_2"
    assert (found.services, found.variables, found.dev.processes) == ({}, {}, {})
    lines = text.splitlines()
    assert lines[:3] == ["# this repository calls itself 'My Shop 2'", 'project = "my_shop_2"', ""]
    assert all(line.startswith("# ") for line in lines[3:])


def test_where_nothing_shows_all_services_are_there_to_choose_from(tmp_path: Path) -> None:
    _, text = proposed(tmp_path, {})
    offered = text.partition("take the # off what the project needs\n")[2]
    (tmp_path / "all").mkdir()
    taken = offered.replace("# ", "", 1).replace("\n# ", "\n")
    assert set(loaded(tmp_path / "all" / "envctl.toml", f'project = "all"\n{taken}').services) == {
        "postgres",
        "s3",
        "redis",
    }


@pytest.mark.parametrize("folder", ["postgres", "ž🐎", "123", "pg_shop", "--", "a'b\"c", "x" * 200, "line\nbreak"])
def test_any_folder_has_a_name_that_loads(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    found, _ = proposed(tmp_path / folder, {})
    assert namespace.limit(found.project, found.names, ()) >= namespace.SHORTEST


def test_alembic_is_migrated_and_watched_where_it_says(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, {"alembic.ini": ALEMBIC, "requirements.txt": "psycopg[binary]>=3\n"})
    postgres = found.services["postgres"]
    assert postgres.watch == ("db/versions/**", "alembic.ini")
    assert [step.run for step in postgres.steps] == ["alembic upgrade head"]
    assert "hunter2" not in text


def test_django_migrates_and_runs_by_manage_py(tmp_path: Path) -> None:
    files = {"manage.py": "import django\n", "pyproject.toml": '[project]\nname = "Blog"\ndependencies = ["psycopg2"]'}
    found, _ = proposed(tmp_path, files)
    assert found.project == "blog"
    assert [step.run for step in found.services["postgres"].steps] == ["python manage.py migrate"]
    assert found.dev.processes["web"].command == "python manage.py runserver 127.0.0.1:{port}"


PROCFILE = """\
# the processes
release: python manage.py migrate
web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT --workers ${WORKERS:-2}
worker_1: python -m shop.worker '{"queue": "all"}'
cache: redis-server --port 6380
"""


def test_a_procfile_s_processes_are_taken_as_they_are_on_envctl_s_port(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, {"Procfile": PROCFILE, "package.json": '{"scripts": {"dev": "vite"}}'})
    commands = {name: one.command for name, one in found.dev.processes.items()}
    assert commands == {
        "web": "gunicorn shop.wsgi --bind 0.0.0.0:{port} --workers ${{WORKERS:-2}}",
        "worker_1": 'python -m shop.worker \'{{"queue": "all"}}\'',
    }
    assert "# Procfile has web\n" in text


def test_of_two_procfiles_the_one_for_work_is_taken(tmp_path: Path) -> None:
    found, _ = proposed(tmp_path, {"Procfile": "web: prod\n", "Procfile.dev": "web: dev ${PORT:-3000}\n"})
    assert found.dev.processes["web"].command == "dev {port}"


@pytest.mark.parametrize(
    ("script", "lock", "command", "env"),
    [
        ("next dev", "package-lock.json", "npm run dev", {"PORT": "{port}"}),
        ("vite --open", "package-lock.json", "npm run dev -- --port {port}", {}),
        ("vite", "pnpm-lock.yaml", "pnpm run dev --port {port}", {}),
        ("node --watch app.js", "yarn.lock", "yarn run dev", {"PORT": "{port}"}),
    ],
)
def test_the_dev_script_of_a_package_is_a_process(
    tmp_path: Path, script: str, lock: str, command: str, env: Mapping[str, str]
) -> None:
    package = json.dumps({"scripts": {"dev": script, "start": "node dist"}})
    found, _ = proposed(tmp_path, {"package.json": package, lock: ""})
    assert (found.dev.processes["web"].command, found.dev.processes["web"].env) == (command, env)


@pytest.mark.parametrize("scripts", [{"start": "node app.js"}, {"dev": "docker compose up"}])
def test_a_script_that_may_be_for_something_else_is_a_comment(tmp_path: Path, scripts: Mapping[str, str]) -> None:
    found, text = proposed(tmp_path, {"package.json": json.dumps({"scripts": scripts})})
    assert found.dev.processes == {}
    assert f'# [dev.processes.web]\n# command = "npm run {next(iter(scripts))}"\n# env = ' in text


def test_a_package_beside_python_is_the_frontend(tmp_path: Path) -> None:
    files = {"manage.py": "import django\n", "package.json": '{"scripts": {"dev": "vite"}}'}
    assert set(proposed(tmp_path, files)[0].dev.processes) == {"web", "frontend"}


@pytest.mark.parametrize(
    ("pyproject", "command"),
    [
        ('[tool.fastapi]\nentrypoint = "shop.main:app"\n', "uvicorn shop.main:app --reload --port {port}"),
        ('[tool.poe.tasks]\ndev = "uvicorn --reload shop:app"\n', "uvicorn shop:app --reload --port {port}"),
        (
            '[tool.pdm.scripts]\nserve = {cmd = "gunicorn -w 2 shop.wsgi:application"}\n',
            "gunicorn shop.wsgi:application --reload --bind 127.0.0.1:{port}",
        ),
    ],
)
def test_an_application_that_pyproject_names_is_served(tmp_path: Path, pyproject: str, command: str) -> None:
    found, text = proposed(tmp_path, {"pyproject.toml": pyproject})
    assert found.dev.processes["web"].command == command
    assert "# pyproject.toml " in text


@pytest.mark.parametrize(
    ("file", "source", "command"),
    [
        ("src/shop/main.py", "app: FastAPI = FastAPI(title='x')\n", "uvicorn shop.main:app --reload --port {port}"),
        ("shop/__init__.py", "import flask\nweb = flask.Flask(__name__)\n", "flask --app shop:web run --debug"),
        ("app.py", "application = Starlette()\n", "uvicorn app:application --reload"),
        ("shop/main.py", "def create_app(): ...\n\napp = create_app()\n", "uvicorn shop.main:app --reload"),
    ],
)
def test_an_application_that_only_a_file_shows_is_a_comment(
    tmp_path: Path, file: str, source: str, command: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).parent.joinpath("__init__.py").write_text("")
    found, text = proposed(tmp_path, {file: source})
    assert found.dev.processes == {}
    assert f'# [dev.processes.web]\n# command = "{command}' in text


def test_names_that_only_look_like_an_application_propose_nothing(tmp_path: Path) -> None:
    asks = '[project]\ndependencies = ["uvicorn>=0.30", "fastapi"]\n[project.scripts]\nshop = "shop.cli:main"\n'
    files = {"pyproject.toml": asks, "package.json": "[1]", "app.py": "def create(): return FastAPI()\n"}
    _, text = proposed(tmp_path, files)
    assert "dev.processes" not in text


def test_sql_folders_are_run_by_envctl(tmp_path: Path) -> None:
    found, _ = proposed(tmp_path, {"db/init/01.sql": "select 1;", "migrations/readme.txt": ""})
    assert [step.sql for step in found.services["postgres"].steps] == [("db/init/*.sql",)]


@pytest.mark.parametrize("folder", ["db", "db/migrations", "supabase/migrations"])
def test_of_pairs_of_sql_files_only_those_that_do_something_are_run(tmp_path: Path, folder: str) -> None:
    found, _ = proposed(tmp_path, {f"{folder}/1.up.sql": "create table a ();", f"{folder}/1.down.sql": "drop table a;"})
    assert [step.sql for step in found.services["postgres"].steps] == [(f"{folder}/*.up.sql",)]


@pytest.mark.parametrize("mark", ["-- migrate:down", "-- +goose Down", "--+migrate Down", "-- !Downs"])
def test_sql_files_that_undo_themselves_are_left_to_their_tool(tmp_path: Path, mark: str) -> None:
    found, text = proposed(tmp_path, {"migrations/1.sql": f"create table a ();\n{mark}\ndrop table a;\n"})
    assert found.services["postgres"].steps == ()
    assert "migrations/1.sql has its own undoing in it: set `migrate`" in text


def test_each_reason_is_told_with_the_line_that_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/1.sql").write_text("select 1;")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    project, pytest_is_there, postgres, sql = init.propose(tmp_path).told
    assert project.startswith('project = "')
    assert pytest_is_there.startswith("pytest is set up in pytest.ini")
    assert postgres == "[services.postgres]: there is SQL in sql/*.sql"
    assert sql.startswith('sql = ["sql/*.sql"]: ')


def test_a_compose_file_shows_services_and_what_they_are_called_there(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, {"docker-compose.yml": COMPOSE})
    assert set(found.services) == {"postgres", "s3", "redis"}
    assert found.compose.file == "docker-compose.yml"
    assert found.compose.services == {"postgres": "db", "redis": "cache", "s3": "store"}
    assert found.services["postgres"].extensions == ("vector",)
    assert "dashboard" not in text


def test_an_example_env_becomes_variables_without_its_secrets(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, {".env.example": ENV})
    assert found.variables == {
        "DATABASE_URL": "{postgres.url:postgresql+asyncpg}",
        "POSTGRES_HOST": "{postgres.host}",
        "POSTGRES_PASSWORD": "{postgres.password}",
        "REDIS_URL": "{redis.url}",
        "S3_ENDPOINT": "{s3.endpoint}",
        "S3_SECRET_KEY": "{s3.secret_key}",
        "S3_BUCKET": "{s3.bucket.statements}",
    }
    assert found.services["s3"].buckets == ("statements",)
    assert "left to you: SECRET_KEY, LOG_LEVEL" in text
    assert "hunter2" not in text


def test_another_database_is_not_taken_for_postgres(tmp_path: Path) -> None:
    env = "DATABASE_URL=mysql://u@h/d\nDB_HOST=localhost\nDB_PORT=3306\nTOKEN_BUCKET=leaky\nAWS_REGION=eu\n"
    found, _ = proposed(tmp_path, {".env.example": env, "compose.yaml": "services:\n  db:\n    image: mysql:8\n"})
    assert found.services == found.variables == {}
    assert found.compose.file == ""


def test_a_driver_goes_into_the_url_and_the_other_variables_stay(tmp_path: Path) -> None:
    asks = '[project]\nname = "shop"\ndependencies = ["SQLAlchemy>=2", "asyncpg", "redis", "boto3", "pgvector"]'
    found, _ = proposed(tmp_path, {"pyproject.toml": asks})
    assert found.variables["DATABASE_URL"] == "{postgres.url:postgresql+asyncpg}"
    assert {"PGHOST", "REDIS_URL", "S3_BUCKET"} <= set(found.variables)
    assert found.services["postgres"].extensions == ("vector",)


def test_code_that_calls_the_driver_itself_has_a_url_that_it_can_read(tmp_path: Path) -> None:
    asks = '[project]\nname = "shop"\ndependencies = ["SQLAlchemy>=2", "psycopg"]'
    code = "import psycopg\n\nconnection = psycopg.connect(url)\n"
    found, text = proposed(tmp_path, {"pyproject.toml": asks, "shop/store.py": code})
    assert found.variables == {}
    assert "shop/store.py calls psycopg.connect itself" in text


def test_without_sqlalchemy_a_driver_changes_nothing(tmp_path: Path) -> None:
    found, _ = proposed(tmp_path, {"requirements.txt": "asyncpg==0.30\n# redis\n-r other.txt\n"})
    assert found.variables == {}
    assert set(found.services) == {"postgres"}


def test_pytest_settings_are_seen(tmp_path: Path) -> None:
    _, text = proposed(tmp_path, {"setup.cfg": "[tool:pytest]\ntestpaths = tests\n"})
    assert "# pytest is set up in setup.cfg" in text


def test_broken_files_are_passed_by(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[project",
        "alembic.ini": "no section\n",
        "compose.yaml": "}{: \x00",
        ".env.example": "=\n",
    }
    found, _ = proposed(tmp_path, files)
    assert found.services == {}


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    file = tmp_path / "envctl.toml"
    file.write_text("mine")
    with pytest.raises(ConfigError, match="is already there") as caught:
        init.write(file, "new", overwrite=False)
    assert file.read_text() == "mine"
    assert "--force" in caught.value.hint
    assert [one.name for one in tmp_path.iterdir()] == ["envctl.toml"]
    init.write(file, "new", overwrite=True)
    assert file.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["envctl.toml"]


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "envctl.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is already there"):
        init.write(tmp_path / "envctl.toml", "new", overwrite=False)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EnvctlError, match="cannot be written") as caught:
        init.write(tmp_path / "gone" / "envctl.toml", "new", overwrite=False)
    assert caught.value.cause == "No such file or directory"


LOOKED_AT = (
    *("pyproject.toml", "package.json", "requirements.txt", "alembic.ini", "manage.py", "setup.cfg", "tox.ini"),
    *("compose.yaml", ".env.example", "pytest.ini", "Procfile", "main.py", "db/x.sql", "migrations/x.sql"),
)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_what_is_no_file_that_somebody_wrote_is_as_if_it_were_not_there(tmp_path: Path, kind: str) -> None:
    for folder in ("project", "project/db", "project/migrations", "bare/project"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name in LOOKED_AT:
        path = tmp_path / "project" / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        elif name in ("pyproject.toml", "requirements.txt", "alembic.ini", "manage.py", "setup.cfg", "package.json"):
            path.write_text("django\nredis\n[tool:pytest]\n" + "# more\n" * 150_000)
    assert init.propose(tmp_path / "project") == init.propose(tmp_path / "bare" / "project")


def test_what_is_nested_too_deep_to_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    deep = "[" * 100_000
    _, text = proposed(tmp_path, {"pyproject.toml": f"a = {deep}", "package.json": deep, "requirements.txt": "redis\n"})
    assert "requirements.txt asks for redis" in text


def test_dependencies_that_are_no_list_are_none(tmp_path: Path) -> None:
    text = "[project]\ndependencies = 5\noptional-dependencies = { dev = true, test = ['redis'] }\n"
    assert "pyproject.toml asks for redis" in proposed(tmp_path, {"pyproject.toml": text})[1]
