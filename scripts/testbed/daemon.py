"""The testbed's dockerd: started only where none answers, stopped only if we started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

POOL = "base=172.16.0.0/12,size=24"
"""Docker's own range, in more pieces: killed tests leave networks, and of 31 there is soon none left."""


def start(home: Path) -> str:
    """Start dockerd in a session of its own and remember exactly which process that is."""
    if version():
        return f"answers ({version()})"
    log = home / "dockerd.log"
    with log.open("wb") as file:
        argv = ["dockerd", "--pidfile", str(home / "dockerd.pid"), "--default-address-pool", POOL]
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    _remember(home, process.pid)
    for _ in range(300):
        if version():
            return f"started {version()} (pid {process.pid})"
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"error: dockerd did not come up; see {log}\n{log.read_text()[-2000:]}")


def stop(home: Path) -> str:
    """End the dockerd that `start` made. Another one, or a reused pid, is left alone."""
    try:
        ours = json.loads((home / "started.json").read_text())
    except FileNotFoundError:
        return "not started by the testbed, left alone"
    if birth(ours["pid"]) == ours["birth"]:
        os.kill(ours["pid"], signal.SIGTERM)
        while birth(ours["pid"]) == ours["birth"]:
            time.sleep(0.1)
    (home / "started.json").unlink()
    return f"stopped (pid {ours['pid']})"


def version() -> str:
    """The version of the engine that answers, or nothing."""
    argv = ["docker", "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def birth(pid: int) -> str:
    """Which boot and which tick made this process: with the pid that names one process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "" if fields[0] == "Z" else f"{boot}/{fields[19]}"


def _remember(home: Path, pid: int) -> None:
    fresh = home / "started.json.new"
    fresh.write_text(json.dumps({"pid": pid, "birth": birth(pid)}))
    fresh.replace(home / "started.json")
