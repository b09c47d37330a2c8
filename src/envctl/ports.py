"""Which port belongs to whom on this machine: booked once, stable from then on, and looked at before it is used."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from envctl import locks, state
from envctl.digests import hexdigest
from envctl.errors import EnvctlError
from envctl.model import silent

FIRST, LAST = 20000, 29999
"""Below the ports that systems give to outgoing connections, so that those never take one of ours."""
WAIT = 30.0


def take(key: str, *, preferred: int = 0) -> int:
    """The key's port, free at this moment. A booked one that is taken by a stranger is replaced by another."""
    with _registry() as booked:
        if key not in booked or not is_free(booked[key]):
            booked[key] = _choose(key, booked, preferred)
        return booked[key]


def again(key: str) -> int:
    """Another port for the key, after a server could not listen on the one it had."""
    with _registry() as booked:
        booked[key] = _choose(key, booked, 0)
        return booked[key]


def lookup(key: str) -> int:
    """The key's port whether it is in use or not; books one if it has none."""
    with _registry() as booked:
        if key not in booked:
            booked[key] = _choose(key, booked, 0)
        return booked[key]


def release(prefix: str) -> int:
    """Give up every booking whose key starts so; how many there were."""
    with _registry() as booked:
        gone = [key for key in booked if key.startswith(prefix)]
        for key in gone:
            del booked[key]
        return len(gone)


def forget(key: str, *, unless: Callable[[], bool]) -> bool:
    """Give up one booking, if it is still nobody's; whether it is gone."""
    with _registry() as booked:
        if key in booked and unless():
            return False
        booked.pop(key, None)
        return True


def listing() -> dict[str, int]:
    """All bookings."""
    content = state.read(_path())
    if content is None:
        return {}
    with state.understood(_path(), what="a list of booked ports"):
        return dict(content["ports"])


def is_free(port: int) -> bool:
    """Whether a server could listen there now, asked by binding it."""
    ways = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")]  # noqa: S104
    if socket.has_ipv6:
        ways.append((socket.AF_INET6, "::1"))
    return all(_binds(family, host, port) for family, host in ways)


def _binds(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do: connections that are closing are no hindrance, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        # A machine without IPv6 refuses the address itself, which says nothing about the port.
        return error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def _choose(key: str, booked: dict[str, int], preferred: int) -> int:
    others = set(booked.values())
    size = LAST - FIRST + 1
    guess = int(hexdigest(key.encode())[:16], 16) % size
    candidates = [preferred] if preferred else []
    candidates += [FIRST + (guess + step) % size for step in range(size)]
    for port in candidates:
        if port not in others and is_free(port):
            return port
    raise EnvctlError(
        f"no port between {FIRST} and {LAST} is free",
        cause=f"{len(booked)} are booked in {_path()}",
        hint="stop what listens there, or remove that file while nothing of envctl runs: ports are then booked anew",
        code="no_port",
    )


@contextmanager
def _registry() -> Iterator[dict[str, int]]:
    """The bookings, locked; what the block changed is written when it ends well."""
    lock = state.root() / "ports.lock"
    with locks.locked(lock, what="the port registry", wait=WAIT, talk=silent):
        before = listing()
        booked = dict(before)
        yield booked
        if booked != before:
            state.write(_path(), {"ports": booked})


def _path() -> Path:
    return state.root() / "ports.json"
