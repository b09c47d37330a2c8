"""Our lines in a hook's file: made, found, put in, replaced and taken out. Pure, and on bytes: a hook may be anything.

They stand right behind the `#!` line, so that nothing above them can end the script, and never read stdin, so that
whatever stands below them gets all of it.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from string import Template

from envctl import texts
from envctl.digests import hexdigest
from envctl.errors import UsageError
from envctl.values import dataclass

VERSION = 1
SHEBANG = b"#!/bin/sh\n"
HEADER = SHEBANG + b"# Made by `envctl hooks install`; lines of others are welcome at the end.\n"
"""How a file of our own begins: one of somebody else's that is nothing but its first line is not taken for it."""
SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_BLOCK = re.compile(
    rb"^# >>> envctl hooks (?P<version>[0-9]+) (?P<digest>[0-9a-f]{8}) >>>\n"
    rb"(?P<inner>(?:(?!# (?:>>>|<<<) envctl hooks ).*\n)*)"
    rb"# <<< envctl hooks <<<(?:\n|\Z)",
    re.MULTILINE,
)
_MARK = re.compile(rb"^# (?:>>>|<<<) envctl hooks ", re.MULTILINE)
DAMAGE = (
    "what stands between `# >>> envctl hooks` and `# <<< envctl hooks <<<` is not as it was written, or twice there"
)


@dataclass(frozen=True, slots=True)
class Block:
    """Our lines as they stand in a file, from the first byte of the first to behind the last."""

    start: int
    end: int
    text: bytes
    intact: bool
    """Whether they are as we wrote them, by their own digest."""

    @property
    def folder(self) -> Path:
        """The folder of the state that they were made for."""
        call = self.text.rpartition(b" -m envctl.hooks ")[2].partition(b"\n")[0]
        return Path(shlex.split(call.decode("utf-8", "surrogateescape"))[0])


class Damaged(Exception):  # noqa: N818  (a finding, turned into an error where the file's name is known)
    """Marks of ours are there, and not as we write them."""


class Refused(Exception):  # noqa: N818
    """A file that we do not put lines into, and why."""


def made(python: Path, folder: Path) -> bytes:
    """The lines that call this envctl, with that folder of the state."""
    inner = _template().substitute(python=_quoted(python), folder=_quoted(folder))
    content = inner.encode("utf-8", "surrogateescape")
    digest = hexdigest(content)[:8].encode()
    return b"# >>> envctl hooks %d %s >>>\n%s# <<< envctl hooks <<<\n" % (VERSION, digest, content)


def found(content: bytes) -> Block | None:
    """Our lines in a file; an exception where somebody has been at them, or they are there twice."""
    match = _BLOCK.search(content)
    marks = len(_MARK.findall(content))
    if match is None and not marks:
        return None
    if match is None or marks != 2:
        raise Damaged
    whole = Block(match.start(), match.end(), match[0], match["digest"].decode() == hexdigest(match["inner"])[:8])
    if not whole.intact:
        raise Damaged
    return whole


def installed(content: bytes | None, block: bytes) -> bytes:
    """The file with our lines in it: its own where there is none, else as it is but for them."""
    if content is None:
        return HEADER + block
    there = found(content)
    if there is not None:
        ends = there.text.endswith(b"\n")
        return content[: there.start] + (block if ends else block[:-1]) + content[there.end :]
    why = unfit(content)
    if why:
        raise Refused(why)
    first, newline, rest = content.partition(b"\n")
    # A file of one unfinished line stays unfinished, so that taking our lines out gives the same bytes again.
    return first + newline + block + rest if newline else first + b"\n" + block[:-1]


def uninstalled(content: bytes) -> bytes | None:
    """The file without our lines; None where nothing else is in it, for then it is ours as a whole."""
    there = found(content)
    if there is None:
        return content
    before, after = content[: there.start], content[there.end :]
    if before == HEADER:
        return SHEBANG + after if after else None
    return (before if there.text.endswith(b"\n") else before[:-1]) + after


def unfit(content: bytes) -> str:
    """Why lines of shell have no place in this file; empty where they have."""
    if b"\0" in content:
        return "it is not a text"
    if not content.startswith(b"#!"):
        return "it has no #! line, so nothing says that it is a shell script"
    program = _interpreter(content.partition(b"\n")[0].decode("utf-8", "replace"))
    return "" if program in SHELLS else f"it is a script for {program!r}, not for sh or bash"


def remedy(file: Path) -> str:
    """What to do about damage."""
    return f"remove these lines by hand, marks included, from {file}; then: envctl hooks install"


def _interpreter(line: str) -> str:
    """`bash` of `#!/usr/bin/env -S bash -eu`."""
    words = re.split("[ \t]+", line.removeprefix("#!").strip(" \t"))
    names = [Path(word).name for word in words if not word.startswith("-") and "=" not in word]
    if len(names) > 1 and names[0] in ("env", "busybox"):
        return names[1]
    return names[0] if names else ""


def _quoted(path: Path) -> str:
    text = str(path)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise UsageError(f"{text!r} cannot be written into a hook", cause="it has a control character in its name")
    return shlex.quote(text)


class _Holes(Template):
    """Shell has its own use for `$`."""

    delimiter = "@"


def _template() -> _Holes:
    return _Holes(texts.read("hooks", "reference-transaction.sh"))
