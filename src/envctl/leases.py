"""Who uses a server set. A use is a lock that its process holds, or a pin that `dev up` set.

The set's own lock is taken only to start and to stop. The order is always: lock, own lease, watcher, servers,
unlock. Whoever dies on the way loses the lease with his last breath, and the watcher, which is there before
anything is started, sees it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from envctl import engines, held, idle, locks, state
from envctl.engines.base import Engine
from envctl.errors import LockTimeoutError, UnavailableError
from envctl.held import Lease
from envctl.model import Address, Holder, Talk, silent
from envctl.server_set import Running, Server, ServerSet

WAIT = 60.0


@contextmanager
def hold(
    servers: ServerSet, engine: Engine, *, namespace: str, workspace: str, command: str, wait: float, talk: Talk
) -> Iterator[Running]:
    """Use the servers for as long as the block runs; they are started if need be."""
    me = _holder("held", namespace, workspace, command)
    with locked(servers.home, who=me.described, wait=wait, talk=talk):
        lease = Lease.taken(servers.home / "leases", me)
        running = _started(lease, servers, engine, talk)
    try:
        yield running
    finally:
        if os.getpid() == me.pid:  # A forked child that leaves the block ends nothing of its parent's.
            lease.drop()
            _left(servers, engine, wait, talk)


def pin(servers: ServerSet, engine: Engine, *, namespace: str, workspace: str, wait: float, talk: Talk) -> Running:
    """Keep the servers for a namespace until it is unpinned; they are started if need be."""
    me = _holder("pinned", namespace, workspace, "dev up")
    path = _pins(servers.home) / namespace
    with locked(servers.home, who=me.described, wait=wait, talk=talk):
        lease = Lease.taken(servers.home / "leases", me)
        running = _started(lease, servers, engine, talk)
        try:
            if not path.exists() or held.read(path, "pinned").workspace != workspace:  # It may have moved since.
                state.write(path, asdict(me))
        finally:
            lease.drop()
    return running


def unpin(
    home: Path, namespace: str = "", *, workspace: str = "", wait: float = WAIT, talk: Talk = silent
) -> tuple[str, ...]:
    """Give up the pin of a namespace, or all of a checkout; whose there were. The servers go in their time."""

    def mine() -> list[Path]:
        found = held.files(_pins(home))
        return [one for one in found if _is_meant(one, namespace, workspace)]

    if not mine():
        return ()
    with locked(home, who="dev down", wait=wait, talk=talk):
        given_up = mine()
        for path in given_up:
            path.unlink(missing_ok=True)
        if not _pinned(home):
            idle.watch(home)
    return tuple(path.name for path in given_up)


def holders(home: Path) -> tuple[Holder, ...]:
    """Everybody who uses the set now."""
    live = [held.read(path, "held") for path in held.files(home / "leases") if locks.held(path)]
    return (*live, *(held.read(path, "pinned") for path in _pinned(home)))


def stop_unused(home: Path, engine: Engine, *, wait: float = WAIT, talk: Talk = silent) -> bool:
    """Stop the servers now if nobody uses them; whether anything was stopped."""
    if record(home) is None:
        return False
    with locked(home, who="dev down", wait=wait, talk=talk):
        return not holders(home) and _stop(home, engine, talk)


def stop_all(home: Path, engine: Engine, *, wait: float = WAIT, talk: Talk = silent) -> bool:
    """Stop the servers whoever uses them, and give up all pins; whether anything was stopped."""
    if record(home) is None:
        return False
    with locked(home, who="dev down --all", wait=wait, talk=talk):
        for path in held.files(_pins(home)):
            path.unlink(missing_ok=True)
        return _stop(home, engine, talk)


def recreate(servers: ServerSet, engine: Engine, *, wait: float = WAIT, talk: Talk = silent) -> None:
    """Have the servers run as this checkout asks; not while a process uses them."""
    with locked(servers.home, who="dev up --recreate", wait=wait, talk=talk):
        users = [one for one in holders(servers.home) if one.kind == "held"]
        if users:
            raise UnavailableError(
                f"the servers of {servers.project} are in use",
                cause=f"by {', '.join(one.described for one in users)}",
                hint="try again when that has ended",
                code="in_use",
            )
        running = engine.recreate(servers, record(servers.home), partial(write_record, servers.home), talk)
        write_record(servers.home, running)


def record(home: Path) -> Running | None:
    """What was last put down about the servers of a set, with their passwords."""
    content = state.read(home / "servers.json")
    if content is None:
        return None
    with state.understood(home / "servers.json", what="a record of servers"):
        servers = {
            name: Server(Address(**one["address"]), dict(one["detail"])) for name, one in content["servers"].items()
        }
        return Running(content["engine"], servers, content["ready"], dict(content["detail"]))


def write_record(home: Path, running: Running) -> None:
    """Replace the record."""
    content = asdict(running)
    content["servers"] = {name: asdict(one) for name, one in running.servers.items()}
    state.write(home / "servers.json", content)


def locked(home: Path, *, who: str, wait: float, talk: Talk) -> AbstractContextManager[None]:
    """The set's own lock, held around start and stop only."""
    what = f"the servers of {home.parent.name}/{home.name}"
    return locks.locked(home / "lock", what=what, wait=wait, talk=talk, who=who)


