"""The processes of an application run together and end together."""

from __future__ import annotations

import http.server
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

import envctl
from envctl.errors import EnvctlError, PortTakenError, UsageError
from envctl.keeper import keeping
from envctl.keeper.keeping import ADOPTS
from envctl.model import Command
from envctl.processes import Process, health, run_all, run_foreground

SOURCES = os.pathsep.join([str(Path(envctl.__file__).parent.parent), *filter(None, sys.path)])
PYTHON = sys.executable
MARK = "TEST_PROCESSES_MARK"
DAEMON = f"""{PYTHON} -c '
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for fd in range(3): os.close(fd)
time.sleep(1000)
'"""
DEAF = "trap '' INT TERM; echo deaf; while :; do sleep 1000; done"

linux = pytest.mark.skipif(not ADOPTS, reason="only Linux hands orphans to the keeper")


class Marked:
    """The processes that carry this test's mark in their environment, wherever they went."""

    def __init__(self) -> None:
        self.value = secrets.token_hex(8)

    def alive(self) -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if self._has(one)]

    def gone_at_last(self) -> bool:
        """For those whose end nobody waits for in this process."""
        return not psutil.wait_procs(self.alive(), timeout=30)[1] and not self.alive()

    def _has(self, one: psutil.Process) -> bool:
        try:
            return one.status() != psutil.STATUS_ZOMBIE and one.environ().get(MARK) == self.value
        except (psutil.Error, OSError):
            return False


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marked]:
    mark = Marked()
    with monkeypatch.context() as patch:
        patch.setenv(MARK, mark.value)
        yield mark
    for one in mark.alive():
        with suppress(psutil.NoSuchProcess):
            one.kill()


