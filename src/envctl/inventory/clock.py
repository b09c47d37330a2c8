"""What time it is, as far as it may decide what is lost: a clock that jumps forward does not move it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from envctl import state
from envctl.errors import EnvctlError
from envctl.values import dataclass

BOOT = Path("/proc/sys/kernel/random/boot_id")
ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The kernel's clock that nobody sets; it runs on while the machine sleeps."""
NEAR = timedelta(days=30)
"""How far ahead of what was last known a clock may be when the machine was started, to be believed at once."""
LONG_ENOUGH = timedelta(days=7)
"""One that was further ahead is believed when it has said the same for so long, by the kernel's count."""
STEP = timedelta(hours=1)
"""How old what was last known may be within a boot."""


@dataclass(frozen=True, slots=True)
class Look:
    """The first look at the clock in a boot, and what was known of the time last."""

    boot: str
    wall: datetime
    """What was believed then."""
    elapsed: float
    last: datetime
    doubted: datetime | None = None
    """The time, as it was believed, since when the clock has been too far ahead."""


def now() -> datetime:
    """The wall clock's time, or less: what was first believed in this boot and what the kernel counted since."""
    wall, elapsed, boot = datetime.now(UTC), time.clock_gettime(ELAPSED), _boot()
    known = _known()
    if known is None or known.boot != boot or elapsed < known.elapsed:
        found = begun(boot, wall, elapsed, known)
        time_now = found.wall
    else:
        time_now = judged(wall, elapsed, anchor=known.wall, then=known.elapsed)
        found = followed(known, wall, elapsed, time_now)
        time_now = wall if found.wall == wall else time_now
    if found != _read(_files()[0]):
        _write(found)
    return time_now


def reached() -> datetime:
    """What time it is at the least, for what is to last from now on: setting the clock back does not undo what was
    believed before.
    """
    time_now, elapsed = now(), time.clock_gettime(ELAPSED)
    known = _known()
    if known is None:
        return time_now
    counted = known.wall + timedelta(seconds=elapsed - known.elapsed)  # of this boot, as `now` has left it
    return max(time_now, counted, known.last)


def judged(wall: datetime, elapsed: float, *, anchor: datetime, then: float) -> datetime:
    """The earlier of what the clock says and what the kernel counted since the anchor."""
    return min(wall, anchor + timedelta(seconds=elapsed - then))


def begun(boot: str, wall: datetime, elapsed: float, known: Look | None) -> Look:
    """The first look in a boot: a clock that is far ahead of what was last known is not believed yet."""
    if known is None:
        return Look(boot, wall, elapsed, wall)
    if wall - known.last <= NEAR:
        return Look(boot, wall, elapsed, max(wall, known.last))
    return Look(boot, known.last, elapsed, known.last, known.doubted or known.last)


def followed(known: Look, wall: datetime, elapsed: float, time_now: datetime) -> Look:
    """A later look: what was doubted for long enough is believed, and what was set right is doubted no more."""
    if known.doubted is not None and time_now - known.doubted >= LONG_ENOUGH:
        return Look(known.boot, wall, elapsed, max(wall, known.last))
    if known.doubted is not None and time_now == wall:
        return replace(known, doubted=None)
    return replace(known, last=time_now) if time_now - known.last >= STEP else known


def _known() -> Look | None:
    return next((one for one in map(_read, _files()) if one is not None), None)


def _read(file: Path) -> Look | None:
    try:
        content = state.read(file)
        if content is None:
            return None
        wall = datetime.fromisoformat(content["wall"])
        last = datetime.fromisoformat(content.get("last", content["wall"]))
        doubted = datetime.fromisoformat(content["doubted"]) if content.get("doubted") else None
        found = Look(str(content["boot"]), wall, float(content["elapsed"]), last, doubted)
        return found if all(one.tzinfo for one in (wall, last, doubted or wall)) else None
    except (EnvctlError, KeyError, TypeError, ValueError):
        return None


def _write(look: Look) -> None:
    """Twice: what is damaged is read from the other one."""
    times = {"wall": look.wall.isoformat(), "last": look.last.isoformat()}
    doubted = {"doubted": look.doubted.isoformat()} if look.doubted else {}
    for file in _files():
        state.write(file, {"boot": look.boot, "elapsed": look.elapsed, **times, **doubted})


def _boot() -> str:
    """What tells this boot from all others; where nothing does, the kernel's clock itself has to."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _files() -> tuple[Path, Path]:
    return state.root() / "clock.json", state.root() / "clock-copy.json"
