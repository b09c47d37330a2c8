"""Running the application's processes side by side, and one program in the foreground."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import field
from pathlib import Path

from envctl.errors import PortTakenError, UsageError
from envctl.keeper import keeping, signals
from envctl.keeper.keeping import Kept
from envctl.model import Command, Talk
from envctl.processes import health, terminal
from envctl.processes.ensemble import Ensemble, Member
from envctl.values import dataclass

Remaining = Callable[[Sequence[int]], None]
"""Takes the pids of processes that live on."""
Write = Callable[[str, str], None]
"""Takes a process's name and a line of its output."""

HEALTHY_WITHIN = 60.0


class Hurried(KeyboardInterrupt):
    """A second Ctrl-C: what is left to do is left to others."""


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
    ready: threading.Event | None = None,
    patience: float = HEALTHY_WITHIN,
) -> int:
    """Run all until one ends, and return its exit code; or 130 after Ctrl-C, 0 after `stop`, which is set at the end.

    `ready` is set once every process is.

    When it returns or raises, nothing that came of these processes is alive.
    """
    _check(processes)
    interactive = len(processes) == 1 and terminal.is_ours()
    with ExitStack() as stack:
        run = stack.enter_context(Ensemble.opened(write, talk))
        if interactive:
            stack.enter_context(terminal.restored())
        run.all_ready = ready or threading.Event()
        run.hear(stack.enter_context(signals.heard(*signals.ENDINGS)))
        stack.enter_context(_heeded(stop, run))
        for process in processes:
            run.add(stack.enter_context(_started(process, interactive)))
        stack.enter_context(_health_watched(processes, run, patience))
        return run.until_over()


@contextmanager
def foreground(output: int | None = None) -> Iterator[Kept]:
    """A keeper for one program with our terminal, started ahead of it; its program writes to `output`, if given."""
    with keeping.waiting(shared=terminal.present(), output=output, label="foreground") as kept:
        yield kept


def run_foreground(
    command: Command,
    *,
    impatient: bool = False,
    ahead: Kept | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    remaining: Remaining | None = None,
) -> int:
    """Run one program with our terminal (or whatever our stdin and stdout are) and return its exit code.

    On a terminal it stays in our process group, so that it can read, stop and continue like any job, and a Ctrl-C
    comes to it once, from the terminal. A signal sent to us alone is passed on. With `impatient` a second Ctrl-C ends
    it at once, and is raised. `ahead` is a keeper that waits already; `meanwhile` is done while the program starts.
    `remaining` hears of the processes that live on after the program, before they are ended.
    """
    with (
        terminal.restored(),
        signals.heard(*signals.ENDINGS, signal.SIGQUIT) as heard,
        nullcontext(ahead) if ahead else foreground() as kept,
        selectors.DefaultSelector() as selector,
    ):
        kept.run(command, looks=remaining is not None)
        meanwhile()
        selector.register(heard, selectors.EVENT_READ)
        selector.register(kept.control, selectors.EVENT_READ)
        return _foreground(command, kept, heard, selector, impatient, remaining)


def _foreground(
    command: Command,
    kept: Kept,
    heard: socket.socket,
    selector: selectors.BaseSelector,
    impatient: bool,
    remaining: Remaining | None,
) -> int:
    code: int | None = None
    interrupts = 0
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if heard in ready:
            for number in signals.pending(heard):
                interrupts += number == signal.SIGINT
                _heed(kept, number, hurried=impatient and interrupts > 1)
        if kept.control not in ready:
            continue
        news = kept.news()
        if news is None and impatient and interrupts > 1:
            raise Hurried
        if news is None:
            return _result(command.argv[0], code)
        for one in news:
            if one.kind == "failed":
                raise keeping.explained(command.argv[0], one)
            if one.kind == "ended":
                code = one.code
            if one.kind == "remaining" and remaining is not None:
                remaining(one.pids)
                kept.end()


def _heed(kept: Kept, number: signal.Signals, *, hurried: bool) -> None:
    if hurried:
        kept.kill()
    elif number in (signal.SIGTERM, signal.SIGHUP):
        kept.stop(number)
    else:
        kept.pass_on(number)


@contextmanager
def _started(process: Process, interactive: bool) -> Iterator[Member]:
    """Start one process; when the block is left it has ended, with all that came of it."""
    command = Command(("/bin/sh", "-c", process.command), env=process.env, cwd=process.cwd)
    reader, writer = os.pipe()
    with (
        os.fdopen(reader, "rb", 0),
        os.fdopen(writer, "wb", 0) as sink,
        Path(os.devnull).open("rb") as nothing,
        keeping.keep(
            command,
            shared=interactive,
            output=writer,
            stdin=None if interactive else nothing.fileno(),
            label=process.name,
        ) as kept,
    ):
        sink.close()
        yield Member(process, kept, reader, interactive)


@contextmanager
def _health_watched(processes: Sequence[Process], run: Ensemble, patience: float) -> Iterator[None]:
    """Ask each process that can tell whether it is ready, each in a thread of its own."""
    given_up = threading.Event()

    def watch(process: Process, port: int) -> None:
        def still(wrong: str) -> None:
            run.call(lambda: run.waits_for(process.name, wrong))

        wrong = health.wait(process.health, port, patience=patience, given_up=given_up, still=still)
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
def _heeded(stop: threading.Event | None, run: Ensemble) -> Iterator[None]:
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


def _check(processes: Sequence[Process]) -> None:
    """Refuse what cannot go well: a stranger on the port would pass the health check in the process's place."""
    for one in processes:
        if one.health and not one.port:
            raise UsageError(f"{one.name} has no port on which to ask for its health {one.health!r}")
        if one.port and health.listens(one.port):
            raise PortTakenError(
                f"port {one.port}, which {one.name} is to listen on, is in use",
                hint=f"see who has it: lsof -i :{one.port}",
            )


def _result(name: str, code: int | None) -> int:
    if code is None:
        raise keeping.lost(name)
    return code
