"""The processes that run together: waits for output, news, health and signals, and sleeps in between."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError
from envctl.keeper import keeping, signals
from envctl.keeper.keeping import Kept, News
from envctl.model import Talk
from envctl.processes.lines import Lines

if TYPE_CHECKING:
    from envctl.processes import Process, Write

SECOND = 0.2
"""Two signals closer than this are one Ctrl-C that came on two ways, not an impatient person."""
PROMPT = 0.3
"""A process that has the terminal and is silent this long after unfinished text is asking something."""


@dataclass(eq=False, slots=True)
class Member:
    """A process of a run."""

    process: Process
    kept: Kept
    output: int
    interactive: bool
    lines: Lines = field(default_factory=Lines)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=12))
    code: int | None = None
    ready: bool = False

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.process.name


class Ensemble:
    """One loop for all of them. The first that ends, fails or is asked to stop takes the others along."""

    def __init__(self, selector: selectors.BaseSelector, write: Write, talk: Talk) -> None:
        self.selector = selector
        self.write = write
        self.talk = talk
        self.members: list[Member] = []
        self.running: set[Member] = set()
        self.result: int | EnvctlError | None = None
        self.stopping = 0.0
        self.all_ready = threading.Event()
        self.calls: deque[Callable[[], None]] = deque()
        self._wake_reader, self._wake_writer = os.pipe()

    @classmethod
    @contextmanager
    def opened(cls, write: Write, talk: Talk) -> Iterator[Ensemble]:
        """A run, with what it waits on."""
        with selectors.DefaultSelector() as selector:
            run = cls(selector, write, talk)
            selector.register(run._wake_reader, selectors.EVENT_READ, run._answer_calls)
            try:
                yield run
            finally:
                os.close(run._wake_reader)
                os.close(run._wake_writer)

    def until_over(self) -> int:
        """Wait until nothing runs any more."""
        try:
            while self.running:
                self._turn()
        except BaseException:
            for one in self.running:  # All at the same time; each is waited for on the way out.
                one.kept.leave()
            raise
        if isinstance(self.result, EnvctlError):
            raise self.result
        return self.result or 0

    def add(self, member: Member) -> None:
        """Watch one more process."""
        self.members.append(member)
        self.running.add(member)
        os.set_blocking(member.output, False)
        self.selector.register(member.output, selectors.EVENT_READ, lambda: self._read(member))
        self.selector.register(member.kept.control, selectors.EVENT_READ, lambda: self._hear_of(member))

    def hear(self, heard: socket.socket) -> None:
        """Watch for signals to ourselves."""
        self.selector.register(heard, selectors.EVENT_READ, lambda: self._signalled(heard))

    def call(self, function: Callable[[], None]) -> None:
        """Have something done in this loop; may be called from any thread."""
        self.calls.append(function)
        os.write(self._wake_writer, b".")

    def stop(self, result: int | EnvctlError) -> None:
        """End everything: Ctrl-C first, harder means later. The first reason to stop is the result."""
        if self.result is None:
            self.result = result
        if not self.stopping:
            self.stopping = time.monotonic()
            for one in self.running:
                one.kept.stop(signal.SIGINT)

    def waits_for(self, member_name: str, wrong: str) -> None:
        """Tell that a process takes its time to become ready."""
        if not self.stopping:
            self._say(f"{member_name} is not ready yet: {wrong}")

    def healthy(self, member_name: str, wrong: str, patience: float) -> None:
        """What the health watch of a process came to."""
        member = next(one for one in self.members if one.name == member_name)
        if self.stopping or member.code is not None:
            return
        if wrong:
            self.stop(_unhealthy(member, wrong, patience))
        else:
            self._is_ready(member)

    def _turn(self) -> None:
        """Sleep until something happens, and see to it."""
        prompting = any(one.interactive and one.lines.unfinished for one in self.running)
        ready = self.selector.select(PROMPT if prompting else None)
        for key, _ in ready:
            key.data()
        if not ready:
            for one in self.running:
                self._show(one, one.lines.rest())

    def _answer_calls(self) -> None:
        os.read(self._wake_reader, 4096)
        while self.calls:
            self.calls.popleft()()

    def _signalled(self, heard: socket.socket) -> None:
        for number in signals.pending(heard):
            if not self.stopping:
                self.stop(128 + number)
                self._say("stopping … (once more to kill)")
            elif time.monotonic() - self.stopping > SECOND:
                for one in self.running:
                    one.kept.kill()

    def _read(self, member: Member) -> bool:
        """Pass on what there is to read now; whether there may be more."""
        try:
            chunk = os.read(member.output, 65536)
        except BlockingIOError:
            return False
        if not chunk:
            with contextlib.suppress(KeyError):
                self.selector.unregister(member.output)
            return False
        self._show(member, member.lines.feed(chunk))
        return True

    def _hear_of(self, member: Member) -> None:
        news = member.kept.news()
        for one in news or ():
            self._note(member, one)
        if news is None:
            self._gone(member)

    def _note(self, member: Member, news: News) -> None:
        if news.kind == "failed":
            self.stop(keeping.explained(member.name, news))
        elif news.kind == "left":
            self._say(f"{member.name}: these processes could not be ended: {news.detail}")
        elif news.kind == "ended":
            member.code = news.code
            self._drain(member)
            if not self.stopping:
                self._say(f"{member.name} ended with {news.code}")
                self.stop(news.code if member.ready else _died(member, news.code))
        elif not member.process.health:
            self._is_ready(member)

    def _is_ready(self, member: Member) -> None:
        member.ready = True
        self._say(_ready(member.process))
        if all(one.ready for one in self.members):
            self.all_ready.set()

    def _gone(self, member: Member) -> None:
        """Its keeper has ended, so that nothing of it is left: not even somebody who could still write."""
        self._drain(member)
        self.selector.unregister(member.kept.control)
        self.running.discard(member)
        if member.code is None:
            self.stop(keeping.lost(member.name))

    def _drain(self, member: Member) -> None:
        while self._read(member):
            pass
        self._show(member, member.lines.rest())

    def _show(self, member: Member, lines: list[str]) -> None:
        member.last.extend(lines)
        with self._unless_deaf():
            for line in lines:
                self.write(member.name, line)

    def _say(self, line: str) -> None:
        with self._unless_deaf():
            self.talk(line)

    @contextmanager
    def _unless_deaf(self) -> Iterator[None]:
        """Nobody reads what we write any more (a closed terminal, `| head`): that is a reason to stop."""
        try:
            yield
        except OSError:
            self.stop(128 + signal.SIGPIPE)


def _ready(process: Process) -> str:
    if not process.health:
        return f"{process.name} started" + (f", to listen on http://127.0.0.1:{process.port}" if process.port else "")
    if process.health == "tcp":
        return f"{process.name} ready at 127.0.0.1:{process.port}"
    return f"{process.name} ready at http://127.0.0.1:{process.port}"


def _died(member: Member, code: int) -> EnvctlError:
    return EnvctlError(
        f"{member.name} ended with {code} before it was ready",
        cause="\n".join(member.last) or "it printed nothing",
        hint=f"its command is: {member.process.command}",
        code="process_died",
    )


def _unhealthy(member: Member, wrong: str, patience: float) -> EnvctlError:
    return EnvctlError(
        f"{member.name} was not ready after {patience:g} s",
        cause="\n".join([wrong, *member.last]),
        hint=f"does it listen on 127.0.0.1:{member.process.port}, and is {member.process.health} right?",
        code="process_unhealthy",
    )
