"""`envctl test`: a slot of this namespace → held servers → template → clones → the command → nothing left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from envctl import dev, leases, ports, recovery, runs, sandbox, servers, services, shell, templates
from envctl.errors import EnvctlError
from envctl.keeper.keeping import Kept
from envctl.libpq import REDIRECTING
from envctl.model import Command, Resource, Running, Talk
from envctl.processes import Hurried, Write, foreground, run_foreground
from envctl.project import Project
from envctl.runs import Run
from envctl.sandbox import Sandbox
from envctl.servers import Servers
from envctl.templates import Ready
from envctl.testing import desk, evidence, foresight, interruption, passport, upkeep
from envctl.testing.admittance import Admittance
from envctl.testing.attendant import Attendant
from envctl.testing.sandboxes import Sandboxes
from envctl.testing.timings import Timings
from envctl.testing.wish import Wish, narrowed

NOT_BEGUN = 125
"""The exit code of a run whose command never had its sandbox."""
UNHEARD = (
    "pytest ran without envctl's plugin, so no worker knew what is its own, and the run counts as failed. "
    "Is the plugin switched off (-p no:…), or the environment emptied on the way?"
)
HELP = {"--version", "-V", "-VV", "--help", "-h"}
"""With these pytest may end before it has loaded anything."""
TURNS = 30
"""A turn is waited for so many times as long as a lock: it comes when somebody's tests are over."""

Differences = Callable[[], tuple[str, ...]]
"""How the servers that run differ from what this checkout asks for."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Where a run says what it does: its steps, their details, and the lines of the processes beside it."""

    talk: Talk
    detail: Talk
    write: Write
    own_stdout: bool = True
    """Whether the command may write to our stdout; else to our stderr, for stdout is ours alone."""


@dataclass
class Live:
    """A run that is open, and what is learned while it goes on."""

    project: Project
    wish: Wish
    run: Run
    home: Path
    timings: Timings
    sandboxes: Sandboxes
    attendant: Attendant
    socket: Path
    early: bool = False
    """Whether pytest starts while its sandbox is being made, and asks for it when it needs it."""
    code: int = 0
    warning: str = ""
    """Why a green run should not be believed."""
    kept: tuple[Resource, ...] = ()

    @property
    def throw_away(self) -> bool:
        """Whether what is kept goes with the servers."""
        return not self.home.name.startswith("dev-")

    def prepare(self) -> None:
        """Begin with the run's own sandbox; where it is there already, nothing happens."""
        self.sandboxes.expect([""])

    @property
    def base(self) -> Sandbox:
        """The run's own sandbox, which is nobody's of its workers."""
        return self.sandboxes.of()


def run(project: Project, wish: Wish, *, wait: float, voice: Voice, timings: Timings) -> Live:
    """Run one command in a sandbox of its own, and leave nothing of it."""
    with (
        foreground(output=None if voice.own_stdout else 2) as keeper,
        interruption.heeded(),
        opened(project, wish, timings, wait=wait, voice=voice) as live,
        timings.phase("tests"),
    ):
        live.code = _command(live, keeper, voice)
        if live.early:
            _surely_made(live)
        if wish.plugin and live.code in (0, 1):
            live.warning = doubt(live)
        if wish.is_pytest and not attended(live):
            live.code = live.code or 1
    return live


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
        handlers = {**attendant.handlers(), "doubt": lambda question, caller: _told(live)}
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
        error.exit_code = NOT_BEGUN
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
        keep = live.attendant.unwell(live.code) if live.wish.keep_failed else frozenset[str]()
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


def _command(live: Live, keeper: Kept, voice: Voice) -> int:
    """Run the command, beside the processes that its suite asks for, and return its exit code."""
    own = _environment(live)
    if live.wish.plugin:
        own |= passport.issued(live.project, live.wish, live.socket, early=live.early)
    without = tuple(name for name in REDIRECTING if name not in live.project.config.exported(services.get))
    command = Command(live.wish.argv, env=own, cwd=_place(live), without=without)

    def work() -> int:
        try:
            return run_foreground(command, impatient=live.wish.plugin, ahead=keeper, meanwhile=live.prepare)
        except EnvctlError as error:
            if error.code == "no_program":
                error.exit_code = NOT_BEGUN
            raise

    if not live.wish.processes:
        return work()
    beside = dev.processes(live.base, live.wish.processes, voice.talk)
    return dev.run_beside(beside, work, write=voice.write, talk=voice.talk)


def attended(live: Live) -> bool:
    """Whether the tests came to the desk for their sandbox; where there is nothing to be had, nobody has to."""
    help_alone = not HELP.isdisjoint(live.wish.words)
    return live.attendant.asked or help_alone or not live.project.config.services


def _told(live: Live) -> dict[str, object]:
    return {"warning": doubt(live), "strict": live.wish.strict}


def doubt(live: Live) -> str:
    """Why what the tests say should not be believed; empty where they used this run's databases."""
    if live.wish.is_pytest and not attended(live):
        return UNHEARD
    exported = live.project.config.exported(services.get)
    for name, visits in live.sandboxes.visits().items():
        found = evidence.verdict(visits, live.timings.tests or 1, exported, service=name)
        if found:
            return found
    return ""


def _environment(live: Live) -> dict[str, str]:
    """The sandbox's variables. PATH is as it was, unless the project has an environment or the program is not on it."""
    own = {} if live.early else dict(live.base.variables)
    found = shell.which(live.wish.argv[0]) is not None and not (live.project.root / ".venv").is_dir()
    return own if found else dev.environment(live.project.root, own)


def _place(live: Live) -> Path:
    """Where the command runs: the configuration's at the project's root, a typed one where it was typed."""
    return live.project.root if live.wish.command else Path.cwd()
