"""Where a run began: a lock tells of its process only on that host, and only in the very file that the run locked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envctl import hosts, leases, residue
from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from envctl.runs.folders import Record


def marked(record: Record, lock: int) -> Record:
    """The record with what tells this host, this boot of it, and the lock file from all others."""
    found = os.fstat(lock)
    return replace(
        record, host=hosts.recorded(), boot=residue.boot(), device=str(found.st_dev), inode=str(found.st_ino)
    )


def foreign(record: Record, folder: Path) -> str:
    """Why nobody here can tell whether that run is dead; empty where its lock is the word of this kernel.

    In the boot in which it began, the file decides; a process of an earlier boot of this host is surely dead.
    """
    if not record.host:
        return "" if record.engine == "embedded" else f"an older envctl wrote {folder}, and not on which host"
    if record.boot and record.boot == residue.boot():
        same = _lock(folder) == (record.device, record.inode)
        return "" if same else f"{folder} is a copy: the lock of its run is another file, which may be held"
    if why := _elsewhere(record):
        return f"its run began on {why}, and only that one knows whether it is at work"
    if not record.boot and _lock(folder)[1] != record.inode:
        return f"{folder} may be a copy: the lock of its run was another file"
    return ""


def _elsewhere(record: Record) -> str:
    """Another machine than this one, in words. Of an older record the name says as little as its absence does.

    A former name may be that of the machine which this one is a copy of: on servers that both reach, it is.
    """
    mine = hosts.this_host()
    if record.host == mine or (record.host == hosts.name(mine) and record.engine == "embedded"):
        return ""
    if record.host in hosts.former() and _alone(record):
        return ""
    return hosts.told(record.host, mine)


def _alone(record: Record) -> bool:
    """Whether no other machine comes to the run's servers, as far as anybody knows."""
    if record.engine != "compose":
        return record.engine == "embedded"
    try:
        found = leases.record(Path(record.home))
    except EnvctlError:
        return False
    return found is not None and all(hosts.is_local(one.address.host) for one in found.servers.values())


def _lock(folder: Path) -> tuple[str, str]:
    try:
        found = (folder / residue.LOCK).lstat()
    except OSError:
        return "", ""
    return str(found.st_dev), str(found.st_ino)
