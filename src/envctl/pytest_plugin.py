"""The pytest plugin: a client of the run that it works for. One file of standard library and pytest, for it travels.

`envctl test` hands it to whatever Python runs the tests, where envctl need not be installed; then ENVCTL_RUN says where
the run's desk is. Installed with envctl it also opens a run for the bare `pytest` of a project that says
`envctl = true`, and else it does nothing. Python 3.8 must be able to read it, and pytest need not: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

PASSPORT = "ENVCTL_RUN"
TRAVELLING = "envctl_pytest_plugin"
"""The module's name where it came with the run; the one that is installed leaves the work to it."""
NEEDED = {"socket", "plugin", "worker_variable", "root", "wrong_tree"}
"""What a passport says at the least."""
RUN = "envctl-run"
REFUSED = "envctl: "
"""What the text of every refusal begins with, which tells those of a worker from its other errors."""
SECRETS = {"password", "url", "access_key", "secret_key", "variables", "values"}
WRONG_TREE, INTERRUPTED = 2, 130
UNREAD = 50
"""How many answers may wait for us: some hundreds fill the socket, and the desk would wait for us as we for it."""


class Known:
    """What is told of one thing: it stays as it is, and is shown without secrets. Cheaper to load than dataclasses."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.__dict__.update((name, told[name]) for name in type(self).__annotations__)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} stays as it is")

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__dict__.items() if name not in SECRETS)
        return f"{type(self).__name__}({', '.join(shown)})"


class Resource(Known):
    """One isolated thing in a service."""

    service: str
    kind: str
    name: str


class Sandbox(Known):
    """What this process has for itself."""

    namespace: str
    worker: str
    environment: str
    resources: tuple[Resource, ...]
    variables: Mapping[str, str]
    values: Mapping[str, str]
    """All that is known, by the names that `envctl.toml` uses: `postgres.url`, `s3.bucket` …"""

    def url(self, service: str = "postgres") -> str:
        """The URL of its database, or of another service."""
        return self.values[f"{service}.url"]

    def bucket(self, logical: str = "") -> str:
        """Its bucket: the first, or the one that the configuration calls so."""
        return self.values[f"s3.bucket.{logical}" if logical else "s3.bucket"]


class FreshDatabase(Known):
    """A migrated database that one test has for itself."""

    name: str
    host: str
    port: int
    user: str
    password: str
    url: str

    def driver(self, scheme: str) -> str:
        """Its URL for a driver, such as `postgresql+asyncpg`."""
        return f"{scheme}://{self.url.partition('://')[2]}"


class FreshBucket(Known):
    """An empty bucket that one test has for itself, with a key for it alone."""

    name: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="session")
def envctl_sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """The sandbox of this process: namespace, worker, resources, variables and values."""
    with _told_briefly():
        told = _run_of(request.config).told()
    resources = tuple(Resource(one) for one in told["sandbox"]["resources"])
    return Sandbox({**told["sandbox"], "variables": told["variables"], "resources": resources})


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """A migrated database that this test has for itself."""
    with _lent(request, "fresh_database") as told:
        yield FreshDatabase({**told, "port": int(told["port"])})


@pytest.fixture
def fresh_bucket(request: pytest.FixtureRequest) -> Iterator[FreshBucket]:
    """An empty bucket that this test has for itself; indirect parametrization chooses which one it stands for."""
    with _lent(request, "fresh_bucket", logical=getattr(request, "param", "")) as told:
        yield FreshBucket({**told, "name": told["bucket"]})


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Join the run that started us: a worker's variables stand before anything of the project is imported."""
    parser.addini("envctl", "Run bare pytest in a sandbox of envctl.", type="bool", default=False)
    passport = _taken()
    if passport is not None and not pluginmanager.has_plugin(RUN):
        worker = _worker(passport)
        run = Run(passport, worker) if passport.get("worker") else Controller(passport, worker)
        if worker:
            os.environ.update(run.told()["variables"])
        pluginmanager.register(run, RUN)
        if passport.get("audit"):
            pluginmanager.register(_auditor(run), "envctl-audit")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Open a run where the project wants one and none has started us; in any case before the first conftest."""
    manager = early_config.pluginmanager
    known = early_config.known_args_namespace
    wanted = not (known.help or known.version)
    if wanted and not manager.has_plugin(RUN) and early_config.getini("envctl"):
        manager.register(_opened(early_config), RUN)
    run = manager.get_plugin(RUN)
    if not isinstance(run, Run):
        return (yield)
    early_config.add_cleanup(run.desk.close)
    if not wanted:
        run.desk.post(tell="tests", count=0, ran=0)  # Somebody asks for help: nothing is tested, and that is no fault.
    elif run.passport.get("early"):
        with _interruptible():
            os.environ.update(run.told()["variables"])  # We were started before they were there.
    sys.path[:] = [one for one in sys.path if one != run.passport["plugin"]]
    try:
        return (yield)
    except Exception:
        run.refuse_wrong_tree(early_config)  # The better word for an import that failed because of it.
        raise


def _opened(config: pytest.Config) -> Controller:
    """A run of our own. Only here envctl is imported, for here it is installed."""
    from envctl import bare

    opened = bare.Run(config.rootpath)
    config.add_cleanup(opened.close)
    with _interruptible():
        return Controller({**_unless_refused(opened.passport()), "early": True}, "")


class Run:
    """The run as a process of it sees it: its desk, its sandbox, its checkout. A worker of xdist needs no more."""

    def __init__(self, passport: Mapping[str, Any], worker: str) -> None:
        self.passport = passport
        self.worker = worker
        self.desk = Desk(Path(passport["socket"]))
        self._told: dict[str, Any] = {}

    def told(self) -> dict[str, Any]:
        """What the desk says is ours; asked once. No property: pytest looks at those of a plugin."""
        self._told = self._told or self.desk.ask(ask="sandbox", worker=self.worker)
        return self._told

    def refuse_wrong_tree(self, config: pytest.Config) -> None:
        """End here if what is imported already, or surely will be, is not this checkout's."""
        wrong = self._wrong(_conftests(config), lambda holder: _settled(holder, config))
        if wrong:
            sys.stderr.write(f"error: {wrong}\n")
            raise SystemExit(WRONG_TREE)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All is imported now, and no test has run yet."""
        files = {item.path for item in session.items}
        wrong = self._wrong([*_conftests(session.config), *sorted(files)], lambda holder: True)
        if wrong and hasattr(session.config, "workeroutput"):
            session.config.workeroutput["envctl"] = wrong
            pytest.exit("wrong tree", returncode=WRONG_TREE)
        elif wrong:
            _end(wrong, WRONG_TREE)

    def _wrong(self, files: Iterable[Path], settled: Callable[[Path], bool]) -> str:
        """What the desk says of the files that we would work with; of each folder, one."""
        if self.passport["wrong_tree"] != "refuse":
            return ""
        imported = dict(_spread(Path(self.passport["root"])))
        for name, own in self.desk.ask(ask="packages")["packages"].items():
            sure = name in sys.modules or all(settled(Path(one)) for one in own["holders"])
            found = _origin(name) if sure else ""
            if found and found not in own["files"]:
                imported[name] = found
        shown = {one.parent: str(one) for one in files}
        path = os.environ.get("PYTHONPATH", "")
        return str(self.desk.ask(ask="tree", imported=imported, files=[*shown.values()], path=path)["wrong"])


class Controller(Run):
    """The process that was started: it speaks for the run, and passes on to workers what they need."""

    said = ""
    tests = ran = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, Any, Any]:
        """Before xdist makes workers out of a number."""
        if not config.option.help:
            self.refuse_wrong_tree(config)
            if not config.option.collectonly:
                with _interruptible():
                    self._admit(config)
        return (yield)

    def _admit(self, config: pytest.Config) -> None:
        """Ask how many workers may come, and let no more come."""
        specs = _specs(config)
        answer = self.desk.ask(ask="workers", count=len(specs))
        count = min(answer["count"], len(specs))
        if count < len(specs):
            self.said = f"envctl: {count} of {len(specs)} workers: {answer['reason']}"
        if getattr(config.option, "numprocesses", None) is not None or (specs and not count):
            config.option.numprocesses = count
        elif specs:
            config.option.tx = specs[:count]

    def pytest_report_header(self) -> str | None:
        """Only what a person would wonder about."""
        return self.said or None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: Sequence[Any]) -> None:
        """Workers get the passport, and those that replace them, for theirs is the same spec.

        Where `-p` names something of the project's, which they import before us, they start with their variables too.
        """
        hasty = any(not one.startswith(("no:", "xdist", "envctl")) for one in config.option.plugins or ())
        passed = {PASSPORT: json.dumps({**self.passport, "worker": True})}
        if __name__ == TRAVELLING:
            passed["PYTEST_PLUGINS"] = ",".join(filter(None, (TRAVELLING, os.environ.get("PYTEST_PLUGINS"))))
        for spec in specs:
            if spec.popen:
                own = self.desk.ask(ask="sandbox", worker=spec.id)["variables"] if hasty else {}
                spec.env.update({**own, **passed})

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """What stops one worker stops the run: another in its place would meet the same."""
        wrong = getattr(node, "workeroutput", {}).get("envctl")
        if wrong:
            _end(wrong, WRONG_TREE)
        refused = str(error).partition(f"UsageError: {REFUSED}")[2].strip()
        if refused:
            _end(refused, pytest.ExitCode.USAGE_ERROR)

    def pytest_runtest_logstart(self) -> None:
        """Count, and tell of the first."""
        if not self.tests:
            self.desk.post(tell="started")
        self.tests += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Whose database might be worth a look, and how many tests were not skipped."""
        skipped = report.skipped and not hasattr(report, "wasxfail")
        self.ran += (report.when == "call" and not skipped) or (report.when == "setup" and report.failed)
        if report.failed:
            node = getattr(report, "node", None)
            worker = self.worker if node is None else node.gateway.id
            self.desk.post(tell="failed", worker=worker, test=report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """How many it were; and where nobody else will say it, whether they can be believed."""
        self.desk.post(tell="tests", count=self.tests, ran=self.ran)
        if self.passport.get("bare") and self.ran:
            failed, said = self._believed()
            if said:
                sys.stderr.write(f"\n{said}\n")
            if failed and not session.exitstatus:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _believed(self) -> tuple[bool, str]:
        """Whether a green run is none, and what must be said of it."""
        try:
            doubt = self.desk.ask(ask="doubt")
        except pytest.UsageError as error:  # A server has died, say: pytest's own exit code stands nevertheless.
            return True, f"error: {str(error)[len(REFUSED) :]}"
        return doubt["strict"] and bool(doubt["warning"]), doubt["warning"] and f"warning: {doubt['warning']}"


class Desk:
    """Our one connection to the run, from which it knows that we live."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: Any = None
        self._owed = 0
        # A forked child has to connect by itself, or both would read each other's answers.
        os.register_at_fork(after_in_child=self._hang_up)

    def ask(self, **question: Any) -> dict[str, Any]:
        """The answer; a refusal ends pytest as a wrong command line would."""
        try:
            self._say(question)
            while self._owed:
                line = self._stream.readline()
                self._owed -= 1
            return _unless_refused(line)
        except KeyboardInterrupt:
            self._hang_up()  # The answer, should it still come, is nobody's.
            raise
        except (OSError, ValueError) as error:  # No connection, or only a part of an answer.
            raise _refusal("the run is gone", error if isinstance(error, OSError) else "", "start it again") from error

    def post(self, **question: Any) -> None:
        """The same where no answer matters; nobody waits for it."""
        with suppress(OSError):
            self._say(question)
            if self._owed >= UNREAD:
                self._read_on()

    def close(self) -> None:
        """Once all is read: who hangs up earlier is not heard to the end."""
        with suppress(OSError):
            self._read_on()
        self._hang_up()

    def _read_on(self) -> None:
        while self._owed and self._stream.readline():
            self._owed -= 1

    def _say(self, question: Mapping[str, Any]) -> None:
        self._stream = self._stream or _connected(self._path)
        self._stream.write(json.dumps(question).encode() + b"\n")
        self._stream.flush()
        self._owed += 1

    def _hang_up(self) -> None:
        if self._stream is not None:
            with suppress(OSError):
                self._stream.close()
        self._stream, self._owed = None, 0


def _taken() -> dict[str, Any] | None:
    """What envctl handed to this process, taken out of the environment: tests are to see nothing of ours."""
    if __name__ != TRAVELLING and TRAVELLING in os.environ.get("PYTEST_PLUGINS", "").split(","):
        return None
    written = os.environ.pop(PASSPORT, None)
    if written is None:
        return None
    passport = _read(written)
    for name, ours, separator in (("PYTHONPATH", passport["plugin"], os.pathsep), ("PYTEST_PLUGINS", TRAVELLING, ",")):
        left = [one for one in os.environ.pop(name, "").split(separator) if one not in ("", ours)]
        if left:
            os.environ[name] = separator.join(left)
    return passport


def _read(written: str) -> dict[str, Any]:
    """The passport; what stands there may also be somebody else's, or half of it lost on the way."""
    with suppress(ValueError):
        passport = json.loads(written)
        if isinstance(passport, dict) and NEEDED.issubset(passport):
            return passport
    raise _refusal(f"{PASSPORT} does not name a run", "", f"the variable is envctl's own: unset {PASSPORT}")


def _auditor(run: Run) -> Any:
    """What tells an audit of the tests; it is loaded from its file, for its package may not be installed here."""
    spec = importlib.util.spec_from_file_location("envctl_pytest_audit", run.passport["audit"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Auditor(run)


def _worker(passport: Mapping[str, Any]) -> str:
    """Who we are. xdist's variable counts only in a worker of this run: we may be run by a worker of another."""
    if passport.get("worker"):
        return os.environ["PYTEST_XDIST_WORKER"]
    chosen = passport["worker_variable"]
    return os.environ.get(chosen, "") if chosen != "PYTEST_XDIST_WORKER" else ""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Before there is a session pytest has no end for Ctrl-C but a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _specs(config: pytest.Config) -> list[str]:
    """The workers that xdist would start."""
    option = config.option
    count = getattr(option, "numprocesses", None)
    if count is not None:
        if isinstance(count, str):
            count = 0 if getattr(option, "usepdb", False) else config.hook.pytest_xdist_auto_num_workers(config=config)
        return ["popen"] * (min(count, option.maxprocesses) if option.maxprocesses else count)
    if not getattr(option, "tx", None) or (option.dist == "no" and not option.distload):
        return []
    counted = (one.partition("*") if one[:1].isdigit() else ("1", "*", one) for one in option.tx)
    return [spec for count, _, spec in counted for _ in range(int(count))]


def _run_of(config: pytest.Config) -> Run:
    run: Run | None = config.pluginmanager.get_plugin(RUN)
    if run is None:
        raise _refusal("this fixture needs a run", "", "start the tests with `envctl test`, or set envctl = true")
    return run


@contextmanager
def _lent(request: pytest.FixtureRequest, what: str, **more: str) -> Iterator[dict[str, Any]]:
    with _told_briefly():
        run = _run_of(request.config)
        told = run.desk.ask(ask=what, worker=run.worker, **more)
    yield told
    run.desk.post(ask="give_back", name=told["name"])


@contextmanager
def _told_briefly() -> Iterator[None]:
    """A test that cannot have what it wants needs no traceback of ours."""
    try:
        yield
    except pytest.UsageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _end(text: str, code: int) -> None:
    """Stop the session. The text goes by itself, since pytest would put it on a line with its own."""
    sys.stderr.write(f"\nerror: {text}\n")
    pytest.exit(text.splitlines()[0], returncode=code)


def _unless_refused(line: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise _refusal(*(answer["error"][part] for part in ("message", "cause", "hint")))
    return answer


def _refusal(message: str, cause: object, hint: str) -> pytest.UsageError:
    lines = [REFUSED + message, *(f"  {line}" for line in str(cause).splitlines())]
    return pytest.UsageError("\n".join([*lines, f"  hint: {hint}"] if hint else lines))


def _connected(path: Path) -> Any:
    """The socket as a file. A path that is too long for a socket is reached through its folder's descriptor."""
    import socket

    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            short = len(os.fsencode(path)) <= 100
            connection.connect(str(path) if short else f"/proc/self/fd/{folder}/{path.name}")
            return connection.makefile("rwb")
    finally:
        os.close(folder)


def _origin(name: str) -> str:
    """The file that a top-level name is, or would be, imported from."""
    origin = getattr(sys.modules.get(name), "__file__", None)
    if name not in sys.modules:
        with suppress(Exception):  # Of a finder of somebody's; the import itself will tell.
            spec = importlib.util.find_spec(name)
            origin = spec.origin if spec is not None and spec.has_location else None
    return str(Path(origin).resolve()) if origin else ""


def _spread(root: Path) -> Iterator[tuple[str, str]]:
    """What was imported by the name of a folder without `__init__.py`, and does not come from that folder."""
    for name in {one.name for holder in (root, root / "src") if holder.is_dir() for one in holder.iterdir()}:
        package = sys.modules.get(name)
        if package is None or getattr(package, "__file__", None) or not hasattr(package, "__path__"):
            continue
        ours = tuple(f"{(holder / name).resolve()}{os.sep}" for holder in (root, root / "src"))
        within = {one: getattr(module, "__file__", None) for one, module in [*sys.modules.items()]}
        files = {one: file for one, file in within.items() if file and one.startswith(f"{name}.")}
        for one, file in (files or {name: next(iter(package.__path__), "")}).items():
            found = str(Path(file).resolve())
            if file and not f"{found}{os.sep}".startswith(ours):
                yield one, found


def _settled(holder: Path, config: pytest.Config) -> bool:
    """Whether collecting has no reason to put this folder before the rest of sys.path."""
    if config.getoption("importmode", "prepend") != "prepend" or not config.args:
        return bool(config.args)
    given = [Path(config.invocation_params.dir, one.partition("::")[0]).resolve() for one in config.args]
    return not any(holder == one or holder in one.parents or one in holder.parents for one in given)


def _conftests(config: pytest.Config) -> list[Path]:
    files = (getattr(one, "__file__", None) for one in config.pluginmanager.get_plugins())
    return [Path(file) for file in files if file and Path(file).name == "conftest.py"]