class Screen:
    """What the processes wrote and what was said, by this process's own run."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.hear: Callable[[str], None] = lambda line: None

    def run(self, *processes: Process, stop: threading.Event | None = None, patience: float = 60) -> int:
        return run_all(processes, write=self.write, talk=self.talk, stop=stop, patience=patience)

    def write(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self.hear(line)

    def talk(self, line: str) -> None:
        self.said.append(line)
        self.hear(line)

    def of(self, name: str) -> list[str]:
        return [line for one, line in self.lines if one == name]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def process(command: str, name: str = "app", *, port: int | None = None, health: str = "") -> Process:
    return Process(name, command, Path.cwd(), {}, port, health)


@contextmanager
def supervisor(**order: object) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs the order, in a session of its own, without a terminal."""
    with subprocess.Popen(
        [PYTHON, str(Path(__file__).with_name("supervised.py")), json.dumps(order)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
        start_new_session=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def read_until(started: subprocess.Popen[str], wanted: str) -> list[str]:
    assert started.stdout is not None
    lines = []
    for line in started.stdout:
        lines.append(line.rstrip("\n"))
        if wanted in line:
            return lines
    raise AssertionError(f"{wanted!r} never came: {lines}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What comes out


def test_lines_come_with_the_name_of_their_process(screen: Screen) -> None:
    code = screen.run(process("echo one; echo two >&2; sleep 0.3"), process("echo three; sleep 1000", "worker"))
    assert (code, screen.of("app"), screen.of("worker")) == (0, ["one", "two"], ["three"])


def test_hundred_thousand_lines_all_arrive_in_order(screen: Screen) -> None:
    assert screen.run(process("seq 100000")) == 0
    assert screen.of("app") == [str(number) for number in range(1, 100001)]


def test_last_words_without_a_newline_are_heard(screen: Screen) -> None:
    screen.run(process("printf 'started\\nalmost'"))
    assert screen.of("app") == ["started", "almost"]


def test_megabytes_without_a_newline_come_in_pieces(screen: Screen) -> None:
    screen.run(process("head -c 5000000 /dev/zero | tr '\\0' x"))
    assert len(screen.of("app")) > 10
    assert "".join(screen.of("app")) == "x" * 5_000_000


def test_binary_output_cannot_disturb_the_terminal(screen: Screen) -> None:
    screen.run(process("head -c 200000 /dev/urandom; printf '\\033c\\033[2J\\033]0;title\\007\\033[31mred\\033[0m\\n'"))
    controls = {sign for line in screen.of("app") for sign in line if not sign.isprintable()} - {"\x1b"}
    assert not [sign for sign in controls if ord(sign) < 32 or 127 <= ord(sign) < 160]
    assert screen.of("app")[-1].endswith("\x1b[31mred\x1b[0m")
    assert "title" not in screen.of("app")[-1]


def test_processes_have_the_given_variables_over_ours(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERS", "ours")
    monkeypatch.setenv("HIS", "ours")
    for name in [name for name in os.environ if name.startswith("ENVCTL_")]:
        monkeypatch.delenv(name)
    command = 'echo "$HIS $HERS"; env | grep -c ENVCTL_ || true'
    screen.run(Process("app", command, Path.cwd(), {"HERS": "ü\n2"}))
    assert screen.of("app") == ["ours ü", "2", "0"]


# How it ends


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137)])
def test_first_end_decides_and_takes_the_others_along(command: str, code: int, screen: Screen, marked: Marked) -> None:
    assert screen.run(process(f"sleep 0.2; {command}"), process("sleep 1000", "worker")) == code
    assert f"app ended with {code}" in screen.said
    assert not marked.alive()


def test_stop_event_ends_all_of_it(screen: Screen, marked: Marked) -> None:
    stop = threading.Event()
    screen.hear = lambda line: stop.set() if line == "up" else None
    assert screen.run(process("echo up; sleep 1000"), stop=stop) == 0
    assert not marked.alive()


def test_ending_leaves_no_thread_and_no_descriptor(screen: Screen) -> None:
    screen.run(process("true"), stop=threading.Event())  # imports what is imported once
    before = (threading.active_count(), psutil.Process().num_fds())
    screen.run(process("true"), process("sleep 1000", "worker"), stop=threading.Event())
    assert (threading.active_count(), psutil.Process().num_fds()) == before


@pytest.mark.parametrize(
    "escape",
    [
        "sleep 1000 & echo up; wait",
        "setsid sleep 1000 & echo up; wait",
        "setsid sh -c 'sleep 1000 & sleep 1000' & echo up; sleep 1000",
        pytest.param(f"{DAEMON}; echo up; sleep 1000", marks=linux),
        pytest.param(f"setsid setsid {DAEMON}; echo up; exec sleep 1000", marks=linux),
    ],
)
def test_no_descendant_gets_away(escape: str, screen: Screen, marked: Marked) -> None:
    stop = threading.Event()
    screen.hear = lambda line: stop.set() if line == "up" else None
    screen.run(process(escape), stop=stop)
    assert not marked.alive()


def test_daemon_left_by_a_process_that_ended_is_ended_too(screen: Screen, marked: Marked) -> None:
    assert screen.run(process(f"{DAEMON}; exit 4")) == 4
    assert not marked.alive()


def test_daemon_is_found_by_its_mark_where_orphans_are_not_handed_over(
    screen: Screen, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "ADOPTS", False)
    assert screen.run(process(f"{DAEMON}; sleep 0.2; exit 4")) == 4
    assert not marked.alive()


def test_strangers_are_left_alone(screen: Screen, marked: Marked) -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            screen.run(process("sleep 1000 & sleep 0.2"))
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_descendants_of_a_stopped_process_end_though_it_cannot_hear(
    screen: Screen, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE", 0.2)
    stop = threading.Event()
    screen.hear = lambda line: stop.set() if line == "up" else None
    screen.run(process("sleep 1000 & echo up; kill -STOP $$"), stop=stop)
    assert not marked.alive()


def test_interrupt_comes_first_then_terminate_then_kill(marked: Marked) -> None:
    tell = "trap 'echo got INT' INT; trap 'echo got TERM' TERM; echo up; while :; do sleep 0.1; done"
    with supervisor(processes={"app": tell}, patience=0.5) as started:
        read_until(started, "app| up")
        started.send_signal(signal.SIGINT)
        rest, _ = started.communicate()
        assert [line for line in rest.splitlines() if "got" in line] == ["app| got INT", "app| got TERM"]
        assert started.returncode == 130
    assert not marked.alive()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_to_envctl_ends_all_and_is_the_exit_code(number: int, code: int, marked: Marked) -> None:
    with supervisor(processes={"app": "echo up; sleep 1000", "worker": "sleep 1000 & wait"}) as started:
        read_until(started, "app| up")
        started.send_signal(number)
        assert started.wait() == code
    assert not marked.alive()


def test_second_interrupt_kills_at_once(marked: Marked) -> None:
    with supervisor(processes={"app": DEAF}, patience=1000) as started:
        read_until(started, "app| deaf")
        started.send_signal(signal.SIGINT)
        read_until(started, "stopping")
        time.sleep(0.3)  # closer together they would be one
        started.send_signal(signal.SIGINT)
        assert started.wait() == 130
    assert not marked.alive()


def test_interrupt_that_comes_twice_at_once_counts_once(marked: Marked) -> None:
    polite = "trap 'sleep 1; echo goodbye; exit 0' INT; echo up; while :; do sleep 0.1; done"
    with supervisor(processes={"app": polite}) as started:
        read_until(started, "app| up")
        started.send_signal(signal.SIGINT)
        read_until(started, "stopping")
        started.send_signal(signal.SIGINT)
        read_until(started, "app| goodbye")
        assert started.wait() == 130
    assert not marked.alive()


def test_killed_envctl_leaves_nothing(marked: Marked) -> None:
    everything = {"app": f"setsid sleep 1000 & {DAEMON}; echo up; wait", "deaf": DEAF}
    with supervisor(processes=everything) as started:
        read_until(started, "app| up")
        started.kill()
        started.wait()
        assert marked.gone_at_last()


@linux
def test_killed_keeper_takes_its_program_and_its_children_along(marked: Marked) -> None:
    with supervisor(processes={"app": "sleep 1000 & echo up; wait", "worker": "sleep 1000"}) as started:
        read_until(started, "app| up")
        (keeper,) = [one for one in psutil.Process(started.pid).children() if one.cmdline()[-1] == "app"]
        keeper.kill()
        assert read_until(started, "error")[-1] == "error the keeper of app was killed"
        assert started.wait() == 99
    assert marked.gone_at_last()


def test_nobody_reading_is_a_reason_to_stop(screen: Screen, marked: Marked) -> None:
    def deaf(line: str) -> None:
        raise BrokenPipeError

    screen.hear = deaf
    assert screen.run(process("yes")) == 141
    assert not marked.alive()


def test_failing_writer_leaves_nothing(screen: Screen, marked: Marked) -> None:
    def broken(line: str) -> None:
        raise ZeroDivisionError

    screen.hear = broken
    with pytest.raises(ZeroDivisionError):
        screen.run(process("echo up; sleep 1000"), process(DAEMON, "other"))
    assert not marked.alive()


@linux
def test_nobody_wakes_up_while_nothing_happens(marked: Marked) -> None:
    with supervisor(processes={"app": "echo up; exec sleep 1000"}) as started:
        read_until(started, "app| up")
        watching = [psutil.Process(started.pid), *psutil.Process(started.pid).children()]
        time.sleep(0.3)
        before = [one.num_ctx_switches().voluntary for one in watching]
        time.sleep(0.5)
        assert [one.num_ctx_switches().voluntary for one in watching] == before


# Health


def serve(port: int) -> str:
    return f"exec {PYTHON} -m http.server {port} --bind 127.0.0.1"


@pytest.mark.parametrize(("health", "said"), [("/", "http://127.0.0.1:{}"), ("tcp", "127.0.0.1:{}")])
def test_ready_is_said_once_with_the_address(health: str, said: str, screen: Screen) -> None:
    port, stop = free_port(), threading.Event()
    screen.hear = lambda line: stop.set() if " ready at " in line else None
    assert screen.run(process(serve(port), "api", port=port, health=health), stop=stop) == 0
    assert [line for line in screen.said if "ready" in line] == [f"api ready at {said.format(port)}"]


def test_death_before_ready_shows_the_last_words(screen: Screen, marked: Marked) -> None:
    port = free_port()
    with pytest.raises(EnvctlError, match="api ended with 3 before it was ready") as caught:
        screen.run(
            process("seq 100; echo no such module >&2; exit 3", "api", port=port, health="/"),
            process("sleep 1000", "worker"),
        )
    assert caught.value.cause.splitlines()[-2:] == ["100", "no such module"]
    assert not marked.alive()


def test_process_that_answers_500_is_not_ready(screen: Screen, marked: Marked) -> None:
    port = free_port()
    with pytest.raises(EnvctlError, match=r"api was not ready after 0\.5 s") as caught:
        screen.run(process(serve(port), "api", port=port, health="/missing"), patience=0.5)
    assert caught.value.cause
    assert not marked.alive()


def test_port_of_a_stranger_is_refused_before_anything_starts(screen: Screen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            screen.run(process("echo up", "api", port=port, health="tcp"))
    assert not screen.lines


def test_health_without_a_port_is_refused(screen: Screen) -> None:
    with pytest.raises(UsageError):
        screen.run(process("echo up", health="/"))


# In the foreground


@pytest.mark.parametrize(
    ("argv", "code"), [(("true",), 0), (("sh", "-c", "exit 7"), 7), (("sh", "-c", "kill -TERM $$"), 143)]
)
def test_exit_code_passes_through(argv: tuple[str, ...], code: int) -> None:
    assert run_foreground(Command(argv)) == code


def test_program_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvctlError, match="no-such-program could not be run"):
        run_foreground(Command(("no-such-program",)))


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvctlError) as caught:
        run_foreground(Command(("true",), cwd=tmp_path / "gone"))
    assert str(tmp_path / "gone") in caught.value.cause


def test_foreground_program_has_our_standard_streams(capfd: pytest.CaptureFixture[str]) -> None:
    run_foreground(Command(("sh", "-c", "echo out; echo err >&2")))
    assert capfd.readouterr() == ("out\n", "err\n")


def test_what_a_foreground_program_leaves_behind_is_ended(marked: Marked) -> None:
    assert run_foreground(Command(("sh", "-c", f"setsid sleep 1000 & {DAEMON}; exit 2"))) == 2
    assert not marked.alive()


COUNT = f"""{PYTHON} -c '
import signal, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("up", flush=True)
while not seen: time.sleep(0.05)
time.sleep(0.5)
print("interrupts", len(seen), flush=True)
'"""


def test_interrupt_without_a_terminal_is_passed_on_once(marked: Marked) -> None:
    with supervisor(foreground=["sh", "-c", f"exec {COUNT}"]) as started:
        read_until(started, "up")
        started.send_signal(signal.SIGINT)
        assert read_until(started, "code")[-2:] == ["interrupts 1", "code 0"]
    assert not marked.alive()


def test_terminate_ends_a_foreground_program_that_will_not(marked: Marked) -> None:
    with supervisor(foreground=["sh", "-c", DEAF], patience=0.2) as started:
        read_until(started, "deaf")
        started.send_signal(signal.SIGTERM)
        assert read_until(started, "code")[-1] == "code 137"
    assert not marked.alive()


# On a terminal


class Terminal:
    """A supervisor that leads a session on a terminal of its own, and the other end of that terminal."""

    def __init__(self, order: dict[str, object]) -> None:
        self.end, self.theirs = os.openpty()
        self.program = subprocess.Popen(
            [PYTHON, str(Path(__file__).with_name("supervised.py")), json.dumps({**order, "terminal": True})],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "PYTHONPATH": SOURCES},
            start_new_session=True,
        )
        self.seen = b""

    def read_until(self, wanted: str) -> str:
        """What is on the screen up to these words, which have not been read before."""
        while wanted.encode() not in self.seen:
            assert select.select([self.end], [], [], 30)[0], f"{wanted!r} never came: {self.seen!r}"
            self.seen += os.read(self.end, 4096)
        before, _, self.seen = self.seen.partition(wanted.encode())
        return before.decode()

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def settings(self) -> list[object]:
        return list(termios.tcgetattr(self.theirs))

    def hang_up(self) -> None:
        os.close(self.end)
        self.end = -1

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        for descriptor in (self.end, self.theirs):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def on_terminal(marked: Marked) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(**order: object) -> Terminal:
        opened.append(Terminal(order))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


