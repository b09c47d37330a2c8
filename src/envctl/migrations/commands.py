"""Commands as a person types them in `envctl.toml`, run by the shell with a sandbox's variables."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from envctl import shell
from envctl.errors import EnvctlError
from envctl.masking import MASK, masked
from envctl.model import Command, Talk

KEPT = 60
"""How many of its last lines a failed command shows."""
GRACE = 5.0


class _Process(Protocol):
    pid: int

    def wait(self, timeout: float | None = None) -> int: ...


def run(
    text: str, *, cwd: Path, root: Path, variables: Mapping[str, str], talk: Talk, hide: Iterable[str] = ()
) -> None:
    """Run to the end, each line to `talk`; a failure shows the last lines, without passwords."""
    path = search_path(root, variables.get("PATH", os.environ.get("PATH", "")))
    command = Command(("/bin/sh", "-c", text), {**variables, "PATH": path}, cwd)
    secrets = (*_secrets(variables), *(one for one in hide if len(one) > 3))
    lines: deque[str] = deque(maxlen=KEPT)

    def heard(line: str) -> None:
        lines.append(_hidden(line, secrets))
        talk(lines[-1])

    code = _run(command, heard)
    if code != 0:
        raise EnvctlError(
            f"`{_hidden(text, secrets)}` {_ended(code)}",
            cause="\n".join(lines) or "it printed nothing",
            hint=_hint(code),
            code="migration",
        )


def search_path(root: Path, path: str) -> str:
    """PATH for a project's commands: its own virtual environment first, the one that envctl runs in last."""
    own = root / ".venv" / "bin"
    return os.pathsep.join(
        [*([str(own)] if own.is_dir() else []), *([path] if path else []), str(Path(sys.executable).parent)]
    )


def _run(command: Command, heard: Talk) -> int:
    """The exit code. A program that it leaves in the background does not hold us; an interrupt ends all of it."""
    read, write = os.pipe()
    try:
        process = shell.spawn(command, log=write)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    reader = threading.Thread(target=_lines, args=(read, heard), daemon=True)
    reader.start()
    try:
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    reader.join(timeout=1)
    return code


def _lines(read: int, heard: Talk) -> None:
    with os.fdopen(read, errors="replace") as output:
        for line in output:
            heard(line.rstrip())


def _end(process: Any) -> None:
    """Ask the whole group, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except ProcessLookupError:
            return
        except Exception:  # noqa: S112  the time-out of the first, gentle round
            continue


def _secrets(variables: Mapping[str, str]) -> Iterable[str]:
    """What must not be shown: the values of variables that are secrets by name, and the passwords in URLs."""
    for name, value in variables.items():
        if masked(value, name) == MASK and len(value) > 3:
            yield value
        if "@" in value and "://" in value:
            password = urlsplit(value).password or ""
            yield from (one for one in {password, unquote(password)} if len(one) > 3)


def _hidden(line: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, MASK)
    return masked(line)


def _ended(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _hint(code: int) -> str:
    if code == 127:
        return "install what is missing into the project's .venv, or activate the environment that has it"
    return 'to look closer, run it by hand with the same variables: eval "$(envctl env)"'
