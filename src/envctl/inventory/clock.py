"""What time it is, as far as it may decide what is lost: a clock that jumps forward does not move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from envctl import state
from envctl.errors import EnvctlError

BOOT = Path("/proc/sys/kernel/random/boot_id")
ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The kernel's clock that nobody sets; it runs on while the machine sleeps."""


def now() -> datetime:
    """The wall clock's time, or less: what was first seen in this boot and what the kernel counted since."""
    wall, elapsed, boot = datetime.now(UTC), time.clock_gettime(ELAPSED), _boot()
    seen = _anchor()
    if seen is None or seen[0] != boot or elapsed < seen[2]:
        state.write(_file(), {"boot": boot, "wall": wall.isoformat(), "elapsed": elapsed})
        return wall
    return judged(wall, elapsed, anchor=seen[1], then=seen[2])


def judged(wall: datetime, elapsed: float, *, anchor: datetime, then: float) -> datetime:
    """The earlier of what the clock says and what the kernel counted since the anchor."""
    return min(wall, anchor + timedelta(seconds=elapsed - then))


def _anchor() -> tuple[str, datetime, float] | None:
    """The first look at the clock in a boot; one that cannot be read is taken anew."""
    try:
        content = state.read(_file())
        if content is None:
            return None
        return str(content["boot"]), datetime.fromisoformat(content["wall"]), float(content["elapsed"])
    except (EnvctlError, KeyError, TypeError, ValueError):
        return None


def _boot() -> str:
    """What tells this boot from all others; where nothing does, the kernel's clock itself has to."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _file() -> Path:
    return state.root() / "clock.json"
