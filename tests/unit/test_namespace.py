"""What a namespace is made from, and what is made from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from envctl import environments, namespace
from envctl.environments import DEFAULTS, Patterns
from envctl.errors import ConfigError, UsageError
from envctl.model import Environment, Namespace
from envctl.namespace import Names, Parsed

PROJECT = "finance_report"
BUCKETS = ["statements"]
FOLDER = Path("/work/finance-report")


@dataclass(frozen=True)
class Here:
    """A checkout as naming sees it."""

    root: Path = FOLDER
    branch: str = "feature-payments"


def resolve(checkout: Here | None = None, flag: str | None = None, **environ: str) -> Namespace:
    limit = namespace.limit(PROJECT, DEFAULTS, BUCKETS)
    return namespace.resolve(path=FOLDER, flag=flag, environ=environ, checkout=checkout, limit=limit)


def name(branch: str, workspace: str = "") -> str:
    return resolve(BRANCH_NAME=branch, WORKSPACE_ID=workspace).name


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"BRANCH_NAME": "feature-auth"}, "feature_auth"),
        ({"BRANCH_NAME": "feature-auth", "WORKSPACE_ID": "alice"}, "feature_auth_alice"),
        ({"BRANCH_NAME": "feature/auth-v2"}, "feature_auth_v2"),
        ({"BRANCH_NAME": "Feature_Auth"}, "feature_auth"),
        ({"BRANCH_NAME": "main", "WORKSPACE_ID": ""}, "main"),
        ({"BRANCH_NAME": "master"}, "master"),
        ({"BRANCH_NAME": "123-fix"}, "123_fix"),
    ],
)
def test_explicit_variables_keep_a_plain_form(environ: dict[str, str], expected: str) -> None:
    found = resolve(Here(), **environ)
    names = Names(PROJECT, found.name)
    assert (found.name, found.source, found.warning) == (expected, "BRANCH_NAME", "")
    assert names.database("test") == f"finance_report_test_{expected}"
    assert names.bucket("statements", "test") == f"statements-{expected.replace('_', '-')}"


def test_a_git_branch_carries_a_digest_of_folder_and_branch() -> None:
    found = resolve(Here())
    names = Names(PROJECT, found.name)
    assert re.fullmatch("feature_payments_[0-9a-f]{8}", found.name)
    assert (found.source, found.branch, found.workspace, found.warning) == ("git", "feature-payments", FOLDER, "")
    assert names.database("test") == f"finance_report_test_{found.name}"
    assert names.bucket("statements", "test").startswith("statements-feature-payments-")
    assert resolve(Here()).name == found.name
    assert resolve(Here(root=Path("/work/other"))).name != found.name
    assert resolve(Here(branch="feature/payments")).name != found.name


def test_without_git_and_variables_the_path_is_the_name_and_a_warning_says_so() -> None:
    found = resolve()
    assert re.fullmatch("default_[0-9a-f]{8}", found.name)
    assert (found.source, found.branch) == ("default", "")
    assert "BRANCH_NAME" in found.warning


def test_the_warning_carries_the_reason_that_git_gave() -> None:
    found = namespace.resolve(path=FOLDER, flag=None, environ={}, checkout=None, limit=25, reason="HEAD is broken")
    assert found.warning.startswith("HEAD is broken: ")


@pytest.mark.parametrize(
    ("flag", "environ", "expected"),
    [
        ("mine", {"BRANCH_NAME": "b", "CI": "1", "GITHUB_HEAD_REF": "h"}, ("mine", "flag")),
        ("", {"BRANCH_NAME": "b", "CI": "1", "GITHUB_HEAD_REF": "h"}, ("b", "BRANCH_NAME")),
        (None, {"CI": "true", "GITHUB_HEAD_REF": "fix/h", "GITHUB_REF_NAME": "12/merge"}, ("fix_h", "ci")),
        (None, {"GITHUB_ACTIONS": "true", "GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"}, ("main", "ci")),
        (None, {"CI": "1", "GITHUB_REF_NAME": "main", "WORKSPACE_ID": "job7"}, ("main_job7", "ci")),
    ],
)
def test_the_first_source_wins(flag: str | None, environ: dict[str, str], expected: tuple[str, str]) -> None:
    found = resolve(Here(), flag, **environ)
    assert (found.name, found.source) == expected


@pytest.mark.parametrize("ci", [{}, {"CI": "false"}, {"CI": "0"}, {"CI": ""}])
def test_github_variables_count_only_in_ci(ci: dict[str, str]) -> None:
    assert resolve(Here(), GITHUB_REF_NAME="main", **ci).source == "git"


@pytest.mark.parametrize("flag", ["feature_payments_beeba6ed", "default_0123abcd", "feature_auth"])
def test_the_flag_addresses_an_existing_namespace_verbatim(flag: str) -> None:
    found = resolve(Here(), flag)
    assert (found.name, found.warning, found.branch) == (flag, "", "feature-payments")


@pytest.mark.parametrize("flag", ["v1.2", "x_gw1", "dev_x", "a" * 41, "été", "feature\n"])
def test_a_flag_that_is_no_namespace_gets_a_digest_and_a_word_about_it(flag: str) -> None:
    found = resolve(None, flag)
    assert re.search("_[0-9a-f]{8}$", found.name)
    assert found.name in found.warning


@pytest.mark.parametrize(
    "branch",
    [
        *(
            "v1.2.3",
            "feature.auth",
            "日本語",
            "🚀",
            "a b",
            " a",
            "\n",
            "\u212a",  # the Kelvin sign, whose small letter is a plain k
            "\u0131",
            "-",
            "/",
            "--/-",
            "_",
            "-a",
            "a-",
            "a--b",
        ),
        *("a_gw1", "a-GW12", "gw0", "gw007", "a_master", "s3alias", "a_s3alias", "x" * 300, "feature/" + "y" * 30),
        *(
            "feature_payments_beeba6ed",
            "default_0123abcd",
            "default",
            "default/x",
            "dev",
            "dev/x",
            "%",
            "a'b\"c",
            "\udcff",
        ),
    ],
)
def test_what_cannot_be_kept_gets_a_digest(branch: str) -> None:
    if branch == "default":
        assert name(branch) == "default"
        return
    assert re.fullmatch("([a-z0-9]+_)+[0-9a-f]{8}", name(branch))
    assert name(branch) != name(branch + "x")


def test_lookalikes_differ() -> None:
    branches = [
        "v1.2.3",
        "v123",
        "v1_2_3",
        "v1 2 3",
        "1.2",
        "12",
        "🚀",
        "🛸",
        "-",
        "--",
        "/",
        "a_gw1",
        "a_gw_1",
        "été",
        "ete",
    ]
    assert len({name(branch) for branch in branches}) == len(branches)


def test_branch_and_workspace_do_not_run_into_each_other() -> None:
    assert name("a_b", "c") == "a_b_c"
    assert re.fullmatch("a_b_c_[0-9a-f]{8}", name("a", "b_c"))
    assert name("a", "b-c") != name("a", "b") != name("a", "c")


def test_an_own_name_cannot_be_that_of_a_git_branch_or_of_a_folder() -> None:
    for taken in (resolve(Here()).name, resolve().name):
        assert name(taken) != taken
        assert resolve(Here(branch=taken)).name != taken


@pytest.mark.parametrize(
    "branch", ["default", "default/x", "dev", "dev/x", "détaché", "🚀", "x" * 300, "a/" * 150, "a_gw1", ""]
)
def test_every_git_branch_has_a_name_that_keeps_its_place(branch: str) -> None:
    found = resolve(Here(branch=branch)).name
    assert re.fullmatch("([a-z0-9]+_)+[0-9a-f]{8}", found)
    assert found.split("_")[0] not in ("default", "dev")
    assert len(found) <= 25


def test_a_detached_head_keeps_its_name_from_commit_to_commit() -> None:
    assert re.fullmatch("detached_[0-9a-f]{8}", resolve(Here(branch="")).name)
    assert resolve(Here(branch="")).name != resolve(Here(branch="detached")).name


def test_buckets_that_begin_alike_reserve_the_word_that_would_mix_them() -> None:
    buckets = ["files", "files-old"]
    words = environments.reserved(DEFAULTS, "shop", buckets)
    assert words == {"dev", "old"}
    for branch in ("old", "old/x"):
        found = namespace.resolve(path=FOLDER, flag=branch, environ={}, checkout=None, limit=25, reserved=words).name
        assert found.startswith("branch_old_")
    made = Names("shop", "x").bucket("files-old", "test")
    assert namespace.parse_bucket("shop", DEFAULTS, "files", made, buckets=buckets) is None
    assert namespace.parse_bucket("shop", DEFAULTS, "files-old", made, buckets=buckets) == Parsed("test", "x")


def test_all_names_of_a_namespace() -> None:
    names = Names(PROJECT, "feature_auth_alice")
    assert names.as_json(BUCKETS) == {
        "dev_database": "finance_report_dev_feature_auth_alice",
        "test_database": "finance_report_test_feature_auth_alice",
        "worker_databases": [
            "finance_report_test_feature_auth_alice_gw0",
            "finance_report_test_feature_auth_alice_gw1",
        ],
        "buckets": {
            "statements": {"dev": "statements-dev-feature-auth-alice", "test": "statements-feature-auth-alice"}
        },
        "compose_project": "finance-report",
        "container_suffix": "-feature-auth-alice",
    }
    assert names.bucket("statements", "test", "gw0") == "statements-feature-auth-alice-gw0"
    assert names.identity("test", "gw0") == "finance_report_test_feature_auth_alice_gw0"


def test_the_primary_checkout_has_the_bare_names_in_dev_alone() -> None:
    names = Names(PROJECT, "main_01234567", primary=True)
    assert (names.database("dev"), names.bucket("statements", "dev")) == ("finance_report", "statements")
    assert names.database("test") == "finance_report_test_main_01234567"
    assert names.bucket("statements", "test") == "statements-main-01234567"
    assert names.identity("dev") == "finance_report_dev_main_01234567"


def test_the_job_the_pull_request_and_what_is_deployed() -> None:
    names = Names(PROJECT, "pr_123", pr=123)
    assert names.database("ci", "gw1") == "finance_report_test_gw1"
    assert (names.database("preview"), names.bucket("statements", "preview")) == (
        "finance_report_pr_123",
        "statements-pr-123",
    )
    assert names.bucket("statements", "staging") == "finance-report-statements-staging"
    assert names.container_suffix == "-pr-123"


def test_a_preview_without_its_number_is_an_error() -> None:
    with pytest.raises(UsageError, match="pull request"):
        Names(PROJECT, "x").database("preview")


@pytest.mark.parametrize("worker", ["master", "gw", "gw1000", "gw01", "gw1\n", "1", "gw-1"])
def test_a_stranger_worker_is_refused(worker: str) -> None:
    with pytest.raises(UsageError, match="not a worker"):
        Names(PROJECT, "x").database("test", worker)


@pytest.mark.parametrize(
    "foreign",
    [
        *("postgres", "template0", "template1", "", "finance_report", "finance_report_test", "finance_report_dev"),
        *("finance_report_test_", "finance_report_test_gw0", "finance_report_test_gw", "finance_report_testing_x"),
        *("finance_reportx_test_a", "xfinance_report_test_a", "Finance_Report_test_a", "finance_report_test_A"),
        *("finance_report_test_a ", "finance_report_test_a\n", "finance_report_test_a__q1", "finance_report_test__a"),
        *(
            "finance_report_test_a_",
            "finance_report_test_a_gw01",
            "finance_report_test_a_gw1000",
            "finance_report_test_é",
        ),
        *(
            "finance_report_test_a_gw1_gw2",
            "finance_report_test_a-b",
            "finance_report-test-a",
            "finance_report_staging",
        ),
        *("finance_report_production", "finance_report_test_dev_x", "finance_report_test_a_gw٣", "shop_test_a"),
        "finance_report_test_" + "a" * 41,
    ],
)
def test_foreign_databases_never_parse(foreign: str) -> None:
    assert namespace.parse_database(PROJECT, DEFAULTS, foreign) is None
    assert namespace.parse_bucket(PROJECT, DEFAULTS, "finance-report-test", foreign.replace("_test_", "_")) is None


@pytest.mark.parametrize(
    "foreign",
    [
        "statements",
        "statements-",
        "statements-gw0",
        "statements-a_b",
        "statements--a",
        "xstatements-a",
        "statements-dev",
    ],
)
def test_foreign_buckets_never_parse(foreign: str) -> None:
    assert namespace.parse_bucket(PROJECT, DEFAULTS, "statements", foreign) is None


@pytest.mark.parametrize(
    "foreign", ["finance_report", "finance_report_test", "finance_report_x_a", "postgres", "pg_read_all_data"]
)
def test_foreign_logins_never_parse(foreign: str) -> None:
    assert namespace.parse_identity(PROJECT, foreign) is None


def test_a_worker_is_parted_from_its_namespace() -> None:
    assert namespace.parse_database(PROJECT, DEFAULTS, "finance_report_test_a_gw") is None
    assert namespace.parse_database(PROJECT, DEFAULTS, "finance_report_test_a_gw1") == Parsed("test", "a", "gw1")


def test_the_limit_leaves_room_for_every_suffix() -> None:
    limit = namespace.limit(PROJECT, DEFAULTS, BUCKETS)
    longest = Names(PROJECT, "n" * limit).database("test", "gw999")
    assert len(longest) + namespace.PRIVATE_SUFFIX == 63
    short = Patterns({**DEFAULTS.database, "dev": "{project}_d_{namespace}", "test": "{project}_{namespace}"})
    assert namespace.limit("a", short, []) == namespace.LONGEST


@pytest.mark.parametrize(
    ("project", "buckets"), [("p" * 20, []), ("shop", ["b" * 21]), ("p" * 70, []), ("shop", ["b" * 70])]
)
def test_a_project_or_bucket_that_leaves_too_little_is_refused(project: str, buckets: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        namespace.limit(project, DEFAULTS, buckets)
    assert "shorten" in error.value.hint


def test_a_fixed_name_that_does_not_fit_is_refused() -> None:
    patterns = Patterns({**DEFAULTS.database, "production": "{project}_" + "x" * 53})
    with pytest.raises(ConfigError, match="production database is 1 characters too long"):
        namespace.limit("shop", patterns, [])


def test_naming_loads_nothing_heavy(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from envctl import git, namespace
from envctl.environments import DEFAULTS, Patterns
here = git.checkout(Path.cwd())
limit = namespace.limit("shop", DEFAULTS, ["files"])
name = namespace.resolve(path=Path.cwd(), flag=None, environ={}, checkout=here, limit=limit).name
namespace.Names("shop", name).as_json(["files"])
heavy = {"git", "subprocess", "asyncio", "typer", "rich", "psycopg", "redis", "minio", "docker", "platformdirs"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(namespace.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_environment_has_its_own_names() -> None:
    names = Names(PROJECT, "x", pr=1)
    every: list[Environment] = ["dev", "test", "ci", "preview", "staging", "production"]
    assert len({names.database(environment) for environment in every}) == 6
    assert len({names.bucket("statements", environment) for environment in every}) == 6
