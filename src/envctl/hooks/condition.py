"""Whether the hook is there, works, and what it last did."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from envctl.errors import EnvctlError
from envctl.hooks import files, place, record, text
from envctl.hooks.place import Place
from envctl.hooks.record import Record
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """A hook as it is. `why` says what is not as it should be, or who else is in the file; `remedy` what to do."""

    state: Literal["installed", "absent", "broken"]
    file: Path
    setting: str
    why: str = ""
    remedy: str = ""
    beside: bool = False
    busy: bool = False
    log: tuple[str, ...] = ()


def status(directory: Path) -> Status:
    """Whether the hook is there, works, and what it last did."""
    where = place.find(directory)
    if where.off:
        return _of(where, "absent", f"git's hooks are turned off here: {where.setting} leads nowhere")
    folder = record.folder_of(where.file)
    found = _judged(where, folder)
    return replace(found, busy=record.busy(folder), log=record.log(folder))


def _judged(where: Place, folder: Path) -> Status:
    try:
        found = files.read(where.file)
        block = text.found(found.content) if found else None
    except text.Refused as why:
        return _of(where, "absent", f"{where.file} is not ours to change: {why}", "envctl hooks install")
    except text.Damaged:
        return _of(where, "broken", text.DAMAGE, text.remedy(where.file))
    if found is None or block is None:
        return _without(where, folder, found.content if found else b"")
    hook = record.read(folder)
    beside = text.uninstalled(found.content) is not None
    whose = "its lines stand beside somebody else's" if beside else ""
    return replace(_working(where, folder, hook, found, block, whose), beside=beside)


def _working(
    where: Place, folder: Path, hook: Record | None, found: files.Found, block: text.Block, whose: str
) -> Status:
    """Of a file that has our lines: whether they can do anything."""
    again = "envctl hooks install"
    if not found.runs:
        return _of(where, "broken", "the file is not executable, so git does not run it", f"chmod +x {where.file}")
    if block.folder != folder:
        return _of(where, "broken", "it was made elsewhere, and this repository was moved or copied since", again)
    if hook is None:
        return _of(where, "broken", "the hook's folder in the state is gone", again)
    if not os.access(hook.python, os.X_OK):
        return _of(where, "broken", f"the envctl that it calls is gone: {hook.python}", again)
    if block.text.rstrip(b"\n") != text.made(Path(hook.python), folder).rstrip(b"\n"):
        return _of(where, "broken", "its lines are another version's", again)
    return _of(where, "installed", whose)


def _without(where: Place, folder: Path, content: bytes) -> Status:
    """Of a file that has not our lines: it may call us by a line of somebody's own, or the hook stands elsewhere."""
    if os.fsencode(record.script(folder)) in content:
        return _of(where, "installed", "called by a line that somebody put there by hand")
    own = place.default(where.checkout)
    elsewhere = [own.file, *(Path(one.file) for _, one in record.all_of(where.checkout.common_dir))]
    for file in elsewhere:
        if file != where.file and _has_block(file):
            why = f"the hook is in {file}, but {where.setting or 'git'} looks in {where.folder}"
            return _of(where, "broken", why, "envctl hooks install")
    if record.read(folder) is not None and not record.script(folder).exists():
        return _of(
            where, "broken", "somebody has written the file anew since, without our lines", "envctl hooks install"
        )
    return _of(where, "absent", "", "envctl hooks install")


def _of(where: Place, state: Literal["installed", "absent", "broken"], why: str, remedy: str = "") -> Status:
    return Status(state, where.file, where.setting, why, remedy)


def _has_block(file: Path) -> bool:
    try:
        found = files.read(file)
        return found is not None and text.found(found.content) is not None
    except (EnvctlError, text.Refused, text.Damaged):
        return False
