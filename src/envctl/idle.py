"""The watcher of a server set: a small process that stops the servers some time after their last user is gone.

It waits in the kernel for the users' locks, so that it costs nothing and learns of a killed user at once.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from envctl import locks, shell, state
from envctl.errors import LockTimeoutError
from envctl.model import Command

DAY = 86_400.0


def watch(home: Path) -> None:
    """See to it that the set has a watcher. Called under the set's lock, as its end is, so neither misses the other."""
    descriptor = locks.claim(home / "idle.lock")
    if descriptor is None:
        return
    try:
        state.folder(home / "logs")
        log = os.open(home / "logs" / "idle.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            argv = (sys.executable, "-P", "-m", "envctl.idle", str(home), str(descriptor))
            shell.detach(Command(argv), log=log, keep=(descriptor,))
        finally:
            os.close(log)
    except OSError as error:
        raise state.unwritable(home, error) from error
    finally:
        locks.free(descriptor)


def wake(home: Path) -> None:
    """Tell the watcher, if it sleeps, to look again now."""
    with suppress(OSError):
        pipe = os.open(_pipe(home), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, b"!")
        finally:
            os.close(pipe)


def ended(home: Path, wait: float) -> bool:
    """Wait until the set has no watcher, for whom nothing is left to do; whether that came within `wait` seconds."""
    end = time.monotonic() + wait
    while locks.held(home / "idle.lock"):
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def main(home: Path, descriptor: int) -> None:
    """Wait until nobody uses the set, then for its idle time, then stop it, unless somebody came back."""
    from envctl import held, leases

    os.chdir("/")
    if not home.is_dir():
        return
    with suppress(FileExistsError):
        os.mkfifo(_pipe(home), 0o600)
    pipe = os.open(_pipe(home), os.O_RDWR | os.O_NONBLOCK)
    while True:
        remaining: float | None = 0.0
        held.until_free(home / "leases")
        with suppress(LockTimeoutError), leases.locked(home, who="the idle watcher", wait=DAY, talk=print):
            remaining = leases.stop_if_idle(home, print)
            if remaining is None:
                # Given up before the set's lock is: whoever gets that next starts another watcher.
                os.close(descriptor)
                return
        _sleep(pipe, remaining or 0.0)


def _sleep(pipe: int, seconds: float) -> None:
    ready, _, _ = select.select([pipe], [], [], min(seconds, DAY))
    if ready:
        os.read(pipe, 1000)


def _pipe(home: Path) -> Path:
    return home / "idle.pipe"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
