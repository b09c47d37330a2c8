"""The process that a hook starts in the background of git, from its first breath apart from it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

DESCRIPTORS = 4096
"""As many as a caller may have left open; where the system has no limit, trying all would take minutes."""


def main(folder: Path) -> None:
    """Be nobody's child, and with nothing in hand that git gave. The hook has already put us behind everything else."""
    here = _here()
    with suppress(OSError):
        os.setsid()
    os.closerange(3, DESCRIPTORS)
    os.umask(0o077)
    from envctl.hooks.place import KEPT

    for name in [one for one in os.environ if one.startswith("GIT_") and one not in KEPT]:
        del os.environ[name]
    os.environ["ENVCTL_STATE_DIR"] = str(folder.parents[1])
    os.chdir("/")

    from envctl.hooks import background

    background.attend(folder, here)


def _here() -> Path:
    """Where git runs its hook; it may be gone already."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
