"""What a good file comes to, and where each value came from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from config_files import KINDS, SHORT, Postgres, Steps, Tuning, loaded, written

from envctl import config
from envctl.description import describe


def test_the_short_file_is_enough(tmp_path: Path) -> None:
    found = loaded(tmp_path, SHORT)
    assert found.project == "shop"
    assert found.engine == "auto"
    assert found.idle == 600
    assert found.services["postgres"] == Postgres(
        extensions=("vector",), migrate=Steps(("alembic upgrade head",)), watch=("migrations/**", "alembic.ini")
    )
    assert list(found.services) == ["postgres", "s3", "redis"]
    assert found.dev.processes["api"].command == "uvicorn shop.main:app --reload --port {port}"
    assert found.dev.processes["api"].health == "/health"
    assert found.variables == {"DATABASE_URL": "{postgres.url:postgresql+asyncpg}"}


def test_a_project_name_alone_is_enough(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'project = "shop"').services == {}


def test_pyproject_says_the_same_as_a_file_of_its_own(tmp_path: Path) -> None:
    tables = SHORT.replace("[services", "[tool.envctl.services").replace("[dev", "[tool.envctl.dev")
    text = '[project]\nname = "x"\n[tool.envctl]\n' + tables.replace("[variables", "[tool.envctl.variables")
    ours = config.load(written(tmp_path, text, "pyproject.toml"), KINDS, environ={})
    assert ours.services == loaded(tmp_path, SHORT).services
    assert ours.origins["services.postgres.migrate"] == "pyproject.toml:7"


def test_tables_inside_tables_and_by_name_are_parsed(tmp_path: Path) -> None:
    text = SHORT.replace("[services.s3]", "tuning.memory = 7\nroles.app = { factor = 2 }\n[services.s3]")
    postgres = loaded(tmp_path, text).services["postgres"]
    assert postgres.tuning == Tuning(memory=7)
    assert postgres.roles == {"app": Tuning(factor=2.0)}


@pytest.mark.parametrize(
    ("written_form", "seconds", "shown"),
    [
        ("10m", 600, "10m"),
        ("90s", 90, "1m30s"),
        ("0", 0, "0"),
        ("1h30m", 5400, "1h30m"),
        ("0s", 0, "0"),
        ("7d", 604_800, "7d"),
        ("25h", 90_000, "1d1h"),
    ],
)
def test_durations_read_and_show_as_people_write_them(
    tmp_path: Path, written_form: str, seconds: float, shown: str
) -> None:
    found = loaded(tmp_path, f'project = "shop"\nidle = "{written_form}"')
    assert found.idle == seconds
    assert describe(found, "dev")["idle"] == {"value": shown, "source": "envctl.toml:2"}


def test_flag_goes_before_variable_before_file_before_default(tmp_path: Path) -> None:
    text, environ = 'project = "shop"\nengine = "compose"', {"ENVCTL_ENGINE": "external"}
    flagged = loaded(tmp_path, text, environ=environ, engine="embedded")
    assert (flagged.engine, flagged.origins["engine"]) == ("embedded", "flag")
    by_variable = loaded(tmp_path, text, environ=environ)
    assert (by_variable.engine, by_variable.origins["engine"]) == ("external", "ENVCTL_ENGINE")
    by_file = loaded(tmp_path, text, environ={"ENVCTL_ENGINE": ""})
    assert (by_file.engine, by_file.origins["engine"]) == ("compose", "envctl.toml:2")
    by_default = loaded(tmp_path, 'project = "shop"')
    assert (by_default.engine, by_default.origins["engine"]) == ("auto", "default")


def test_a_flag_that_came_from_its_variable_is_called_that(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'project = "shop"', environ={"ENVCTL_ENGINE": "compose"}, engine="compose")
    assert found.origins["engine"] == "ENVCTL_ENGINE"


def test_any_single_value_can_be_set_by_its_variable(tmp_path: Path) -> None:
    environ = {
        "ENVCTL_IDLE": "5s",
        "ENVCTL_COMPOSE_FILE": "other.yaml",
        "ENVCTL_SERVICES_POSTGRES_VERSION": "17",
        "ENVCTL_SERVICES_POSTGRES_TUNING_FSYNC": "false",
        "ENVCTL_SERVICES_POSTGRES_TUNING_MEMORY": "9",
        "ENVCTL_DEV_PROCESSES_API_PORT": "8001",
        "ENVCTL_PROJECT": "/a/folder",
    }
    found = loaded(tmp_path, SHORT, environ=environ)
    assert found.project == "shop"
    assert found.idle == 5
    assert found.compose.file == "other.yaml"
    assert found.services["postgres"].version == "17"
    assert found.services["postgres"].tuning == Tuning(memory=9, fsync=False)
    assert found.dev.processes["api"].port == 8001
    assert found.origins["services.postgres.tuning.fsync"] == "ENVCTL_SERVICES_POSTGRES_TUNING_FSYNC"


def test_a_variable_does_not_add_a_service(tmp_path: Path) -> None:
    environ = {"ENVCTL_SERVICES_POSTGRES_VERSION": "17"}
    assert loaded(tmp_path, 'project = "shop"', environ=environ).services == {}


def test_addresses_of_external_servers_come_from_variables_first(tmp_path: Path) -> None:
    text = 'project = "shop"\n[external]\nredis = "redis://file"\npostgres = "postgres://file"'
    found = loaded(tmp_path, text, environ={"ENVCTL_POSTGRES_URL": "postgres://variable"})
    assert found.external == {"redis": "redis://file", "postgres": "postgres://variable"}
    assert found.origins["external.postgres"] == "ENVCTL_POSTGRES_URL"
    assert found.origins["external.redis"] == "envctl.toml:3"


def test_ci_uses_servers_that_are_there_unless_told_otherwise(tmp_path: Path) -> None:
    plain = loaded(tmp_path, 'project = "shop"')
    assert plain.for_environment("ci").engine == "external"
    assert plain.for_environment("test").engine == "auto"
    told = loaded(tmp_path, 'project = "shop"\n[environments.ci]\nengine = "embedded"\nidle = "0"')
    ci = told.for_environment("ci")
    assert (ci.engine, ci.idle, ci.origins["engine"]) == ("embedded", 0, "envctl.toml:3")
    assert told.for_environment("dev").idle == 600


def test_a_flag_goes_before_what_an_environment_says(tmp_path: Path) -> None:
    text = 'project = "shop"\n[environments.ci]\nengine = "compose"'
    assert loaded(tmp_path, text, engine="embedded").for_environment("ci").engine == "embedded"
    assert loaded(tmp_path, text, environ={"ENVCTL_ENGINE": "auto"}).for_environment("ci").engine == "auto"


def test_an_environment_adds_variables_and_overrides_them(tmp_path: Path) -> None:
    text = SHORT + 'LOG = "info"\n[variables.test]\nLOG = "debug"\nMODE = "test"\n'
    found = loaded(tmp_path, text)
    assert found.for_environment("dev").variables["LOG"] == "info"
    test = found.for_environment("test")
    assert test.variables == {**found.variables, "LOG": "debug", "MODE": "test"}
    assert test.origins["variables.LOG"] == "envctl.toml:16"


class Exports:
    """A service, as far as `exported` looks at one."""

    exports = {"DATABASE_URL": "{postgres.url}"}


def test_without_variables_the_services_export_their_own(tmp_path: Path) -> None:
    text = 'project = "shop"\n[services.postgres]\n[variables.test]\nMODE = "test"\n'
    exported = loaded(tmp_path, text).for_environment("test").exported(lambda service: Exports())
    assert exported["DATABASE_URL"] == "{postgres.url}"
    assert exported["TEST_NAMESPACE"] == "{namespace}"
    assert exported["MODE"] == "test"


def test_with_variables_only_those_are_exported(tmp_path: Path) -> None:
    found = loaded(tmp_path, SHORT).for_environment("dev")
    assert found.exported(lambda service: Exports()) == {"DATABASE_URL": "{postgres.url:postgresql+asyncpg}"}


def test_name_patterns_override_their_defaults_one_by_one(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'project = "shop"\n[names]\ntest_database = "{project}_t_{namespace}"')
    assert found.names.database["test"] == "{project}_t_{namespace}"
    assert found.names.database["dev"] == "{project}_dev_{namespace}"


def test_described_settings_hide_every_secret(tmp_path: Path) -> None:
    text = SHORT.replace("[services.s3]", 'password = "pa55-one"\n[services.s3]') + (
        'API_TOKEN = "pa55-two"\n'
        'DSN = "postgresql://u:pa55-three@h/d"\n'
        'QUERY = "http://h/?password=pa55-four&x=1"\n'
        'PGPASSWORD = "{postgres.password}"\n'
        '[dev.processes.api.env]\nMY_SECRET = "pa55-five"\n'
        '[external]\npostgres = "postgres://u:pa55-six@h/d"\n'
    )
    described = describe(loaded(tmp_path, text), "dev")
    assert "pa55" not in json.dumps(described)
    assert described["external.postgres"]["value"] == "postgres://u:***@h/d"
    assert described["variables.QUERY"]["value"] == "http://h/?password=***&x=1"
    assert described["variables.PGPASSWORD"]["value"] == "{postgres.password}"


def test_described_settings_are_json_and_say_where_from(tmp_path: Path) -> None:
    described = json.loads(json.dumps(describe(loaded(tmp_path, SHORT), "ci")))
    assert described["engine"] == {"value": "external", "source": "default"}
    assert described["services.postgres.extensions"] == {"value": ["vector"], "source": "envctl.toml:3"}
    assert described["services.postgres.migrate"]["source"] == "envctl.toml:4"
    assert described["names.dev_database"] == {"value": "{project}_dev_{namespace}", "source": "default"}


def test_settings_do_not_print_their_secrets(tmp_path: Path) -> None:
    found = loaded(tmp_path, SHORT + 'TOKEN = "pa55"\n[external]\npostgres = "postgres://u:pa55@h/d"')
    assert "pa55" not in repr(found)


def test_no_heavy_client_is_imported_for_the_configuration() -> None:

    program = (
        "import sys, envctl.config; print(sorted({'psycopg','minio','redis','docker','git','rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
