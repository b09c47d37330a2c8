"""The edge's voice: answers on stdout, talk on stderr, one JSON document where it is asked for."""

from __future__ import annotations

import json as _json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from rich.status import Status as Spinner

    from envctl.render import View

VERSION = 1
"""The version of the JSON document's frame."""
Status = Literal["ok", "partial", "error"]
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
RED, YELLOW, BOLD, PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[0m"


class Output:
    """Says things the way the global flags want it. Its methods may be called from any thread."""

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self._lock = threading.RLock()
        self._live: Spinner | None = None
        self._answered = False
        self._doing = ""

    def say(self, line: str) -> None:
        """A line about what is being done."""
        if self.quiet:
            return
        line = harmless(line, colours=True)
        with self._lock:
            if self._live is None:
                self._erase()
                write(sys.stderr, line)
                self._draw()
            else:
                self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def detail(self, line: str) -> None:
        """A line for those who asked for more."""
        if self.verbose:
            self.say(line)

    def insist(self, line: str) -> None:
        """A line that must not be missed, also where only the answer was asked for."""
        with self._lock:
            self._erase()
            write(sys.stderr, harmless(line, colours=True))
            self._draw()

    def warn(self, text: str) -> None:
        """Something that is probably not as the person thinks."""
        self.say(f"{styled('warning:', YELLOW, sys.stderr)} {text}")

    def live(self, text: str) -> None:
        """What is being done now: one line on a terminal, which the next one takes the place of. Empty ends it."""
        with self._lock:
            self._erase()
            self._doing = text if not self.quiet and animated(sys.stderr) else ""
            self._draw()

    def line(self, text: str) -> None:
        """One line of an answer that comes line by line."""
        write(sys.stdout, harmless(text, colours=True))

    @contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Show that something is going on, and in the end how long it took."""
        start = time.monotonic()
        how = "failed after"
        try:
            with self._spinning(text) if self._may_spin() else self._announced(text):
                yield
            how = "done in"
        finally:
            self.say(f"{text} {how} {time.monotonic() - start:.1f} s")

    def result(
        self,
        command: str,
        data: Mapping[str, Any],
        text: str | View = "",
        *,
        exit_code: int = 0,
        errors: Sequence[EnvctlError] = (),
        exact: bool = False,
    ) -> None:
        """The answer: the data under --json, else the text or the view of it. A text for programs is `exact`.

        `partial` is work done that came to something else than all well; with `errors` it is one that failed.
        """
        if self.json:
            status: Status = "error" if errors else "partial" if exit_code else "ok"
            self._document(command, status, exit_code, data, [_as_json(one) for one in errors])
        elif isinstance(text, str):
            if text:
                text = text.removesuffix("\n")
                write(sys.stdout, text if exact else harmless(text))
        else:
            text.show(sys.stdout)

    def fail(self, command: str, error: EnvctlError) -> int:
        """Tell what went wrong, and return the exit code that says so too."""
        with self._lock:
            write(sys.stderr, explained(error))
        if self.json:
            self._document(command, "error", error.exit_code, {}, [_as_json(error)])
        return error.exit_code

    def _draw(self) -> None:
        if self._doing:
            sys.stderr.write(self._doing)
            sys.stderr.flush()

    def _erase(self) -> None:
        if self._doing:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def _document(
        self,
        command: str,
        status: Status,
        exit_code: int,
        data: Mapping[str, Any],
        errors: list[dict[str, str]],
    ) -> None:
        if self._answered:
            return  # One document it is; what failed after the answer stands on stderr.
        self._answered = True
        frame = {"envctl": VERSION, "command": command, "status": status, "exit_code": exit_code}
        write(sys.stdout, _json.dumps({**frame, "data": data, "errors": errors}, indent=2, default=str))

    def _may_spin(self) -> bool:
        return not self.quiet and self._live is None and animated(sys.stderr)

    @contextmanager
    def _spinning(self, text: str) -> Iterator[None]:
        from rich.console import Console

        with Console(stderr=True, highlight=False).status(text, spinner="dots") as live:
            self._live = live
            try:
                yield
            finally:
                with self._lock:
                    self._live = None

    @contextmanager
    def _announced(self, text: str) -> Iterator[None]:
        self.say(f"{text} …")
        yield


def _as_json(error: EnvctlError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "cause": error.cause, "hint": error.hint}


def explained(error: EnvctlError) -> str:
    """An error as a person reads it: what, why, and what to do next."""
    lines = [f"{styled('error:', RED, sys.stderr)} {error.message}"]
    lines += [f"  {line}" for line in error.cause.splitlines()]
    if error.hint:
        first, *more = error.hint.splitlines()
        lines += [f"  {styled('hint:', BOLD, sys.stderr)} {first}", *(f"        {line}" for line in more)]
    return harmless("\n".join(lines), colours=True)


def harmless(text: str, keep: str = "\n\t", *, colours: bool = False) -> str:
    """What cannot move a cursor, rename the window or turn the direction of reading: that is shown escaped."""
    if text.isprintable():
        return text
    if colours:
        return "".join(part if at % 2 else harmless(part, keep) for at, part in enumerate(_COLOUR.split(text)))
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


def write(stream: TextIO, line: str) -> None:
    """One line, at once; what the stream cannot encode is shown escaped rather than lost."""
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def styled(text: str, style: str, stream: TextIO) -> str:
    """The text in that style, where the stream shows styles."""
    return f"{style}{text}{PLAIN}" if colored(stream) else text


def colored(stream: TextIO) -> bool:
    """Whether to use colours there: on a terminal that can, unless NO_COLOR is set."""
    return animated(stream) and not os.environ.get("NO_COLOR")


def animated(stream: TextIO) -> bool:
    """Whether what is written there may move."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
