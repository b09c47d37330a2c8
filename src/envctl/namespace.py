"""Branch and workspace become a namespace; a namespace becomes every name; every name is parsed back. Pure.

A namespace is words of `a-z0-9` with single underscores between them. A double underscore is never part of one, so
names with envctl's own private suffixes (`…__…`) never parse; but for the slot's (`…__s2`), which is part of the
grammar. Buckets are the same words with `-` between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from envctl import environments
from envctl.environments import DEFAULTS, PRIMARY, Kind, Patterns, Shape
from envctl.errors import ConfigError, UsageError
from envctl.model import Environment, Namespace
from envctl.spelling import NAMESPACE, Rules, folded
from envctl.values import dataclass

LONGEST = 40
SHORTEST = 20
"""A limit below this leaves too little of a branch to be recognised beside its digest."""
SERVICE_LIMIT = 63
"""PostgreSQL's bytes and S3's characters, which for our alphabet are the same."""
WORKER_SUFFIX = len("_gw999")
PRIVATE_SUFFIX = 12
"""What other modules may append while they build a resource or keep it in quarantine; `__s99` has room in it."""
SUFFIXES = WORKER_SUFFIX + PRIVATE_SUFFIX
RESERVED = environments.reserved(DEFAULTS, "", ())

_WORKER = "gw(?:0|[1-9][0-9]{0,2})"
_SLOT = "(?:[2-9]|[1-9][0-9])"


class Checkout(Protocol):
    """What is asked of a checkout here; `git.Checkout` has it."""

    @property
    def root(self) -> Path: ...
    @property
    def branch(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a name says about itself. Whose it is, the owner record says."""

    environment: Environment
    namespace: str
    worker: str = ""
    slot: int = 1


def resolve(
    *,
    path: Path,
    flag: str | None,
    environ: Mapping[str, str],
    checkout: Checkout | None,
    limit: int,
    reserved: frozenset[str] = RESERVED,
    reason: str = "",
) -> Namespace:
    """The namespace of the project folder `path` (absolute, no symlinks), from the first source that has one.

    `reason` says why there is no checkout, for the warning.
    """
    rules = Rules(limit, reserved)
    workspace = checkout.root if checkout else path
    branch = checkout.branch if checkout else ""
    if flag:
        name = flag if rules.allow(flag) else rules.explicit(flag, "")  # verbatim, so that one can be addressed
        return Namespace(name, "flag", branch, workspace, _changed(flag, name))
    suffix = environ.get("WORKSPACE_ID", "")
    if given := environ.get("BRANCH_NAME", ""):
        return Namespace(rules.explicit(given, suffix), "BRANCH_NAME", given, workspace)
    if given := _ci_branch(environ):
        return Namespace(rules.explicit(given, suffix), "ci", given, workspace)
    if checkout:
        name = rules.digested(branch or "detached", "git", str(workspace), branch)
        return Namespace(name, "git", branch, workspace)
    name = rules.digested("default", "default", str(path), default=True)
    return Namespace(name, "default", "", path, _default_warning(reason))


def _changed(flag: str, name: str) -> str:
    return "" if folded(flag) == name else f"the namespace {flag!r} cannot be kept as it is and became {name}"


