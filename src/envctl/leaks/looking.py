"""Several places looked at side by side, each for its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

from envctl.errors import EnvctlError
from envctl.masking import masked
from envctl.model import Unseen

T = TypeVar("T")


class Look(Generic[T]):
    """One place that is being looked at. Its thread is not waited for beyond its time, nor at the end of envctl."""

    def __init__(self, place: str, work: Callable[[], T], seconds: float) -> None:
        self.place = place
        self._work = work
        self._end = time.monotonic() + seconds
        self._found: list[T] = []
        self._failed: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"look at {place}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # Whoever asks for the result gets it.
            self._failed = error

    def result(self) -> T | Unseen:
        """What was found, or why nothing was; a fault of our own is raised."""
        self._thread.join(max(0.0, self._end - time.monotonic()))
        if self._thread.is_alive():
            return Unseen(self.place, "it gave no answer in time")
        if isinstance(self._failed, EnvctlError):
            return Unseen(self.place, told(self._failed))
        if self._failed is not None:
            raise self._failed
        return self._found[0]


def told(error: EnvctlError) -> str:
    """An error as one line, its remedy too, without the passwords that a URL in it may have."""
    what = ": ".join(part for part in (error.message, " ".join(error.cause.split())) if part)
    return masked(f"{what} ({error.hint})" if error.hint else what)
