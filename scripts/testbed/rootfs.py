"""A root file system as a tar stream: busybox, the C library of this machine, and what is put on top."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import IO

LIBRARIES = Path("/lib/x86_64-linux-gnu")
NEEDED = ("libc.so.6", "libm.so.6", "libpthread.so.0", "librt.so.1", "libdl.so.2", "libresolv.so.2", "libz.so.1")
NEEDED += ("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1", "libstdc++.so.6")
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
LOCALE = Path("/usr/lib/locale/C.utf8")
"""initdb asks for a real UTF-8 locale; the C library alone has none."""
PRINTENV = b'#!/bin/sh\n[ $# = 1 ] || exec env\neval "value=\\${$1-}"\nprintf \'%s\\n\' "$value"\n'
"""Every real image has this program; Debian's busybox comes without it."""
NOT_APPLETS = {"busybox", "dpkg", "dpkg-deb", "rpm"}


class Root:
    """Adds folders, files and links, each once; the first one of a name stays."""

    def __init__(self, out: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=out, mode="w")  # noqa: SIM115
        self._seen = {"/"}

    def close(self) -> None:
        self._tar.close()

    def folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        entry = self._entry(path, mode, owner)
        if entry is not None:
            entry.type = tarfile.DIRTYPE
            self._tar.addfile(entry)

    def file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        entry = self._entry(path, mode, 0)
        if entry is not None:
            entry.size = len(content)
            self._tar.addfile(entry, io.BytesIO(content))

    def link(self, path: str, target: str) -> None:
        entry = self._entry(path, 0o777, 0)
        if entry is not None:
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            self._tar.addfile(entry)

    def _entry(self, path: str, mode: int, owner: int) -> tarfile.TarInfo | None:
        if path in self._seen:
            return None
        self.folder(str(Path(path).parent))
        self._seen.add(path)
        entry = tarfile.TarInfo(path.strip("/"))
        entry.mode, entry.uid, entry.gid = mode, owner, owner
        return entry


def base(root: Root, busybox: Path, user: str = "", number: int = 0) -> None:
    """What every image has: a shell with its applets, one unprivileged user, the C library."""
    root.file("/bin/busybox", busybox.read_bytes(), mode=0o755)
    applets = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in sorted(set(applets) - NOT_APPLETS):
        root.link(f"/bin/{applet}", "busybox")
    root.link("/usr/bin/env", "/bin/busybox")
    root.file("/bin/printenv", PRINTENV, mode=0o755)
    root.folder("/tmp", mode=0o1777)  # noqa: S108
    root.folder("/root", mode=0o700)
    accounts = [("root", 0)] + ([(user, number)] if user else [])
    root.file("/etc/passwd", "".join(f"{n}:x:{i}:{i}::/:/bin/sh\n" for n, i in accounts).encode())
    root.file("/etc/group", "".join(f"{n}:x:{i}:\n" for n, i in accounts).encode())
    root.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    _libraries(root)


def _libraries(root: Root) -> None:
    root.file(str(LOADER), LOADER.resolve().read_bytes(), mode=0o755)
    for path in (LIBRARIES / name for name in NEEDED):
        if path.exists():
            root.file(str(path), path.resolve().read_bytes(), mode=0o755)
    for path in LOCALE.rglob("*"):
        if path.is_file():
            root.file(str(path), path.read_bytes())