Open = Callable[..., Terminal]


def test_interactive_program_reads_the_terminal(on_terminal: Open) -> None:
    terminal = on_terminal(foreground=["sh", "-c", "read word; echo heard $word; exit 5"])
    terminal.type("hello\n")
    terminal.read_until("heard hello")
    terminal.read_until("code 5")
    assert terminal.program.wait() == 5


def test_interrupt_key_comes_to_an_interactive_program_once(on_terminal: Open) -> None:
    terminal = on_terminal(foreground=["sh", "-c", f"exec {COUNT}"])
    terminal.read_until("up")
    terminal.type("\x03")
    terminal.read_until("interrupts 1")
    terminal.read_until("code 0")


def test_interrupt_to_envctl_alone_comes_to_an_interactive_program_once(on_terminal: Open) -> None:
    terminal = on_terminal(foreground=["sh", "-c", f"exec {COUNT}"])
    terminal.read_until("up")
    os.kill(terminal.program.pid, signal.SIGINT)
    terminal.read_until("interrupts 1")
    terminal.read_until("code 0")


def test_many_interrupts_do_not_end_a_program_that_wants_them(on_terminal: Open) -> None:
    terminal = on_terminal(foreground=["sh", "-c", "trap 'echo again' INT; echo up; while :; do sleep 0.1; done"])
    terminal.read_until("up")
    for _ in range(3):
        terminal.type("\x03")
        terminal.read_until("again")