def _ci_branch(environ: Mapping[str, str]) -> str:
    """The branch that a GitHub job is for; a pull request's own branch before its merge ref."""
    return (environ.get("GITHUB_HEAD_REF") or environ.get("GITHUB_REF_NAME") or "") if in_ci(environ) else ""


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a job of some CI."""
    return any(environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "GITHUB_ACTIONS"))


def _default_warning(reason: str) -> str:
    why = reason or "there is no git checkout here and BRANCH_NAME is not set"
    return f"{why}: the namespace comes from the folder's path alone; set BRANCH_NAME or --namespace to choose one"


@dataclass(frozen=True, slots=True)
class Names:
    """Every name of one namespace. `primary` says that this checkout claimed the bare names for its `dev`.

    A namespace that runs its tests twice at the same time has a second `slot`, whose names have `__s2` behind them.
    """

    project: str
    namespace: str
    patterns: Patterns = DEFAULTS
    primary: bool = False
    pr: int | None = None
    slot: int = 1

    @property
    def sandbox(self) -> str:
        """The namespace as everything that runs in it knows it: a second slot is another one."""
        return self.namespace + _slot_suffix(self.slot)

    def database(self, environment: Environment, worker: str = "") -> str:
        return self._name("database", environment, "", worker)

    def bucket(self, logical: str, environment: Environment, worker: str = "") -> str:
        return self._name("bucket", environment, logical, worker).replace("_", "-")

    def identity(self, environment: Environment, worker: str = "") -> str:
        """The login role, redis user or S3 user that goes with the resources."""
        return f"{_identity(self.project, environment)}{self.sandbox}{_suffix(worker)}"

    @property
    def compose_project(self) -> str:
        """One for all checkouts: they share its servers."""
        return self.project.replace("_", "-")

    @property
    def container_suffix(self) -> str:
        """What a container of this namespace alone has behind its name."""
        return f"-pr-{self.pr}" if self.pr is not None else f"-{self.namespace.replace('_', '-')}"

    def as_json(self, buckets: Iterable[str]) -> dict[str, Any]:
        """The names as `envctl ns --json` shows them."""
        return {
            "dev_database": self.database("dev"),
            "test_database": self.database("test"),
            "worker_databases": [self.database("test", worker) for worker in ("gw0", "gw1")],
            "buckets": {name: {"dev": self.bucket(name, "dev"), "test": self.bucket(name, "test")} for name in buckets},
            "compose_project": self.compose_project,
            "container_suffix": self.container_suffix,
        }

    def _name(self, kind: Kind, environment: Environment, logical: str, worker: str) -> str:
        bare = self.primary and environment == "dev"
        pattern = PRIMARY[kind] if bare else getattr(self.patterns, kind)[environment]
        if "{pr}" in pattern and self.pr is None:
            raise UsageError(f"a {environment} {kind} is named by its pull request", hint="give the number: --pr 123")
        values = {"project": self.project, "bucket": logical, "namespace": self.namespace, "pr": str(self.pr)}
        return environments.fill(pattern, **values).replace("-", "_") + _slot_suffix(self.slot) + _suffix(worker)


def limit(project: str, patterns: Patterns, buckets: Iterable[str]) -> int:
    """How long a namespace may be so that every name, with every suffix, fits; never is a name cut later."""
    # Slots are of `test` and `ci` alone, whose names are shorter than `production` by more than `__s99`.
    room = {f"the project {project!r}": SERVICE_LIMIT - len(_identity(project, "production")) - WORKER_SUFFIX}
    for shape in environments.shapes(patterns, project, buckets):
        taken = len(shape.before) + len(shape.after)
        if shape.fixed:
            _fits(shape, taken)
        else:
            room[f"the {shape}"] = SERVICE_LIMIT - taken - SUFFIXES
    tightest = min(room, key=lambda name: room[name])
    if room[tightest] < SHORTEST:
        raise ConfigError(
            f"{tightest} leaves {max(room[tightest], 0)} characters for the namespace, {SHORTEST} are needed",
            cause=f"a name has at most {SERVICE_LIMIT}, and {SUFFIXES} are kept for suffixes",
            hint=f"shorten the name of the project or bucket by {SHORTEST - room[tightest]} characters",
        )
    return min(LONGEST, room[tightest])


def _fits(shape: Shape, taken: int) -> None:
    longest = taken + (len("9999999") - len("{pr}") if "{pr}" in shape.text else 0) + WORKER_SUFFIX
    if longest > SERVICE_LIMIT:
        raise ConfigError(
            f"the name of the {shape} is {longest - SERVICE_LIMIT} characters too long: {shape.text}",
            hint="shorten the name of the project or bucket, or its pattern",
        )


def parse_database(project: str, patterns: Patterns, name: str) -> Parsed | None:
    """Whose database that would be, or None for any name that is not surely made by a pattern with a namespace.

    So the bare `{project}` and `{project}_test` never parse. Where another project's name begins with ours and a
    pattern's word (`shop` and `shop_test`), names alone cannot tell: the owner record decides.
    """
    return _parse(project, patterns, "database", "", name, environments.reserved(patterns, project, ()))


def parse_bucket(
    project: str, patterns: Patterns, logical: str, name: str, *, buckets: Iterable[str] = ()
) -> Parsed | None:
    """The same for a bucket. `buckets` are all the project's, so that `files-old-x` is not taken for one of `files`."""
    if "_" in name:
        return None
    words = environments.reserved(patterns, project, {*buckets, logical})
    return _parse(project, patterns, "bucket", logical, name.replace("-", "_"), words)


def parse_identity(project: str, name: str) -> Parsed | None:
    """The same for a login role or user."""
    shapes = (Shape(environment, "database", "", _identity(project, environment)) for environment in environments.SIX)
    return _first(shapes, name, frozenset())


def _parse(
    project: str, patterns: Patterns, kind: Kind, logical: str, name: str, reserved: frozenset[str]
) -> Parsed | None:
    shapes = (environments.shape(patterns, project, environment, kind, logical) for environment in environments.SIX)
    return _first((shape for shape in shapes if not shape.fixed), name, reserved)


def _first(shapes: Iterable[Shape], name: str, reserved: frozenset[str]) -> Parsed | None:
    rules = Rules(LONGEST, reserved)
    for shape in shapes:
        pattern = f"{re.escape(shape.before)}({NAMESPACE}?){re.escape(shape.after)}(?:__s({_SLOT}))?(?:_({_WORKER}))?"
        found = re.fullmatch(pattern, name)
        if found and rules.allow(found[1]):
            return Parsed(shape.environment, found[1], found[3] or "", int(found[2] or 1))
    return None


def _identity(project: str, environment: Environment) -> str:
    return f"{project.replace('-', '_')}_{environment}_"


def _slot_suffix(slot: int) -> str:
    return f"__s{slot}" if slot > 1 else ""


def _suffix(worker: str) -> str:
    if worker and not re.fullmatch(_WORKER, worker):
        raise UsageError(f"{worker!r} is not a worker", hint="workers are gw0 to gw999, as pytest-xdist calls them")
    return f"_{worker}" if worker else ""
