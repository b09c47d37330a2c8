"""Running the application's processes side by side, and one program in the foreground."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from envctl import health, keeping, signals, terminal
from envctl.errors import EnvctlError, PortTakenError
from envctl.keeping import Kept, News
from envctl.lines import Lines
from envctl.model import Command, Talk

Write = Callable[[str, str], None]
"""Takes a process's name and a line of its output."""

HEALTHY_WITHIN = 60.0
SECOND = 0.2
"""Two signals closer than this are one Ctrl-C that came on two ways, not an impatient person."""
PROMPT = 0.3
"""A process that has the terminal and is silent this long after unfinished text is asking something."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the application; `env` is laid over envctl's own environment, as with a `Command`."""

    name: str
    command: str
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    port: int | None = None
    health: str = ""


def run_all(
    processes: Sequence[Process],
    *,
    write: Write,
    talk: Talk,
    stop: threading.Event | None = None,
    patience: float = HEALTHY_WITHIN,
) -> int:
    """Run all until one ends, and return its exit code; or 130 after Ctrl-C, 0 after `stop`, which is set at the end.

    When it returns or raises, nothing that came of these processes is alive.
    """
    _refuse_taken_ports(processes)
    interactive = len(processes) == 1 and terminal.is_ours()
    with ExitStack() as stack:
        run = stack.enter_context(Run.opened(write, talk))
        if interactive:
            stack.enter_context(terminal.restored())
        run.hear(stack.enter_context(signals.heard(*signals.ENDINGS)))
        stack.enter_context(_heeded(stop, run))
        for process in processes:
            run.add(stack.enter_context(_started(process, interactive)))
        stack.enter_context(_health_watched(processes, run, patience))
        return run.until_over()


def run_foreground(command: Command) -> int:
    """Run one program with our terminal (or whatever our stdin and stdout are) and return its exit code.

    On a terminal it stays in our process group, so that it can read, stop and continue like any job, and a Ctrl-C
    comes to it once, from the terminal. A signal sent to us alone is passed on.
    """
    shared = terminal.present()
    with (
        terminal.restored(),
        signals.heard(*signals.ENDINGS, signal.SIGQUIT) as heard,
        keeping.keep(command, shared=shared, output=None, label=Path(command.argv[0]).name) as kept,
        selectors.DefaultSelector() as selector,
    ):
        selector.register(heard, selectors.EVENT_READ)
        selector.register(kept.control, selectors.EVENT_READ)
        return _foreground(command, kept, heard, selector)


def _foreground(command: Command, kept: Kept, heard: object, selector: selectors.BaseSelector) -> int:
    code: int | None = None
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if heard in ready:
            for number in signals.pending(heard):  # type: ignore[arg-type]
                ask = kept.stop if number in (signal.SIGTERM, signal.SIGHUP) else kept.pass_on
                ask(number)
        if kept.control not in ready:
            continue
        news = kept.news()
        if news is None:
            return _result(command.argv[0], code)
        for one in news:
            if one.kind == "failed":
                raise keeping.explained(command.argv[0], one)
            if one.kind == "ended":
                code = one.code


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


class Run:
    """The processes that run together: waits for output, news, health and signals, and sleeps in between."""

    def __init__(self, selector: selectors.BaseSelector, write: Write, talk: Talk) -> None:
        self.selector = selector
        self.write = write
        self.talk = talk
        self.members: list[Member] = []
        self.running: set[Member] = set()
        self.result: int | EnvctlError | None = None
        self.stopping = 0.0
        self.calls: deque[Callable[[], None]] = deque()
        self._wake_reader, self._wake_writer = os.pipe()

    @classmethod
    @contextmanager
    def opened(cls, write: Write, talk: Talk) -> Iterator[Run]:
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
        while self.running:
            prompting = any(one.interactive and one.lines.unfinished for one in self.running)
            ready = self.selector.select(PROMPT if prompting else None)
            for key, _ in ready:
                key.data()
            if not ready:
                for one in self.running:
                    self._show(one, one.lines.rest())
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

    def hear(self, heard: object) -> None:
        """Watch for signals to ourselves."""
        self.selector.register(heard, selectors.EVENT_READ, lambda: self._signalled(heard))  # type: ignore[arg-type]

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

    def healthy(self, member_name: str, wrong: str, patience: float) -> None:
        """What the health watch of a process came to."""
        member = next(one for one in self.members if one.name == member_name)
        if self.stopping or member.code is not None:
            return
        if wrong:
            self.stop(_unhealthy(member, wrong, patience))
        else:
            member.ready = True
            self._say(_ready(member.process))

    def _answer_calls(self) -> None:
        os.read(self._wake_reader, 4096)
        while self.calls:
            self.calls.popleft()()

    def _signalled(self, heard: object) -> None:
        for number in signals.pending(heard):  # type: ignore[arg-type]
            if not self.stopping:
                self._say("stopping … (once more to kill)")
                self.stop(128 + number)
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
            member.ready = True
            self._say(_ready(member.process))

    def _gone(self, member: Member) -> None:
        """Its keeper has ended, so that nothing of it is left: not even somebody who could still write."""
        self._drain(member)
        self.selector.unregister(member.kept.control)
        self.running.discard(member)
        if member.code is None:
            self.stop(_lost(member.name))

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


@contextmanager
def _started(process: Process, interactive: bool) -> Iterator[Member]:
    """Start one process; when the block is left it has ended, with all that came of it."""
    command = Command(("/bin/sh", "-c", process.command), env=process.env, cwd=process.cwd)
    stdin = None if interactive else os.open(os.devnull, os.O_RDONLY)
    reader, writer = os.pipe()
    try:
        with keeping.keep(command, shared=interactive, output=writer, stdin=stdin, label=process.name) as kept:
            os.close(writer)
            yield Member(process, kept, reader, interactive)
    finally:
        os.close(reader)
        if stdin is not None:
            os.close(stdin)


@contextmanager
def _health_watched(processes: Sequence[Process], run: Run, patience: float) -> Iterator[None]:
    """Ask each process that can tell whether it is ready, each in a thread of its own."""
    given_up = threading.Event()

    def watch(process: Process, port: int) -> None:
        wrong = health.wait(process.health, port, patience=patience, given_up=given_up)
        if not given_up.is_set():
            run.call(lambda: run.healthy(process.name, wrong, patience))

    asked = [(one, one.port) for one in processes if one.health and one.port]
    threads = [threading.Thread(target=watch, args=one, daemon=True) for one in asked]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        given_up.set()
        for thread in threads:
            thread.join()


@contextmanager
def _heeded(stop: threading.Event | None, run: Run) -> Iterator[None]:
    """Stop the run when the event is set. It is set in the end in any case, which ends the thread that waits."""
    if stop is None:
        yield
        return
    over = threading.Event()

    def wait() -> None:
        stop.wait()
        if not over.is_set():
            run.call(lambda: run.stop(0))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        stop.set()
        thread.join()


def _refuse_taken_ports(processes: Sequence[Process]) -> None:
    """A stranger on the port would pass the health check in the process's place."""
    for one in processes:
        if one.port and health.listens(one.port):
            raise PortTakenError(
                f"port {one.port}, which {one.name} is to listen on, is in use",
                hint=f"see who has it: lsof -i :{one.port}",
            )


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


def _lost(name: str) -> EnvctlError:
    return EnvctlError(f"the keeper of {name} was killed", hint="see whether anything of it still runs", code="keeper")


def _result(name: str, code: int | None) -> int:
    if code is None:
        raise _lost(name)
    return code
