"""The doctor's checks of the project and its neighbours, one function each."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from itertools import islice
from typing import Any

from envctl import migrations, shell, state, workspaces
from envctl.doctor.findings import Check, Finding, Patient, from_error
from envctl.doctor.variables import unheard
from envctl.document import Compose
from envctl.errors import EnvctlError
from envctl.migrations import commands
from envctl.model import Command
from envctl.project import Project

ANSWER = 4.0
BUILTIN = frozenset({"cd", "exec", "export", "set", "test", "[", ".", ":", "if", "for", "while", "(", "{", "eval", "!"})
"""What the shell itself knows; looking for a program of that name proves nothing."""
SHOWN = 5


def configuration(patient: Patient) -> Iterator[Finding]:
    """The project file can be read, and the checkout has a name."""
    project, trouble = patient.project, patient.trouble
    if project is not None:
        name = project.namespace
        yield Finding("project", "ok", f"{project.config.project} ({project.config.file})")
        yield Finding("namespace", "warning" if name.warning else "ok", name.warning or f"{name.name} ({name.source})")
    elif trouble is not None:
        yield from_error("project", trouble, "warning" if trouble.code == "no_config" else "problem")


def variables(patient: Patient) -> Iterator[Finding]:
    """No variable of this session is mistyped."""
    found = unheard(patient.project.config, patient.environ) if patient.project else {}
    for variable, meant in found.items():
        yield Finding("variables", "warning", f"{variable} sets nothing", meant)


def containers_engine(patient: Patient) -> Iterator[Finding]:
    """A container engine answers, where one is asked for."""
    from envctl import compose_file, containers, runtimes

    project = patient.project
    options = project.config.compose if project else Compose()
    file = compose_file.project_file(options, project.root) if project else None
    engine = project.config.engine if project else "auto"
    try:
        found = runtimes.detect(patient.environ, options.runtime)
    except EnvctlError as error:
        if engine == "compose":
            yield from_error("containers", error)
        elif engine == "auto" and file is not None:
            yield from_error("containers", error, "warning")
        else:
            yield Finding("containers", "ok", f"{error.message}; none is needed here")
        return
    yield Finding("containers", "ok", f"{found.name} answers")
    if project is not None and file is not None:
        stack = containers.Stack(
            found, project.config.project, compose_file.with_override(file), project.root, options.profiles
        )
        there = compose_file.declared(stack)
        yield Finding("compose file", "ok", f"{file.name} declares {', '.join(there)}")


def hooks(patient: Patient) -> Iterator[Finding]:
    """Who has the git hooks of this checkout."""
    if shell.which("git") is None:
        return
    asked = ("git", "-C", str(patient.directory), "config", "--show-origin", "--get", "core.hooksPath")
    origin, _, path = shell.run(Command(asked), check=False, seconds=ANSWER).out.strip().partition("\t")
    if not path:
        return
    tool = next((tool for tool in ("husky", "lefthook", "pre-commit") if tool in path), "")
    yield Finding(
        "git hooks",
        "ok",
        f"core.hooksPath is {path}{f' ({tool})' if tool else ''}, set in {origin.removeprefix('file:')}: "
        "hooks in .git/hooks do not run",
    )


def migrate_commands(patient: Patient) -> Iterator[Finding]:
    """The programs that migrate are there, and what they read is watched."""
    if patient.project is None:
        return
    for service, settings in patient.project.config.services.items():
        steps = getattr(settings, "migrate", None) or ()
        for step in steps:
            yield from _command(patient.project, service, step)
        if steps:
            yield from _watched(patient.project, service, settings)


def process_commands(patient: Patient) -> Iterator[Finding]:
    """The programs of the application's processes are there."""
    if patient.project is None:
        return
    for name, process in patient.project.config.dev.processes.items():
        missing = _missing(patient.project, process.command, process.cwd)
        if missing:
            yield Finding(f"process {name}", "warning", f"no program {missing}: {process.command}", _INSTALL)
        else:
            yield Finding(f"process {name}", "ok", process.command)


def collisions(patient: Patient) -> Iterator[Finding]:
    """No other checkout that is still there has this namespace."""
    if patient.project is None:
        return
    mine = patient.project.namespace
    other = workspaces.find(patient.project.config.project, mine.name)
    if other is not None and other.live and other.path != mine.workspace:
        yield Finding(
            "namespace",
            "problem",
            f"{mine.name} belongs to {other.path}",
            "give this checkout its own: set WORKSPACE_ID, or pass --namespace",
        )


def leftovers(patient: Patient) -> Iterator[Finding]:
    """State of checkouts that are gone, or that nobody can read."""
    folder = state.root() / "projects"
    projects = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    known = [(name, one) for name in projects for one in workspaces.workspaces(name)]
    for _, one in known:
        if isinstance(one, workspaces.Unread):
            said = f"the registration of a checkout cannot be read: {one.path}"
            yield Finding("leftovers", "problem", said, "correct it; as long as it is there, what may be its own stays")
    gone = [f"{name}/{one.namespace}" for name, one in known if not one.live]
    if gone:
        more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
        yield Finding(
            "leftovers",
            "warning",
            f"checkouts that are gone, and may have resources still or in quarantine: {', '.join(gone[:SHOWN])}{more}",
            "see what of it can go: envctl clean --dry-run",
        )
    else:
        yield Finding("leftovers", "ok", "no checkout on record is gone")


CHECKS: tuple[Check, ...] = (
    containers_engine,
    hooks,
    configuration,
    variables,
    migrate_commands,
    process_commands,
    collisions,
    leftovers,
)
_INSTALL = "install it into the project's .venv, or activate the environment that has it"


def _command(project: Project, service: str, step: migrations.Step) -> Iterator[Finding]:
    check = f"{service} migrate"
    if not (project.root / step.cwd).is_dir():
        yield Finding(check, "problem", f"there is no folder {project.root / step.cwd}", "correct cwd in envctl.toml")
    elif step.run and (missing := _missing(project, step.run, step.cwd)):
        yield Finding(check, "problem", f"no program {missing}: {step.run}", _INSTALL)
    elif step.run:
        yield Finding(check, "ok", step.run)
    for pattern in step.sql:
        if not _matches(project, pattern):
            yield Finding(check, "problem", f"no file matches {pattern!r}", "correct sql in envctl.toml")


def _watched(project: Project, service: str, settings: Any) -> Iterator[Finding]:
    check, watch = f"{service} watch", getattr(settings, "watch", ())
    for pattern in watch:
        if not _matches(project, pattern):
            yield Finding(check, "problem", f"no file matches {pattern!r}", "correct watch in envctl.toml")
    if not watch and any(step.run for step in settings.migrate):
        yield Finding(
            check,
            "warning",
            "nothing is watched, so that migrations run every time",
            'name what they are made of: watch = ["migrations/**"]',
        )


def _missing(project: Project, text: str, cwd: str) -> str:
    """The program that a command starts with, if it is nowhere to be found."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    word = next((word for word in words if "=" not in word), "")
    if not word or word in BUILTIN or any(sign in word for sign in "$`(){};|&<>"):
        return ""
    if "/" in word:
        return "" if os.access(project.root / cwd / word, os.X_OK) else word
    path = commands.search_path(project.root, os.environ.get("PATH", ""))
    return "" if shutil.which(word, path=path) else word


def _matches(project: Project, pattern: str) -> bool:
    return any(islice(migrations.matches(project.root, pattern), 1))
