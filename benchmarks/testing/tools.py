"""What the application and the rivals need, at pinned versions, in environments of their own in the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

APPLICATION = (
    "alembic==1.20.1",
    "execnet==2.1.2",
    "psycopg[binary]==3.3.9",
    "pytest==9.2.0",
    "pytest-xdist==3.8.0",
    "SQLAlchemy==2.1.9",
    "testcontainers==4.15.0",
)
RIVAL = (*APPLICATION, "pytest-postgresql==10.0.0")
"""An environment of its own: its plugin is imported by every pytest that can see it."""


def environment(packages: tuple[str, ...]) -> Path:
    """The programs' folder of an environment with these packages; made once, and used when it is whole."""
    digest = hashlib.sha256("\0".join((sys.version, *packages)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "envctl-bench"
    folder = cache / digest
    whole = folder / "whole"
    if not whole.exists():
        print(f"making {folder} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-qq", *packages], check=True)
        whole.touch()
    return folder / "bin"
