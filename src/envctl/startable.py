"""What a repository shows of how its processes are started: each with what shows it, and whether that is sure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from envctl.survey import Survey, content
from envctl.values import dataclass

PROCFILES = ("Procfile.dev", "Procfile")
ONCE = ("release",)
"""What a Procfile names that comes to an end by itself: migrations."""
OTHERS = re.compile(r"(?:postgres|redis-server|valkey-server|minio|docker|docker-compose|podman)\b")
"""What starts servers that envctl has, or containers."""
MANAGERS: Mapping[str, str] = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun", "bun.lock": "bun"}
FLAGGED = re.compile(r"(?:^|\s)(?:vite|astro|nuxt|ng)\b")
"""Those that take their port as a flag and do not look at PORT."""
WAYS: Mapping[str, str] = {
    "uvicorn": "uvicorn {} --reload --port {{port}}",
    "fastapi": "uvicorn {} --reload --port {{port}}",
    "hypercorn": "hypercorn {} --reload --bind 127.0.0.1:{{port}}",
    "gunicorn": "gunicorn {} --reload --bind 127.0.0.1:{{port}}",
    "flask": "flask --app {} run --debug --port {{port}}",
}
"""How each server of Python applications is told what to serve, and where."""
SERVED = re.compile(r"\b(uvicorn|fastapi|hypercorn|gunicorn|flask)\s(?:[^\"'\n]*\s)?([A-Za-z_][\w.]*:\w+)")
ENTRY = re.compile(r"^\s*entrypoint\s*=\s*[\"']([A-Za-z_][\w.]*:\w+)[\"']", re.MULTILINE)
MADE = re.compile(
    r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(FastAPI|Starlette|Litestar|Quart|Flask|create_app)\(", re.MULTILINE
)
FILES = ("main.py", "app.py", "asgi.py", "wsgi.py", "server.py", "__init__.py")
"""Where an application is looked for: at the top, and in each package there or in `src`."""


@dataclass(frozen=True, slots=True)
class Startable:
    """A process, and what it is told beside its command; one that is not `sure` is only to be proposed."""

    name: str
    command: str
    reason: str
    sure: bool = True
    env: str = ""


def startable(root: Path, seen: Survey) -> tuple[Startable, ...]:
    """A Procfile says all of it; without one, each part of the project shows its own."""
    procfile = tuple(_procfile(root))
    if procfile:
        return procfile
    python = tuple(_python(root, seen))
    package = _package(root)
    return (*python, *(replace(one, name="frontend") if python else one for one in package))


def _procfile(root: Path) -> Iterator[Startable]:
    file = next((name for name in PROCFILES if (root / name).is_file()), "")
    for line in content(root / file).splitlines() if file else ():
        found = re.fullmatch(r"([A-Za-z][\w-]*):\s*(\S.*?)\s*", line)
        if found and found[1] not in ONCE and not OTHERS.match(found[2]):
            yield Startable(found[1], _ported(found[2]), f"{file} has {found[1]}")


def _ported(command: str) -> str:
    """The shell's PORT becomes envctl's placeholder; all other braces stay the shell's."""
    parts = re.split(r"\$PORT\b|\$\{PORT(?::?-\d*)?\}", command)
    return "{port}".join(part.replace("{", "{{").replace("}", "}}") for part in parts)


def _python(root: Path, seen: Survey) -> Iterator[Startable]:
    """Django's own server; or what pyproject.toml serves; or an application that a file makes."""
    project = content(root / "pyproject.toml")
    if seen.django:
        yield Startable("web", "python manage.py runserver 127.0.0.1:{port}", "manage.py is Django's")
    elif found := SERVED.search(project):
        yield Startable("web", WAYS[found[1]].format(found[2]), f"pyproject.toml serves {found[2]}")
    elif found := ENTRY.search(project):
        yield Startable("web", WAYS["uvicorn"].format(found[1]), f"pyproject.toml names {found[1]}")
    else:
        yield from list(_made(root, seen))[:1]


def _made(root: Path, seen: Survey) -> Iterator[Startable]:
    """What a factory of the project's own makes, its packages tell."""
    own = "Flask" if "flask" in seen.dependencies else "FastAPI"
    for file in _files(root):
        for found in MADE.finditer(content(file)):
            name = file.relative_to(root).as_posix()
            module = name.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            way = WAYS["flask" if found[2].replace("create_app", own) == "Flask" else "uvicorn"]
            yield Startable("web", way.format(f"{module}:{found[1]}"), f"{name} has {found[1]}", sure=False)


def _files(root: Path) -> Iterator[Path]:
    packages = sorted(file.parent for place in (root, root / "src") for file in place.glob("*/__init__.py"))
    for folder in (root, *packages):
        yield from (folder / name for name in FILES if (folder / name).is_file())


def _package(root: Path) -> Iterator[Startable]:
    """What package.json starts for whoever works on it: `dev`, or else `start`, which may want a build first."""
    scripts = _scripts(root)
    name = next((name for name in ("dev", "start") if scripts.get(name)), "")
    if not name:
        return
    manager = next((tool for file, tool in MANAGERS.items() if (root / file).is_file()), "npm")
    flag = (" -- --port {port}" if manager == "npm" else " --port {port}") if FLAGGED.search(scripts[name]) else ""
    sure = name == "dev" and not OTHERS.match(scripts[name])
    env = "" if flag else '{ PORT = "{port}" }'
    yield Startable("web", f"{manager} run {name}{flag}", f"package.json has the script {name}", sure, env)


def _scripts(root: Path) -> dict[str, str]:
    try:
        found = json.loads(content(root / "package.json"))
    except (ValueError, RecursionError):
        return {}
    scripts = found.get("scripts") if isinstance(found, dict) else None
    return {name: one for name, one in scripts.items() if isinstance(one, str)} if isinstance(scripts, dict) else {}
