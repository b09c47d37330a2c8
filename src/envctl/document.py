"""What `envctl.toml` may hold, as types: the parser, the JSON schema and the reference all read these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Any, Literal

from envctl.environments import SIX
from envctl.model import Environment
from envctl.settings import setting
from envctl.values import dataclass

EngineChoice = Literal["auto", "embedded", "compose", "external"]


class Duration(float):
    """Seconds, written as "10m", "90s", "1h30m", "7d" or "0"."""

    described = 'a duration such as "10m", "90s", "1h30m", "7d" or "0"'
    schema: Mapping[str, Any] = {"type": "string", "pattern": "^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?)$"}

    @classmethod
    def parse(cls, value: Any, where: str) -> Duration:
        """Read the written form; a number without a unit is only clear when it is 0."""
        written = value if isinstance(value, str) else ""
        found = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?|0", written)
        if not written or found is None:
            raise ValueError(f"{value!r} is not {cls.described}")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return cls(((days * 24 + hours) * 60 + minutes) * 60 + seconds)

    def __str__(self) -> str:
        minutes, seconds = divmod(int(self), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0"


@dataclass(frozen=True, slots=True)
class Process:
    """One process that `envctl dev run` starts."""

    command: str = setting("What to run; `{port}` is its port.", example='"uvicorn shop.main:app --port {port}"')
    health: str = setting("A path that answers 2xx once it is ready.", default="", example='"/health"')
    cwd: str = setting("The folder to run it in, seen from the project's root.", default=".")
    port: int = setting("A fixed port; 0 is this namespace's own, the same on every run.", default=0)
    env: Mapping[str, str] = setting("More variables, for this process only.", factory=dict, example='{ DEBUG = "1" }')


@dataclass(frozen=True, slots=True)
class Dev:
    """The `dev` environment."""

    processes: Mapping[str, Process] = setting("The application's own processes, by name.", factory=dict)


Workers = Literal["clone", "project", "serial"]
Isolation = Literal["database", "server"]


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite of tests; what it leaves out is as in `[test]`."""

    command: str = setting("What to run.", default="", example='"pytest tests/unit"')
    services: tuple[str, ...] | None = setting(
        "The services it needs; `[]` touches no server. All where it is left out.", example='["postgres"]'
    )
    processes: tuple[str, ...] = setting(
        "The processes of `[dev.processes]` that run beside it, ready before it starts.", default=(), example='["api"]'
    )
    workers: Workers | None = setting("As in `[test]`.", example='"serial"')
    isolation: Isolation | None = setting("As in `[test]`.", example='"server"')
    env: Mapping[str, str] = setting("More variables, for this suite only.", factory=dict, example='{ SLOW = "1" }')


@dataclass(frozen=True, slots=True)
class Test:
    """`envctl test`."""

    command: str = setting("What runs the tests.", default="pytest", example='"python -m pytest -n 4"')
    server: Literal["auto", "own", "shared"] = setting(
        "`own` is a throw-away server in memory beside the one of `dev`, `shared` is that one. `auto` is `own` with "
        "the engine embedded, else `shared`.",
        default="auto",
    )
    workers: Workers = setting(
        "`clone` gives each worker a migrated database and buckets of its own; with `project` the suite derives them "
        "from the base URL itself and envctl removes what it made; `serial` has no workers.",
        default="clone",
    )
    isolation: Isolation = setting(
        "`server` gives each run servers of its own, for suites with fixed database names or roles.",
        default="database",
    )
    ports: Mapping[str, int] = setting(
        'Fixed ports for throw-away servers of the tests, by service; of two runs with `isolation = "server"` at the '
        "same time the second is refused.",
        factory=dict,
        example="{ s3 = 9000 }",
    )
    worker_variable: str = setting(
        "The variable that tells a worker which one it is.", default="PYTEST_XDIST_WORKER", example='"JEST_WORKER_ID"'
    )
    connections: int = setting("How many connections a worker may have open at once.", default=5)
    locks: int | None = setting(
        "How many tables and indexes a worker may lock at once; all that there are where it is left out.", example="100"
    )
    template_space: int = setting(
        "How many megabytes templates and the copies made of them ahead may take; beyond that the least used go.",
        default=2048,
    )
    keep_failed: bool = setting("Keep the databases of workers with failed tests until the next run.", default=False)
    strict: bool = setting("Whether a green run that never used its database counts as failed.", default=False)
    audit: bool = setting(
        "Look before and after each run, and fail one whose tests are green but left something outside of their "
        "sandbox.",
        default=False,
    )
    audit_paths: tuple[str, ...] = setting(
        "More folders to look at, in which nobody but the tests makes anything: whatever is new there is theirs.",
        default=(),
        example='["/srv/uploads"]',
    )
    audit_allow: tuple[str, ...] = setting(
        "What the tests may leave: names, or paths, with `*`.", default=(), example='["~/.cache/models/*"]'
    )
    wrong_tree: Literal["refuse", "allow"] = setting(
        "What to do when the code under test is not this checkout's.", default="refuse"
    )
    suites: Mapping[str, Suite] = setting("Suites by name: `envctl test NAME`.", factory=dict)