def stop_if_idle(home: Path, talk: Talk) -> float | None:
    """Under the set's lock: stop what has been unused long enough. The seconds still to wait, None when all is done."""
    if any(locks.held(path) for path in held.files(home / "leases")):
        return 0.0
    running = record(home)
    if _pinned(home) or running is None:
        return None
    remaining = _idle_left(home)
    engine = engines.get(running.engine)
    # Who is ready goes unseen: looking costs the processor of those who have just begun their tests.
    if remaining > 0 and (running.ready or _up(engine, running)):
        return remaining
    _stop(home, engine, talk)
    return None


def _started(lease: Lease, servers: ServerSet, engine: Engine, talk: Talk) -> Running:
    """The running servers. The watcher is there first, for the case that we are killed while they start."""
    try:
        _remember_idle(servers.home, servers.idle)
        if not _pinned(servers.home):
            idle.watch(servers.home)
        before = record(servers.home)
        if before and before.ready and set(servers.needs) <= set(before.servers) and engine.alive(before):
            return before
        running = engine.start(servers, before, partial(write_record, servers.home), talk)
        if record(servers.home) != running:  # Most engines have recorded it themselves, as the last thing they did.
            write_record(servers.home, running)
    except BaseException:
        lease.drop()
        raise
    return running


def _left(servers: ServerSet, engine: Engine, wait: float, talk: Talk) -> None:
    """After a lease was dropped: stop at once if that is wished, else see to it that the watcher does."""
    if servers.idle <= 0:
        with suppress(LockTimeoutError):  # Somebody starts or stops right now, and the watcher comes after them.
            stop_unused(servers.home, engine, wait=wait, talk=talk)
    elif not _pinned(servers.home):
        idle.watch(servers.home)


def _stop(home: Path, engine: Engine, talk: Talk) -> bool:
    """Whether any ran. Of those that died by themselves the watcher and the throw-away data go."""
    running = record(home)
    up = running is not None and _up(engine, running)
    if running is None or not (up or running.ready):
        return False
    write_record(home, replace(running, ready=False))
    engine.stop(running, talk)
    idle.wake(home)
    return up


def _up(engine: Engine, running: Running) -> bool:
    return any(seen.state != "stopped" for seen in engine.look(running))


def _idle_left(home: Path) -> float:
    """Seconds until the idle time is over; every lease that comes or goes changes its folder's time."""
    content = state.read(home / "idle.json")
    whole = float(content["seconds"]) if content else 0.0
    return min(whole, whole - (time.time() - (home / "leases").stat().st_mtime))


def _remember_idle(home: Path, seconds: float) -> None:
    content = state.read(home / "idle.json")
    if content is None or content["seconds"] != seconds:
        state.write(home / "idle.json", {"seconds": seconds})


def _holder(kind: Literal["held", "pinned"], namespace: str, workspace: str, command: str) -> Holder:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(kind, namespace, workspace, command, since, os.getpid())


def _is_meant(pin: Path, namespace: str, workspace: str) -> bool:
    """Whether a pin is of that namespace, of whichever branch where none is named, and of no other checkout."""
    if namespace and pin.name != namespace:
        return False
    owner = held.read(pin, "pinned").workspace
    return not workspace or owner == workspace or (bool(namespace) and not Path(owner).exists())


def _pins(home: Path) -> Path:
    return home / "pins"


def _pinned(home: Path) -> list[Path]:
    """The pins that count. One whose checkout is gone can be given up by nobody, and keeps nothing running."""
    return [path for path in held.files(_pins(home)) if Path(held.read(path, "pinned").workspace).exists()]
