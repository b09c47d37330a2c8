"""Bytes from a pipe, as lines fit for a shared screen."""

from __future__ import annotations

import re

LONGEST = 64 * 1024
"""A line longer than this is shown in pieces, so that output without newlines cannot fill the memory."""

_COLOUR = r"\x1b\[[0-9;:]*m"
_SEQUENCE = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
_UNFIT = re.compile(rf"({_COLOUR})|{_SEQUENCE}|[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class Lines:
    """Cuts chunks into lines; what has no newline yet is kept back."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that this chunk completes."""
        *whole, self._kept = (self._kept + chunk).split(b"\n")
        if len(self._kept) > LONGEST:
            whole.append(self.take())
        return [shown(line) for line in whole]

    @property
    def unfinished(self) -> bool:
        """Whether there is text without its newline: a prompt, or the last words of a process."""
        return bool(self._kept)

    def rest(self) -> list[str]:
        """What is left without a newline, as a line."""
        return [shown(self.take())] if self._kept else []

    def take(self) -> bytes:
        """Hand out what is kept back."""
        kept, self._kept = self._kept, b""
        return kept


def shown(line: bytes) -> str:
    """A line as text. Colours stay; what moves the cursor, clears the screen or changes the terminal goes."""
    text = line.decode("utf-8", "replace").rstrip("\r").expandtabs(8)
    return text if text.isprintable() else _UNFIT.sub(lambda found: found[1] or "", text)
