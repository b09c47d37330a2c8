"""Placeholders are filled in exactly, and every output format gives back the same values in the real program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl import variables
from envctl.errors import ConfigError, EnvctlError

VALUES = {
    "postgres.url": "postgresql://shop:p%40ss@127.0.0.1:5432/shop_dev?sslmode=disable",
    "postgres.host": "127.0.0.1",
    "s3.bucket.statements": "statements-dev-x",
    "process.api.url": "http://127.0.0.1:8001",
    "namespace": "feature_x",
    "project": "shop",
    "environment": "dev",
    "branch": "feature/x",
    "workspace": "/home/a b/shop",
}
NASTY = {
    "PLAIN": "postgresql://u:p@h:5432/d",
    "SPACES": "  two  words ",
    "QUOTES": """it's "quoted" `here` """,
    "DOLLAR": "$HOME ${HOME} $(id) $$ \\$x",
    "BACK": "a\\b\\\\c\\n \\'",
    "PERCENT": "100% %s %20 !! !$",
    "LINES": '-----BEGIN-----\n it\'s\n\n$line "3"\\\n-----END-----',
    "EMPTY": "",
    "HASH": "a # b",
    "TILDE": "~/x",
    "EQUALS": "a=b",
    "UNICODE": "žluťoučký 🐎",
    "TAB": "a\tb",
    "HEREDOC": "x<<EOF\nEOF\nX=1",
}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{postgres.url}", VALUES["postgres.url"]),
        ("{postgres.url:postgresql+asyncpg}", "postgresql+asyncpg" + VALUES["postgres.url"].removeprefix("postgresql")),
        ("{process.api.url:ws}/socket", "ws://127.0.0.1:8001/socket"),
        ("{s3.bucket.statements}", "statements-dev-x"),
        ("{project}-{environment}-{namespace}", "shop-dev-feature_x"),
        ("{branch} in {workspace}", "feature/x in /home/a b/shop"),
        ('{{"host": "{postgres.host}"}}', '{"host": "127.0.0.1"}'),
        ("{{project}}", "{project}"),
        ("{{{project}}}", "{shop}"),
        ("no placeholder, $HOME and 100%", "no placeholder, $HOME and 100%"),
        ("", ""),
    ],
)
def test_placeholders_are_filled_in(text: str, rendered: str) -> None:
    variables.check({"X": text}, VALUES)
    assert variables.render({"X": text}, VALUES) == {"X": rendered}


def test_a_value_that_looks_like_a_placeholder_is_not_filled_in_again() -> None:
    assert variables.render({"X": "{branch}"}, {"branch": "{project}", "project": "shop"}) == {"X": "{project}"}


@given(st.text())
def test_any_text_survives_with_its_braces_doubled(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    variables.check({"X": doubled}, ())
    assert variables.render({"X": doubled}, {}) == {"X": text}


@given(st.text(alphabet="{}:ab. $", max_size=12))
def test_what_the_check_lets_pass_can_be_rendered(text: str) -> None:
    values = {"a": "1", "b.url": "x://y"}
    try:
        variables.check({"X": text}, values)
    except ConfigError:
        return
    rendered = variables.render({"X": text}, values)["X"]
    assert rendered.count("{") <= text.count("{{")


def test_a_value_that_the_sandbox_lacks_is_named() -> None:
    with pytest.raises(EnvctlError, match=r"URL asks for \{process\.api\.ulr\}") as caught:
        variables.render({"URL": "{process.api.ulr}"}, VALUES)
    assert caught.value.hint == "did you mean 'process.api.url'?"


def test_an_error_shows_the_place_it_is_given() -> None:
    with pytest.raises(ConfigError, match=r"^envctl\.toml:7: B: unknown placeholder \{x\}"):
        variables.check(
            {"A": "{project}", "B": "{x}"}, VALUES, {"A": "envctl.toml:6", "B": "envctl.toml:7"}.__getitem__
        )


def test_everything_a_project_has_is_known() -> None:
    known = variables.known({"postgres": ("url", "host")}, ["api"])
    assert {"postgres.url", "process.api.port", "process.api.url", "namespace", "workspace"} <= set(known)
    assert "redis.url" not in known


def test_defaults_are_the_services_own_and_the_standard_ones() -> None:
    found = variables.defaults({"postgres": {"DATABASE_URL": "{postgres.url}"}, "redis": {"REDIS_URL": "{redis.url}"}})
    assert found["DATABASE_URL"] == "{postgres.url}"
    assert found["REDIS_URL"] == "{redis.url}"
    rendered = variables.render(found, {**VALUES, "redis.url": "redis://h"})
    assert rendered["OTEL_RESOURCE_ATTRIBUTES"] == "deployment.environment=dev,service.namespace=shop"
    assert rendered["TEST_NAMESPACE"] == rendered["ENVCTL_SANDBOX"] == "feature_x"
    assert rendered["ENVCTL_ENVIRONMENT"] == "dev"
    assert not {"ENVCTL_PROJECT", "ENVCTL_NAMESPACE"} & set(rendered), "a shell that leaves the checkout must leave it"


def shell_sees(argv: list[str], expected: Mapping[str, str]) -> dict[str, str]:
    """The variables that a child of this shell has."""
    clean = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    done = subprocess.run(argv, capture_output=True, check=True, env=clean)
    seen = json.loads(done.stdout)
    return {name: seen[name] for name in expected if name in seen}


DUMP = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh"])
def test_eval_in_a_shell_gives_the_same_values(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    text = tmp_path / "env"
    text.write_text(variables.formatted(NASTY, "sh"))
    assert shell_sees([shell, "-c", f'eval "$(cat {text})"; {DUMP}'], NASTY) == NASTY


def test_eval_in_fish_gives_the_same_values(tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    text = tmp_path / "env"
    text.write_text(variables.formatted(NASTY, "fish"))
    script = f"eval (cat {text} | string collect); {DUMP}"
    assert shell_sees(["fish", "--no-config", "-c", script], NASTY) == NASTY


def test_fish_is_quoted_as_fish_reads_it() -> None:
    assert variables.formatted({"A": "it's \\ $x"}, "fish") == "set -gx A 'it\\'s \\\\ $x';\n"


def test_a_dotenv_file_gives_the_same_values(tmp_path: Path) -> None:
    file = tmp_path / "dotenv"
    file.write_text(variables.formatted(NASTY, "dotenv"))
    assert shell_sees(["sh", "-c", f"set -a; . {file}; {DUMP}"], NASTY) == NASTY


def test_json_gives_the_same_values() -> None:
    assert json.loads(variables.formatted(NASTY, "json")) == NASTY


def test_a_github_file_gives_the_same_values() -> None:
    assert as_github_reads(variables.formatted(NASTY, "github")) == NASTY


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), st.text(st.characters(exclude_characters="\r"))))
def test_no_value_can_break_out_of_a_github_file(values: dict[str, str]) -> None:
    assert as_github_reads(variables.formatted(values, "github")) == values


def as_github_reads(text: str) -> dict[str, str]:
    """`NAME=value` lines and `NAME<<MARK` blocks, whichever sign comes first in a line."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        name, sign, rest = line.partition("=")
        if "<<" in name:
            name, _, mark = line.partition("<<")
            block: list[str] = []
            while (inner := next(lines)) != mark:
                block.append(inner)
            found[name] = "\n".join(block)
        elif sign:
            found[name] = rest
    return found


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no format 'dotnev'") as caught:
        variables.formatted({}, "dotnev")
    assert caught.value.hint == "did you mean 'dotenv'?"
