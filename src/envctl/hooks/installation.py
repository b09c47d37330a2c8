"""Putting the hook in beside what is there, and taking it out without a trace."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

from envctl.errors import EnvctlError
from envctl.hooks import branches, files, place, record, text
from envctl.hooks.branches import Seen
from envctl.hooks.place import Place
from envctl.hooks.record import Entry, Record
from envctl.model import Talk
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a hook's file."""

    file: Path
    done: Literal["made", "added", "renewed", "unchanged", "removed", "taken out", "kept"]
    why: str = ""


def install(directory: Path, *, everywhere: bool = False, force: bool = False, wait: float, talk: Talk) -> Change:
    """Put the hook in for the project in that folder. What is there stays; our own older lines are renewed."""
    where = place.find(directory)
    place.permit(where, everywhere=everywhere, force=force)
    folder = record.folder_of(where.file)
    block = text.made(_python(), folder)
    with record.locked(wait=wait, talk=talk):
        files.sweep(where.file)
        _recorded(folder, where, directory)
        try:
            found = files.read(where.file)
            if found is not None and not found.runs:
                raise text.Refused("it is not executable, so git does not run it")
            before = text.found(found.content) if found else None
            after = text.installed(found.content if found else None, block)
        except (text.Refused, text.Damaged) as why:
            raise _refused(where, folder, block, why) from why
        change = _put(where, found, after)
        if before is not None:
            _forget(before.folder, folder)
        return change


def uninstall(directory: Path, *, wait: float, talk: Talk) -> tuple[Change, ...]:
    """Take the hook out for the project in that folder, wherever it was put; the file is what it was without us."""
    where = place.find(directory)
    places = (where, place.default(where.checkout))
    candidates = {one.file: record.folder_of(one.file) for one in places if not one.off}
    candidates |= {Path(one.file): folder for folder, one in record.all_of(where.checkout.common_dir)}
    mine = _entry(where, directory)
    changes = []
    for file, folder in candidates.items():
        with record.locked(wait=wait, talk=talk):
            change = _taken_out(file, folder, mine)
        if change is not None:
            changes.append(change)
    return tuple(changes)


def _recorded(folder: Path, where: Place, directory: Path) -> None:
    """The record is there before the hook is: what a kill leaves is a record without a hook, which does nothing."""
    known = record.read(folder)
    mine = _entry(where, directory)
    others = tuple(one for one in known.entries if not _same(one, mine)) if known else ()
    made = (known.made_folder if known else False) or not where.folder.is_dir()
    quiet = known.quiet if known else record.QUIET
    record.write(folder, Record(str(where.file), str(_python()), (*others, mine), made, quiet))
    branches.remember(folder, directory, Seen(branches.digest(directory), done=True))


def _python() -> Path:
    return Path(sys.executable)


def _put(where: Place, found: files.Found | None, after: bytes) -> Change:
    if found is None:
        try:
            where.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.failed(where.file, error) from error
        files.create(where.file, after)
        return Change(where.file, "made")
    if found.content == after:
        return Change(where.file, "unchanged")
    files.replace(where.file, after, found)
    return Change(where.file, "renewed" if text.found(found.content) else "added")


def _taken_out(file: Path, folder: Path, mine: Entry) -> Change | None:
    """Our lines go with the last project that they are there for; None where there is nothing of ours."""
    files.sweep(file)
    hook = record.read(folder)
    others = tuple(one for one in hook.entries if not _same(one, mine) and one.there) if hook else ()
    if hook is not None and others:
        record.write(folder, replace(hook, entries=others))
        names = ", ".join(sorted(str(Path(one.checkout) / one.folder) for one in others))
        return Change(file, "kept", f"it is there for {names} too")
    try:
        found = files.read(file)
        block = text.found(found.content) if found else None
    except text.Refused:
        found = block = None
    except text.Damaged as error:
        why, remedy = text.DAMAGE, text.remedy(file)
        raise EnvctlError(
            f"our lines in {file} cannot be taken out", cause=why, hint=remedy, code="hook_edited"
        ) from error
    change = _removed(file, found) if found is not None and block is not None else None
    if hook is not None and hook.made_folder:
        _rmdir(file.parent)
    record.forget(folder)
    if block is not None:
        _forget(block.folder, folder)
    return change


def _forget(former: Path, folder: Path) -> None:
    """What was kept for where the repository was before it was moved; one that was only copied still needs it."""
    if former == folder or former.parent != folder.parent:
        return
    hook = record.read(former)
    if hook is None or not Path(hook.file).exists():
        record.forget(former)


def _removed(file: Path, found: files.Found) -> Change:
    after = text.uninstalled(found.content)
    if after is None:
        files.remove(file, found)
        return Change(file, "removed")
    files.replace(file, after, found)
    return Change(file, "taken out")


def _rmdir(folder: Path) -> None:
    """A folder that we made goes, if nobody else has use for it."""
    try:
        folder.rmdir()
    except OSError:
        return


def _refused(where: Place, folder: Path, block: bytes, why: Exception) -> EnvctlError:
    """Somebody else's file that has no place for our lines: how to call us from it by hand."""
    if isinstance(why, text.Damaged):
        what = f"{where.file} has lines of ours that were edited"
        return EnvctlError(what, cause=text.DAMAGE, hint=text.remedy(where.file), code="hook_edited")
    script = record.script(folder)
    script.write_bytes(text.HEADER + block)
    script.chmod(0o700)
    return EnvctlError(
        f"the hook {where.file} is somebody else's, and was left as it is",
        cause=str(why),
        hint=f'let it call this, which needs no stdin and does not wait:\n{shlex.quote(str(script))} "$@" </dev/null',
        code="hook_refused",
    )


def _entry(where: Place, directory: Path) -> Entry:
    root = where.checkout.root.resolve()
    return Entry(str(where.checkout.common_dir), str(root), str(directory.resolve().relative_to(root)))


def _same(one: Entry, other: Entry) -> bool:
    """Whether both are the same project, from whichever checkout it was installed."""
    return (one.repository, one.folder) == (other.repository, other.folder)