@dataclass(frozen=True, slots=True)
class Compose:
    """How the engine `compose` finds and runs the project's containers."""

    file: str = setting(
        "The compose file; empty looks for compose.yaml and its usual other names.",
        default="",
        example='"compose.yaml"',
    )
    runtime: str = setting(
        "The command to use; empty takes the first that answers of docker compose, podman compose, "
        "podman-compose and docker-compose.",
        default="",
        example='"podman compose"',
    )
    project: str = setting("The compose project that all checkouts share; empty is the project's own name.", default="")
    services: Mapping[str, str] = setting(
        "Which compose service is which of ours, where the names or images do not tell.",
        factory=dict,
        example='{ postgres = "db" }',
    )
    profiles: tuple[str, ...] = setting("Compose profiles to switch on.", default=(), example='["dev"]')


@dataclass(frozen=True, slots=True)
class Target:
    """A place that the project is deployed to."""

    context: str = setting(
        "The docker context that reaches it, as `docker context ls` has it.", example='"shop-staging"'
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """The `preview` environment, as far as `envctl leaks` looks at it."""

    images: tuple[str, ...] = setting(
        "The repositories that its images are pushed to, with the registry's name; their tags are `pr-123`.",
        default=(),
        example='["ghcr.io/acme/shop"]',
    )
    registry_variable: str = setting(
        "The variable with `user:token` for that registry; empty asks as nobody.", default="", example='"REGISTRY_AUTH"'
    )
    pulls: str = setting(
        "The URL that lists the repository's pull requests.",
        default="",
        example='"https://api.github.com/repos/acme/shop/pulls"',
    )
    pulls_variable: str = setting("The variable with a token for that URL.", default="GITHUB_TOKEN")


@dataclass(frozen=True, slots=True)
class Clean:
    """`envctl clean`."""

    quarantine: Duration = setting(
        "How long what a gone branch or worktree had can be restored, before it is dropped.",
        default=Duration(7 * 86_400),
    )


@dataclass(frozen=True, slots=True)
class Leaks:
    """`envctl leaks`."""

    notify: str = setting(
        "What a scheduled audit runs when it finds leaks, with the summary on its standard input.",
        default="",
        example='"mail -s leaks ops@example.org"',
    )
    timeout: Duration = setting("How long a target, the registry or GitHub may take to answer.", default=Duration(20))


@dataclass(frozen=True, slots=True)
class Override:
    """What one environment does differently."""

    engine: EngineChoice | None = setting("Its engine.", example='"external"')
    idle: Duration | None = setting("How long its servers stay up when nobody uses them.", example='"0"')


Names = make_dataclass(
    "Names",
    [
        (f"{one.name}_{kind}", str, setting(f"How `{one.name}` calls a {kind}.", default=getattr(one, kind)))
        for kind in ("database", "bucket")
        for one in SIX.values()
    ],
    frozen=True,
)
"""The name patterns, a key for each environment and kind: `dev_database`, `dev_bucket`, `test_database` …"""


@dataclass(frozen=True, slots=True)
class Document:
    """Everything there is."""

    project: str = setting("The project's name: small letters, digits, `_` and `-`, a letter first.", example='"shop"')
    engine: EngineChoice = setting(
        "Who runs the servers. `auto` is `compose` where the project has a compose file and a daemon answers, "
        "else `embedded`; in `ci` the default is `external`.",
        default="auto",
    )
    idle: Duration = setting(
        "How long servers stay up after their last user; `0` stops them at once.", default=Duration(600)
    )
    default_branch: str = setting("The branch that gets the plain names; empty asks git.", default="", example='"main"')
    services: Mapping[str, Any] = setting("The servers this project uses, a table each.", factory=dict)
    names: Names = setting("Patterns that resources are named by.", factory=Names)  # type: ignore[valid-type]
    dev: Dev = setting("The `dev` environment.", factory=Dev)
    test: Test = setting("`envctl test`.", factory=Test)
    compose: Compose = setting("The engine `compose`.", factory=Compose)
    targets: Mapping[str, Target] = setting("The places that the project is deployed to, a table each.", factory=dict)
    preview: Preview = setting("The `preview` environment.", factory=Preview)
    clean: Clean = setting("`envctl clean`.", factory=Clean)
    leaks: Leaks = setting("`envctl leaks`.", factory=Leaks)
    external: Mapping[str, str] = setting(
        "URLs of servers that somebody else runs, by service; `ENVCTL_POSTGRES_URL` and so on go before them.",
        factory=dict,
        example='{ redis = "redis://cache:6379" }',
    )
    variables: Mapping[str, str | Mapping[str, str]] = setting(
        "The environment variables the application reads. A table per environment adds to them or overrides them.",
        factory=dict,
        example='{ DATABASE_URL = "{postgres.url}" }',
    )
    environments: Mapping[Environment, Override] = setting("What an environment does differently.", factory=dict)
