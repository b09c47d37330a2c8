"""Which machine this is, as records have it: its name, and what tells it from another machine of that name."""

from __future__ import annotations

import os
from pathlib import Path

from envctl import state
from envctl.digests import hexdigest

MACHINE = Path("/etc/machine-id")
"""What the system keeps for as long as it is installed. It is never shown, nor kept by us but as a digest."""
_MARK = "@"
"""No host's name has it."""


def this_host() -> str:
    """This machine; its name alone where the system has no identity for it."""
    machine = _machine()
    return f"{_name()}{_MARK}{machine}" if machine else _name()


def recorded() -> str:
    """The same for a record. The state folder remembers it: that is how a machine knows itself under a new name."""
    mine = this_host()
    mark = _known() / mine
    if os.path.lexists(mark) or (os.path.lexists(mark.parent) and not mark.parent.is_dir()):
        return mine  # What is no folder is no memory, and nobody's trouble.
    state.folder(mark.parent)
    mark.touch(mode=0o600)
    return mine


def former() -> frozenset[str]:
    """What records made with this state folder have called this machine, or the one that it is a copy of.

    Both have the memory and the identity, so it may be believed only of what no other machine comes to.
    """
    machine = _machine()
    try:
        names = os.listdir(_known()) if machine else []  # noqa: PTH208
    except OSError:
        return frozenset()
    return frozenset(one for one in names if one.endswith(f"{_MARK}{machine}"))


def name(host: str) -> str:
    """The name alone, for people."""
    return host.partition(_MARK)[0]


def bare(host: str) -> bool:
    """Whether a record does not say which machine of that name it means."""
    return _MARK not in host


def elsewhere(host: str) -> bool:
    """Whether a record names another machine, as far as anybody can tell."""
    return host not in {this_host(), _name()}


def told(host: str, mine: str) -> str:
    """A machine that is not this one, or may be another, in words."""
    if name(host) != name(mine):
        return f"the host {name(host)}"
    return f"{'some' if bare(host) else 'another'} machine called {name(host)}"


def is_local(address: str) -> bool:
    """Whether what is reached there runs on this machine."""
    import ipaddress

    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _name() -> str:
    return os.uname().nodename.replace("/", "_")


def _machine() -> str:
    try:
        found = MACHINE.read_bytes().strip()
    except OSError:
        return ""
    return hexdigest(b"envctl " + found)[:8] if len(found) >= 32 else ""


def _known() -> Path:
    return state.root() / "hosts"