@pytest.mark.parametrize("way", ["foreground", "processes"])
def test_terminal_is_as_before_after_a_program_that_broke_it_was_killed(way: str, on_terminal: Open) -> None:
    spoil = "stty raw -echo -isig; echo spoiled; kill -KILL $$"
    order: object = ["sh", "-c", f"read go; {spoil}"] if way == "foreground" else {"app": f"read go; {spoil}"}
    terminal = on_terminal(**{way: order})
    before = terminal.settings()
    terminal.type("go\n")
    terminal.read_until("spoiled")
    terminal.read_until("137")
    assert terminal.program.wait() == 137
    assert terminal.settings() == before


def test_terminal_comes_back_from_a_shell_that_was_killed(on_terminal: Open) -> None:
    terminal = on_terminal(foreground=["sh", "-c", "exec bash --norc -i 2>&1"])
    terminal.type("kill -KILL $$\n")
    terminal.read_until("code 137")
    assert terminal.program.wait() == 137


def test_single_process_has_the_terminal_and_its_prompt_is_shown(on_terminal: Open) -> None:
    terminal = on_terminal(processes={"app": "printf 'name? '; read word; echo heard $word"})
    terminal.read_until("app| name? ")
    terminal.type("hello\n")
    terminal.read_until("app| heard hello")
    assert terminal.program.wait() == 0


