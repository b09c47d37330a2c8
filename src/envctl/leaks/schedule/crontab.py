"""One line in the user's crontab. All other lines keep every byte of theirs: a crontab may be in any encoding."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from string import Template

from envctl import shell, texts
from envctl.errors import EnvctlError
from envctl.leaks.schedule.plan import HOUR, Plan
from envctl.model import Command

SECONDS = 30.0


def available() -> bool:
    """Whether this machine has crontabs."""
    return shell.which("crontab") is not None


def line(plan: Plan) -> bytes:
    """The line, as cron reads it: to cron, though not to the shell, a bare `%` is a line break."""
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in plan.variables.items())
    text = Template(texts.read("leaks", "crontab")).substitute(
        minute=plan.minute,
        hour=HOUR,
        day="1" if plan.weekly else "*",
        checkout=_quoted(str(plan.checkout)),
        variables=variables.replace("%", r"\%"),
        command=" ".join(_quoted(word) for word in plan.command),
        log=_quoted(str(plan.log)),
        mark=mark(plan.key),
    )
    return os.fsencode(text)


def mark(key: str) -> str:
    """How our line is known, at its end."""
    return f"envctl leaks {key}"


def without(table: bytes, key: str) -> bytes:
    """A crontab without our line; every other byte as it was."""
    return b"".join(one for one in _lines(table) if not _ours(one, key))


def having(table: bytes, ours: bytes, key: str) -> bytes:
    """A crontab with our line: where an older one stood, else at the end. A last line without an end stays the last."""
    lines = _lines(table)
    if any(_ours(one, key) for one in lines):
        return b"".join(ours if _ours(one, key) else one for one in lines)
    return table + ours if not table or table.endswith(b"\n") else ours + table


def install(plan: Plan) -> None:
    """Put our line in."""
    _write(having(_read() or b"", line(plan), plan.key))


def remove(key: str) -> bool:
    """Take our line out; whether there was one. A crontab with nothing left in it goes."""
    before = _read()
    if before is None or (after := without(before, key)) == before:
        return False
    if after:
        _write(after)
    else:
        shell.run(Command(("crontab", "-r")), seconds=SECONDS)
    return True


def _lines(table: bytes) -> list[bytes]:
    return [one + b"\n" for one in table.split(b"\n")[:-1]] + [one for one in table.split(b"\n")[-1:] if one]


def _ours(one: bytes, key: str) -> bool:
    return one.rstrip(b"\n").endswith(f" # {mark(key)}".encode())


def _read() -> bytes | None:
    """The user's crontab; None where there is none. `crontab -l` may print it changed, its editor gets it as it is."""
    done = shell.run(Command(("crontab", "-l"), env={"LC_ALL": "C"}), check=False, seconds=SECONDS)
    if done.code and "no crontab" in done.err.lower():
        return None
    if done.code:
        raise EnvctlError("the crontab could not be read", cause=shell.tail(done.err), hint="crontab -l")
    with tempfile.TemporaryDirectory(prefix="envctl-") as folder:
        script, copy = Path(folder) / "editor", Path(folder) / "copy"
        script.write_text(f'exec cat -- "$1" >{shlex.quote(str(copy))}\n')
        editor = f"sh {shlex.quote(str(script))}"
        shell.run(Command(("crontab", "-e"), env={"VISUAL": editor, "EDITOR": editor}), seconds=SECONDS)
        try:
            return copy.read_bytes()
        except OSError as error:
            raise EnvctlError("the crontab could not be read", cause="`crontab -e` started no editor") from error


def _write(table: bytes) -> None:
    """Replace it, and look whether it is now what it should be."""
    with tempfile.TemporaryDirectory(prefix="envctl-") as folder:
        file = Path(folder) / "crontab"
        file.write_bytes(table)
        shell.run(Command(("crontab", str(file))), seconds=SECONDS)
    if _read() != table:
        raise EnvctlError("the crontab is not what was written", hint="look at it with `crontab -l`")


def _quoted(text: str) -> str:
    return shlex.quote(text).replace("%", r"\%")
