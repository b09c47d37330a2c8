"""Commands as a person types them in `envctl.toml`, run by the shell with a sandbox's variables."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from envctl.errors import EnvctlError
from envctl.keeper import keeping
from envctl.keeper.keeping import Kept
from envctl.libpq import REDIRECTING
from envctl.masking import MASK, masked, spellings
from envctl.migrations import excerpt
from envctl.model import Command, Talk

LONGEST = 8192
"""How many letters of a line are shown."""
KEPT = 1000
"""How many of its last lines are looked at when a command has failed."""


def run(
    text: str, *, cwd: Path, root: Path, variables: Mapping[str, str], talk: Talk, hide: Iterable[str] = ()
) -> None:
    """Run to the end, each line to `talk`; a failure shows what says why, without passwords."""
    path = search_path(root, variables.get("PATH", os.environ.get("PATH", "")))
    without = tuple(name for name in REDIRECTING if name not in variables)
    command = Command(("/bin/sh", "-c", text), {**variables, "PATH": path}, cwd, without=without)
    secrets = spellings((*_secrets(variables), *hide))
    lines: deque[str] = deque(maxlen=KEPT)
    count = 0

    def heard(line: str) -> None:
        nonlocal count
        hidden = _cut(masked(line, spelled=secrets))
        talk(hidden)
        if hidden.strip():
            lines.append(hidden)
            count += 1

    code = _run(command, heard)
    if code != 0:
        raise EnvctlError(
            f"`{_cut(masked(text, spelled=secrets))}` {_ended(code)}",
            cause=excerpt.excerpt(tuple(lines), count - len(lines)) or "it printed nothing",
            hint=_hint(code, lost=excerpt.lost(lines)),
            code="migration",
        )


def search_path(root: Path, path: str) -> str:
    """PATH for a project's commands: its own virtual environment first, the one that envctl runs in last."""
    own = root / ".venv" / "bin"
    return os.pathsep.join(
        [*([str(own)] if own.is_dir() else []), *([path] if path else []), str(Path(sys.executable).parent)]
    )


def _run(command: Command, heard: Talk) -> int:
    """The exit code. When this returns, is interrupted or dies, nothing that came of the command is alive."""
    read, write = os.pipe()
    with os.fdopen(read, errors="replace") as output, Path(os.devnull).open("rb") as nothing:
        reader = threading.Thread(target=_lines, args=(output, heard), daemon=True)
        try:
            with keeping.keep(command, shared=False, output=write, stdin=nothing.fileno(), label="migration") as kept:
                os.close(write)
                write = -1
                reader.start()
                return _code(command, kept)
        finally:
            if write >= 0:
                os.close(write)
            else:
                reader.join()


def _code(command: Command, kept: Kept) -> int:
    code: int | None = None
    while (news := kept.news()) is not None:
        for one in news:
            if one.kind == "failed":
                raise keeping.explained(command.argv[0], one)
            code = one.code if one.kind == "ended" else code
    if code is None:
        raise keeping.lost("migration")
    return code


def _lines(output: Iterable[str], heard: Talk) -> None:
    for line in output:
        heard(line.rstrip())


def _secrets(variables: Mapping[str, str]) -> Iterable[str]:
    """What must not be shown: the values of variables that are secrets by name, and the passwords in URLs."""
    for name, value in variables.items():
        if masked(value, name) == MASK:
            yield value
        if "@" in value and "://" in value:
            password = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
            yield from (password, unquote(password))


def _cut(line: str) -> str:
    """A line as it is shown. Its secrets are hidden before: half of one would not be found."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}… ({len(line) - LONGEST} more letters)"


def _ended(code: int) -> str:
    killed = code - 128 in {one.value for one in signal.Signals}
    return f"was ended by {signal.Signals(code - 128).name}" if killed else f"ended with {code}"


def _hint(code: int, *, lost: bool) -> str:
    if lost:
        return (
            "a migration that this database has seen was removed or changed here: put its file back,\n"
            "or make this checkout's dev data anew: envctl dev reset"
        )
    if code == 127:
        return "install what is missing into the project's .venv, or activate the environment that has it"
    return 'to look closer, run it by hand with the same variables: eval "$(envctl env)"'