def test_interrupt_key_comes_to_a_single_process_once(on_terminal: Open) -> None:
    terminal = on_terminal(processes={"app": f"exec {COUNT}"})
    terminal.read_until("app| up")
    terminal.type("\x03")
    terminal.read_until("interrupts 1")
    assert terminal.program.wait() == 130


def test_several_processes_end_on_the_interrupt_key(on_terminal: Open, marked: Marked) -> None:
    terminal = on_terminal(processes={"app": "echo up; sleep 1000", "worker": "cat; sleep 1000"})
    terminal.read_until("app| up")
    terminal.type("\x03")
    assert terminal.program.wait() == 130
    assert not marked.alive()


def test_closed_terminal_ends_everything(on_terminal: Open, marked: Marked) -> None:
    terminal = on_terminal(processes={"app": "echo up; sleep 1000", "worker": f"{DAEMON}; sleep 1000"})
    terminal.read_until("app| up")
    terminal.hang_up()
    assert terminal.program.wait() in (129, 141)  # whichever is noticed first: the hang-up, or that nobody reads
    assert not marked.alive()


def test_a_health_path_may_have_letters_that_http_has_not(tmp_path: Path) -> None:
    (tmp_path / "größe ok").touch()
    answer = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            assert health.look("/größe ok?a=1&b=%20", server.server_port) == ""
        finally:
            server.shutdown()
            thread.join()


def test_a_process_that_takes_its_time_is_told_once_with_the_reason(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SOON", 0.2)
    monkeypatch.setattr(health, "RARELY", 0.15)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    late = f"sleep 1; exec {sys.executable} -m http.server --bind 127.0.0.1 {port}"
    stop = threading.Event()
    screen.hear = lambda line: stop.set() if "ready at" in line else None
    screen.run(Process("web", late, Path.cwd(), {}, port, "/"), stop=stop)
    told = [line for line in screen.said if "not ready yet" in line]
    assert told == [f"web is not ready yet: nothing listens on port {port}"]
