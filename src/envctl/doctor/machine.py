"""The doctor's checks of the machine, one function each."""

from __future__ import annotations

import os
import platform as this
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from envctl import ports, services, shell, state, unprivileged
from envctl.doctor.findings import Check, Finding, Patient, from_error
from envctl.errors import EnvctlError
from envctl.model import Command

GIGABYTE = 1_000_000_000
ROOM_NEEDED, ROOM_WANTED = 1 * GIGABYTE, 5 * GIGABYTE
MEMORY_WANTED = GIGABYTE // 2
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
SAMPLE = 250
"""Every so many ports one is tried."""
ANSWER = 4.0


def system(patient: Patient) -> Iterator[Finding]:
    """Linux and macOS are supported."""
    name = f"{this.system()} {this.release()} on {this.machine()}"
    if sys.platform in ("linux", "darwin"):
        yield Finding("system", "ok", name)
    else:
        yield Finding("system", "problem", f"{name} is not supported", "on Windows, run envctl inside WSL")


def python(patient: Patient) -> Iterator[Finding]:
    """The Python that runs envctl."""
    yield Finding("python", "ok", f"{this.python_version()} at {sys.executable}")


def user(patient: Patient) -> Iterator[Finding]:
    """Who we are: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        yield Finding("user", "ok", f"user {os.geteuid()}, not root")
    elif unprivileged.namespaces():
        yield Finding("user", "ok", "root; servers that refuse root run in a user namespace")
    else:
        yield Finding(
            "user",
            "warning",
            "root, and user namespaces are not allowed here: servers that refuse root run as `nobody`, from a copy",
            "run envctl as a plain user",
        )


def servers(patient: Patient) -> Iterator[Finding]:
    """Whether the servers that this project needs could run as local processes."""
    project = patient.project
    needed = project.config.services if project else dict.fromkeys(services.REGISTRY)
    wanted = project is not None and project.config.engine in ("auto", "embedded")
    for name, settings in needed.items():
        service = services.get(name)
        try:
            program = service.program(service.settings() if settings is None else settings)
        except EnvctlError as error:
            yield from_error(f"server {name}", error, "problem" if wanted else "warning")
        else:
            yield Finding(f"server {name}", "ok", f"{program.name} can run as a local process")


def disk(patient: Patient) -> Iterator[Finding]:
    """Room where the servers' data live."""
    place = _existing(state.root())
    free = shutil.disk_usage(place).free
    message = f"{free / GIGABYTE:.1f} GB free at {place}"
    remedy = "make room, or set ENVCTL_STATE_DIR to a folder on a larger disk"
    if free < ROOM_NEEDED:
        yield Finding("disk", "problem", message, remedy)
    elif free < ROOM_WANTED:
        yield Finding("disk", "warning", message, remedy)
    else:
        yield Finding("disk", "ok", message)


def shared_memory(patient: Patient) -> Iterator[Finding]:
    """Room in memory for throw-away data."""
    if sys.platform != "linux":
        return
    if not SHARED_MEMORY.is_dir() or not os.access(SHARED_MEMORY, os.W_OK):
        yield Finding(
            "shared memory", "warning", f"{SHARED_MEMORY} cannot be used: test databases live on disk, slower"
        )
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    message = f"{free / GIGABYTE:.1f} GB free at {SHARED_MEMORY}"
    if free < MEMORY_WANTED:
        yield Finding(
            "shared memory",
            "warning",
            f"{message}: test databases live on disk, slower",
            "in a container, give it more: docker run --shm-size 2g",
        )
    else:
        yield Finding("shared memory", "ok", message)


def state_folder(patient: Patient) -> Iterator[Finding]:
    """The state folder is ours, private and writable."""
    root = state.root()
    place = _existing(root)
    seen = place.stat()
    elsewhere = "set ENVCTL_STATE_DIR to a folder that you own"
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding("state folder", "problem", f"{place} cannot be written", elsewhere)
    elif place != root:
        yield Finding("state folder", "ok", f"{root} will be made")
    elif seen.st_uid != os.geteuid():
        yield Finding("state folder", "problem", f"{root} belongs to user {seen.st_uid}", elsewhere)
    elif stat.S_IMODE(seen.st_mode) & 0o077:
        yield Finding("state folder", "problem", f"others may look into {root}", f"chmod 700 {root}")
    else:
        yield Finding("state folder", "ok", str(root))


def free_ports(patient: Patient) -> Iterator[Finding]:
    """Room in the range that ports are taken from, and nobody else who takes from it."""
    sample = range(ports.FIRST, ports.LAST + 1, SAMPLE)
    free = sum(ports.is_free(port) for port in sample)
    message = f"{free} of {len(sample)} ports tried between {ports.FIRST} and {ports.LAST} are free"
    if free:
        yield Finding("ports", "ok" if free * 2 > len(sample) else "warning", message)
    else:
        yield Finding("ports", "problem", message, "see who listens: ss -ltnp")
    first = _first_outgoing()
    if first is not None and first <= ports.LAST:
        yield Finding(
            "ports",
            "warning",
            f"outgoing connections take ports from {first} on, which may take one of ours for a while",
            "sudo sysctl net.ipv4.ip_local_port_range='32768 60999'",
        )


def git_program(patient: Patient) -> Iterator[Finding]:
    """Names need no git program; cleaning and hooks do."""
    if shell.which("git") is None:
        yield Finding("git", "warning", "no git program: branches that are gone cannot be told", "install git")
        return
    done = shell.run(Command(("git", "--version")), check=False, seconds=ANSWER)
    yield Finding("git", "ok" if done.code == 0 else "problem", (done.out or done.err).strip())


CHECKS: tuple[Check, ...] = (
    system,
    python,
    user,
    servers,
    disk,
    shared_memory,
    state_folder,
    free_ports,
    git_program,
)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next((one for one in (path, *path.parents) if one.exists()), Path("/"))


def _first_outgoing() -> int | None:
    try:
        return int(OUTGOING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
