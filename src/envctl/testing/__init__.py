"""`envctl test`: a slot of this namespace → held servers → template → clones → the command → nothing left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from envctl import leases, ports, recovery, runs, sandbox, servers, templates
from envctl.errors import EnvctlError
from envctl.processes import Hurried, foreground
from envctl.project import Project
from envctl.runs import Run
from envctl.server_set import Running
from envctl.servers import Servers
from envctl.templates import Ready
from envctl.testing import audited, belief, command, desk, foresight, interruption, upkeep
from envctl.testing.admittance import Admittance
from envctl.testing.attendant import Attendant
from envctl.testing.live import Live, Voice
from envctl.testing.sandboxes import Sandboxes
from envctl.testing.timings import Timings
from envctl.testing.wish import Wish, narrowed

__all__ = ["Live", "Voice", "afterwards", "opened", "run"]

TURNS = 30
"""A turn is waited for so many times as long as a lock: it comes when somebody's tests are over."""

Differences = Callable[[], tuple[str, ...]]
"""How the servers that run differ from what this checkout asks for."""


def run(project: Project, wish: Wish, *, wait: float, voice: Voice, timings: Timings) -> Live:
    """Run one command in a sandbox of its own, and leave nothing of it."""
    ended: list[Live] = []
    try:
        with (
            foreground(output=None if voice.own_stdout else 2) as keeper,
            interruption.heeded(),
            opened(project, wish, timings, wait=wait, voice=voice) as live,
            timings.phase("tests"),
        ):
            live.code = command.run(live, keeper, voice)
            if live.early:
                _surely_made(live)
            ended.append(live)
            belief.examine(live)
            audited.examine(live)
    except EnvctlError as error:
        if not ended:
            raise
        ended[0].faults.append(error)  # What goes wrong after the command does not hide how that ended.
    return ended[0]


@contextmanager
def opened(project: Project, wish: Wish, timings: Timings, *, wait: float, voice: Voice) -> Iterator[Live]:
    """Slot, servers, sandbox and desk for as long as the block runs; after it nothing of them is left."""
    project = sandbox.register(narrowed(project, wish.services), wait=wait, talk=voice.talk)
    with ExitStack() as stack:
        with timings.phase("servers"):
            slot, home, running, differences = _held(stack, project, wish, wait, voice, timings)
        find = partial(_templates, wish, timings, wait, voice, differences)
        sandboxes = Sandboxes(slot.project, running, find, lease=slot.id, memory=slot.memory, env=wish.env)
        admittance = Admittance(sandboxes, wish, home, wait=wait * TURNS, talk=voice.talk)
        attendant = Attendant(sandboxes, wish, timings, admittance.admit)
        live = Live(slot.project, wish, slot, home, timings, sandboxes, attendant, slot.folder / "socket")
        stack.enter_context(afterwards(lambda: _clean_up(live)))
        _make(live)
        stack.enter_context(admittance)
        live.audit = audited.of(live)
        doubt = {"doubt": lambda question, caller: belief.told(live)}
        handlers = {**attendant.handlers(), **audited.handlers(live), **doubt}
        stack.enter_context(desk.opened(live.socket, handlers, left=attendant.left))
        yield live


def _held(
    stack: ExitStack, project: Project, wish: Wish, wait: float, voice: Voice, timings: Timings
) -> tuple[Run, Path, Running, Differences]:
    """A slot of this namespace, and the servers, which stay for as long as we hold them; and how to look at them."""

    def chosen(identity: str) -> Servers:
        return servers.choose(project, "test", alone=identity if wish.isolation == "server" else "")

    engine = chosen("any").set.engine
    slot = stack.enter_context(
        runs.claimed(
            project,
            home=lambda identity: chosen(identity).set.home,
            engine=engine,
            command=wish.described,
            talk=voice.talk,
        )
    )
    if not project.config.services:
        return slot, slot.folder, Running(engine, {}, ready=True), tuple
    wanted = chosen(slot.identity)
    if wish.isolation == "server":
        stack.enter_context(afterwards(lambda: _forget(slot, wanted.set.home, voice, timings)))
    running = stack.enter_context(
        leases.hold(
            wanted.set,
            wanted.engine,
            namespace=project.namespace.name,
            workspace=str(project.root),
            command=wish.described,
            wait=wait,
            talk=voice.talk,
        )
    )
    slot.begun()
    recovery.sweep(project)  # once more: what waited for these servers to run can go now
    return slot, wanted.set.home, running, partial(wanted.engine.differences, wanted.set, running)


def _templates(
    wish: Wish, timings: Timings, wait: float, voice: Voice, differences: Differences, sandboxes: Sandboxes
) -> dict[str, Ready]:
    """What the clones will be made of, for each service that can be cloned and has migrations."""
    project = sandboxes.project
    for difference in differences():
        voice.talk(f"warning: {difference} (`envctl dev down --all` stops all of them)")
    with timings.phase("template"):
        found = {
            name: templates.ready(
                project,
                server.address,
                name,
                variables=partial(sandboxes.migrating, name),
                lease=sandboxes.lease,
                from_scratch=wish.from_scratch,
                wait=wait,
                talk=voice.talk,
                detail=voice.detail,
            )
            for name, server in sandboxes.running.servers.items()
            if name in project.config.services
        }
    return {name: one for name, one in found.items() if one is not None}


def _make(live: Live) -> None:
    """The run's own sandbox; in the background where nothing has to be migrated for it and pytest can start meanwhile.

    A template that may have to be built is waited for here, in the thread that Ctrl-C comes to.
    """
    quick = foresight.expected(live.project, live.home) and not live.wish.from_scratch
    plain = live.wish.is_pytest and not live.wish.processes
    live.early = quick and plain and not foresight.plugins_come_first(live.project.root, live.wish.argv)
    if live.early:
        return
    live.sandboxes.build()
    with live.timings.phase("clones"):
        live.sandboxes.of()
    foresight.note(live.project, live.home)


def _surely_made(live: Live) -> None:
    """What went wrong with the sandbox is what went wrong with the tests: they had none."""
    try:
        live.sandboxes.of()
    except EnvctlError as error:
        error.exit_code = command.NOT_BEGUN
        raise


@contextmanager
def afterwards(work: Callable[[], None]) -> Iterator[None]:
    """Do the work after the block, however it ends. Who was told twice to stop leaves it to the next call of envctl."""
    try:
        yield
    except Hurried:
        raise
    except BaseException:
        work()
        raise
    else:
        work()


def _clean_up(live: Live) -> None:
    """Drop all that the run made, but what is kept to be looked at; servers of its own go as a whole."""
    with interruption.put_off(), live.timings.phase("clean-up"):
        keep = live.attendant.unwell(live.exit_code) if live.wish.keep_failed else frozenset[str]()
        if live.wish.isolation == "server":
            live.sandboxes.close()
            return
        live.kept = live.sandboxes.drop(keep, live.run.keep)
        if live.wish.processes:
            ports.release(sandbox.process_key(live.project, ""))
        if not live.kept:
            live.run.done()
        upkeep.begin(live.sandboxes, live.home)


def _forget(slot: Run, home: Path, voice: Voice, timings: Timings) -> None:
    with interruption.put_off(), timings.phase("clean-up"):
        if servers.forget(home, talk=voice.talk):
            slot.done()
