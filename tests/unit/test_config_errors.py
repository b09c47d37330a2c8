"""Bad files: one message each, with the line and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import KINDS, SHORT, loaded, written

from envctl import config, project_file
from envctl.errors import ConfigError

BAD = {
    "broken_toml": ('project = "shop"\n[services.postgres\n', ":2: broken TOML: expected ']'", "a table's name in [ ]"),
    "unclosed_text": ('project = "shop', ":1: broken TOML", "quotes"),
    "key_given_twice": ('project = "a"\nproject = "b"', ":2: broken TOML: this key is there twice", "keep one"),
    "table_given_twice": (
        'project = "a"\n[services.redis]\n[test]\n[services.redis]\n',
        ":4: broken TOML: the table services.redis is there twice",
        "put the keys of both under one [services.redis]",
    ),
    "unknown_key": ('project = "shop"\nengin = "auto"', ":2: the configuration has no key 'engin'", "mean 'engine'?"),
    "unknown_key_in_service": (
        'project = "shop"\n[services.postgres]\nextension = ["vector"]',
        ":3: [services.postgres] has no key 'extension'",
        "did you mean 'extensions'?",
    ),
    "unknown_dotted_key": (
        'project = "shop"\n\nservices.postgres.tuning.memroy = 1',
        ":3: [services.postgres.tuning] has no key 'memroy'",
        "did you mean 'memory'?",
    ),
    "unknown_key_in_inline_table": (
        'project = "shop"\n[services.postgres]\nroles = { app = { "memry" = 1 } }',
        ":3: [services.postgres.roles.app] has no key 'memry'",
        "did you mean 'memory'?",
    ),
    "port_of_a_process": (
        'project = "shop"\n[dev.processes.api]\ncommand = "serve"\nport = 80000',
        ":4: dev.processes.api.port: 80000 is no port",
        "from 1 to 65535",
    ),
    "port_of_the_tests": (
        'project = "shop"\n[services.redis]\n[test]\nports = { redis = 65536 }',
        ":4: test.ports.redis: 65536 is no port",
        "1 to",
    ),
    "nothing_near": (
        'project = "shop"\nzzz = 1',
        ":2: the configuration has no key 'zzz'",
        "known here: clean, compose, ",
    ),
    "unknown_service": (
        'project = "shop"\n[services.postgre]',
        ":2: [services]: 'postgre' is no service",
        "'postgres'?",
    ),
    "unknown_external": ('project = "shop"\n[external]\npg = "x"', ":3: [external]: 'pg' is no service", "postgres"),
    "unknown_environment": (
        'project = "shop"\n[environments.prod]\nengine = "auto"',
        ":2: [environments] has no 'prod'",
        "did you mean 'production'?",
    ),
    "unknown_environment_of_variables": (
        'project = "shop"\n[variables.tset]\nA = "b"',
        ":2: [variables]: 'tset' is no environment",
        "did you mean 'test'?",
    ),
    "no_project": ('engine = "auto"', ":1: the configuration needs a 'project'", 'for example project = "shop"'),
    "no_command": (
        'project = "shop"\n[dev.processes.api]\nhealth = "/"',
        ":2: [dev.processes.api] needs a 'command'",
        "for example command = ",
    ),
    "project_name": ('project = "My Shop"', ":1: 'My Shop' cannot be a project's name", 'project = "my_shop"'),
    "wrong_choice": ('project = "shop"\nengine = "embeded"', ":2: engine cannot be 'embeded'", "mean 'embedded'?"),
    "number_for_text": (
        'project = "shop"\n[variables]\nPORT = 8000',
        ":3: variables.PORT must be text or a table of texts, not the number 8000",
        'write it in quotes: "8000"',
    ),
    "text_for_number": (
        'project = "shop"\n[services.postgres.tuning]\nmemory = "64"',
        ":3: services.postgres.tuning.memory must be a whole number, not the text '64'",
        "without quotes",
    ),
    "true_for_number": (
        'project = "shop"\n[services.postgres.tuning]\nmemory = true',
        ":3: services.postgres.tuning.memory must be a whole number, not true",
        "",
    ),
    "text_for_list": (
        'project = "shop"\n[services.s3]\nbuckets = "statements"',
        ":3: services.s3.buckets must be a list of texts, not the text 'statements'",
        "write it as a list",
    ),
    "wrong_item": (
        'project = "shop"\n[services.s3]\nbuckets = [\n  "a",\n  5,\n]',
        ":5: services.s3.buckets.1 must be text, not the number 5",
        'write it in quotes: "5"',
    ),
    "table_for_text": ("[project]\nname = 'shop'", ":1: project must be text, not a table", ""),
    "text_for_table": ('project = "shop"\ncompose = "x"', ":2: compose must be a table, not the text 'x'", ""),
    "text_for_service": ('project = "s"\nservices.s3 = "x"', ":2: services.s3 must be a table, not the text 'x'", ""),
    "list_for_services": ('project = "s"\nservices = ["s3"]', ":2: services must be a table", ""),
    "custom_form": (
        'project = "shop"\n[services.postgres]\nmigrate = 7',
        ":3: services.postgres.migrate: must be a command or a list of commands",
        "",
    ),
    "duration": ('project = "shop"\nidle = "10 minutes"', ":2: idle: '10 minutes' is not a duration", ""),
    "duration_without_unit": ('project = "shop"\nidle = 600', ":2: idle: 600 is not a duration such as", ""),
    "empty_duration": ('project = "shop"\nidle = ""', ":2: idle: '' is not a duration", ""),
    "unknown_placeholder": (
        'project = "shop"\n[services.postgres]\n[variables]\nX = "{postgres.ulr}"',
        ":4: X: unknown placeholder {postgres.ulr}",
        "did you mean 'postgres.url'?",
    ),
    "placeholder_of_a_service_that_is_not_used": (
        'project = "shop"\n[variables]\nX = "{postgres.url}"',
        ":3: X: unknown placeholder {postgres.url}",
        "known here:",
    ),
    "placeholder_per_environment": (
        'project = "shop"\n[variables.ci]\nX = "{namespce}"',
        ":3: X: unknown placeholder {namespce}",
        "did you mean 'namespace'?",
    ),
    "placeholder_in_a_command": (
        'project = "shop"\n[dev.processes.api]\ncommand = "serve {prot}"',
        ":3: command: unknown placeholder {prot}",
        "did you mean 'port'?",
    ),
    "placeholder_in_a_process": (
        'project = "shop"\n[dev.processes.api]\ncommand = "x"\nenv = { A = "{process.apy.url}" }',
        ":4: A: unknown placeholder {process.apy.url}",
        "did you mean 'process.api.url'?",
    ),
    "shell_variable": (
        'project = "s"\n[variables]\nX = "${HOME}/x"',
        ":3: X: unknown placeholder ${HOME}",
        "${{HOME}}",
    ),
    "driver_on_a_host": (
        'project = "shop"\n[services.postgres]\n[variables]\nX = "{postgres.host:x}"',
        ":4: X: {postgres.host:x} cannot take a driver",
        "only a url can",
    ),
    "single_brace": ('project = "s"\n[variables]\nX = "a}b"', ":3: X: a single }", "write }}"),
    "variable_name": (
        'project = "s"\n[variables]\nMY-X = "a"',
        ":3: 'MY-X' cannot be the name of a variable",
        "letters",
    ),
    "refused_by_its_own_type": (
        'project = "shop"\n[services.postgres]\nversion = "16"\nextensions = ["vector"]',
        ":2: vector needs version 17",
        "raise the version",
    ),
    "buckets_that_collide": (
        'project = "shop"\n[services.s3]\nbuckets = ["a"]\n[names]\ntest_bucket = "{bucket}-dev-{namespace}"',
        ":4: the name patterns do not keep the environments apart",
        "change the patterns",
    ),
    "names_that_collide": (
        'project = "shop"\n[names]\ntest_database = "{project}_dev_{namespace}"',
        ":2: the name patterns do not keep the environments apart",
        "change the patterns",
    ),
}


@pytest.mark.parametrize(("text", "message", "hint"), BAD.values(), ids=BAD.keys())
def test_bad_file_names_its_line_and_the_remedy(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert f"{tmp_path / 'envctl.toml'}{message}" in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_pyproject_errors_name_the_line_in_pyproject(tmp_path: Path) -> None:
    file = written(tmp_path, '[project]\nname = "x"\n[tool.envctl]\nproject = "x"\nidel = "0"', "pyproject.toml")
    with pytest.raises(ConfigError, match=r"pyproject\.toml:5: the configuration has no key 'idel'") as caught:
        config.load(file, KINDS, environ={})
    assert caught.value.hint == "did you mean 'idle'?"


def test_a_wrong_variable_is_named_instead_of_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^ENVCTL_ENGINE: engine cannot be 'dokcer'"):
        loaded(tmp_path, SHORT, environ={"ENVCTL_ENGINE": "dokcer"})
    with pytest.raises(ConfigError, match=r"^ENVCTL_SERVICES_POSTGRES_TUNING_MEMORY: .* must be a whole number"):
        loaded(tmp_path, SHORT, environ={"ENVCTL_SERVICES_POSTGRES_TUNING_MEMORY": "lots"})


def test_a_wrong_flag_is_named_instead_of_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^flag: engine cannot be 'composed'") as caught:
        loaded(tmp_path, SHORT, engine="composed")
    assert caught.value.hint == "did you mean 'compose'?"


def test_a_file_that_is_gone_or_unreadable_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"envctl\.toml cannot be read") as caught:
        config.load(tmp_path / "envctl.toml", KINDS, environ={})
    assert caught.value.cause == "No such file or directory"


def test_a_file_that_is_not_text_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "envctl.toml").write_bytes(b'project = "shop"\n# \xff\n')
    with pytest.raises(ConfigError, match=r"envctl\.toml:2: this is not UTF-8 text"):
        config.load(tmp_path / "envctl.toml", KINDS, environ={})


def test_a_broken_pyproject_is_ours_only_when_it_says_so(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    written(tmp_path, "[project\n", "pyproject.toml")
    with pytest.raises(ConfigError, match="no envctl"):
        project_file.find(tmp_path)
    file = written(tmp_path, "[tool.envctl]\nproject = \n", "pyproject.toml")
    assert project_file.find(tmp_path)[1] == file.resolve()
    with pytest.raises(ConfigError, match=r"pyproject\.toml:2: broken TOML"):
        config.load(file, KINDS, environ={})


def test_an_error_does_not_show_the_password_in_a_url(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, 'project = "shop"\nexternal = "postgres://u:pa55@h/d"')
    assert "pa55" not in caught.value.message + caught.value.hint


def test_an_error_about_a_secret_does_not_show_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"envctl\.toml:3: variables\.API_TOKEN must be text") as caught:
        loaded(tmp_path, 'project = "shop"\n[variables]\nAPI_TOKEN = 31337')
    assert "31337" not in caught.value.message + caught.value.hint
