"""What a repository shows about itself: facts, each with the file that it was seen in."""

from __future__ import annotations

import configparser
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from envctl.values import dataclass

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist")
SQL = ("db", "db/init", "db/schema", "db/migrations", "database", "migrations", "supabase/migrations", "sql", "schema")

CODE = ("*.py", "*/*.py", "src/*/*.py", "src/*/*/*.py")
MOST = 500
"""So many files are looked into; who has more of them wants an answer now, too."""
LARGEST = 1_000_000
"""A file with more letters than this was not written by hand, and says nothing that would be looked for."""

_IMAGES: Mapping[str, str] = {
    "postgres": r"postgres|postgis|pgvector|timescaledb|supabase/postgres",
    "s3": r"minio/minio|bitnami/minio|seaweedfs|localstack|garage",
    "redis": r"redis|valkey|keydb|dragonfly",
}
_UNDOING = re.compile(r"--\s*(?:migrate:down|\+goose\s+down|\+migrate\s+down|!downs)", re.IGNORECASE)
"""What begins the half of a migration that undoes the other: dbmate's, goose's, sql-migrate's, play's."""
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Image:
    """A container image in the compose file: whose it is, and which of our services it could be."""

    name: str
    image: str
    service: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that was seen."""

    name: str
    dependencies: Mapping[str, str]
    """Package → the file that asks for it."""
    compose: str
    images: tuple[Image, ...]
    alembic: str
    """The folder of the migrations that alembic.ini names; empty without one."""
    django: bool
    sql: tuple[str, ...]
    """Patterns of the files that can be run as they are."""
    reversible: str
    """A file of SQL with its own undoing in it; empty without one."""
    example: str
    variables: Mapping[str, str]
    pytest: str


def survey(root: Path) -> Survey:
    """Look, run nothing."""
    compose = next((name for name in COMPOSE if (root / name).is_file()), "")
    example = next((name for name in EXAMPLES if (root / name).is_file()), "")
    project = _toml(root / "pyproject.toml")
    return Survey(
        name=str(_inside(project, "project").get("name") or root.resolve().name),
        dependencies=dict(_dependencies(root, project)),
        compose=compose,
        images=tuple(_images(content(root / compose))) if compose else (),
        alembic=_alembic(root),
        django="django" in content(root / "manage.py"),
        sql=tuple(_sql(root)),
        reversible=next((str(file.relative_to(root)) for folder in SQL if (file := _reversible(root / folder))), ""),
        example=example,
        variables=dict(_variables(content(root / example))) if example else {},
        pytest=_pytest(root, project),
    )


def _sql(root: Path) -> Iterator[str]:
    """Of pairs only the halves that do something, not those that undo it."""
    for folder in SQL:
        files = [file.name for file in (root / folder).glob("*.sql") if file.is_file()]
        if files and not _reversible(root / folder):
            yield f"{folder}/*.up.sql" if any(name.endswith(".down.sql") for name in files) else f"{folder}/*.sql"


def _reversible(folder: Path) -> Path | None:
    return next((file for file in sorted(folder.glob("*.sql")) if _UNDOING.search(content(file))), None)


def _dependencies(root: Path, project: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for file in sorted(root.glob("requirements*.txt")):
        for line in content(file).splitlines():
            yield from _requirements([line], file.name)
    own = _inside(project, "project")
    yield from _requirements(own.get("dependencies", []), "pyproject.toml")
    for table in (_inside(own, "optional-dependencies"), _inside(project, "dependency-groups")):
        for group in table.values():
            yield from _requirements(group, "pyproject.toml")
    yield from _requirements(_inside(project, "tool", "poetry", "dependencies"), "pyproject.toml")


def _requirements(lines: object, file: str) -> Iterator[tuple[str, str]]:
    for line in lines if isinstance(lines, (list, dict)) else ():
        found = _REQUIREMENT.match(line.strip()) if isinstance(line, str) else None
        if found:
            yield re.sub(r"[._-]+", "-", found[0]).lower(), file


def _images(text: str) -> Iterator[Image]:
    """The images under `services:`, by indentation; what is written in another style is not seen."""
    inside, step, name = False, 0, ""
    for line in text.splitlines():
        bare = line.split(" #")[0].rstrip()
        depth = len(bare) - len(bare.lstrip())
        if not bare or bare.lstrip().startswith("#"):
            continue
        if depth == 0:
            inside, step = bare == "services:", 0
        elif inside and depth <= (step or depth) and bare.endswith(":"):
            step, name = depth, bare.strip().rstrip(":").strip("\"'")
        elif inside and name and (found := re.match(r"\s+image:\s*[\"']?([^\s\"']+)", bare)):
            yield from (Image(name, found[1], service) for service in _serves(found[1]))


def _serves(image: str) -> Iterator[str]:
    """The service that an image is; the last part of its name decides, without its tag."""
    path = re.sub(r"[:@].*$", "", image.rpartition("/")[2])
    whole = "/".join([*image.split("/")[-2:-1], path])
    for service, pattern in _IMAGES.items():
        if re.search(rf"(?:^|/)(?:{pattern})(?:-server|-ha|-stack|-alpine)?$", whole):
            yield service


def _alembic(root: Path) -> str:
    reader = configparser.ConfigParser(interpolation=None)
    try:
        reader.read_string(content(root / "alembic.ini"))
    except configparser.Error:
        return ""
    location = reader.get("alembic", "script_location", fallback="").replace("%(here)s", ".")
    folder = Path(location)
    return "" if not location or folder.is_absolute() or ":" in location else folder.as_posix()


def _variables(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        found = re.match(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$", line)
        if found:
            value = found[2]
            quoted = re.match(r"([\"'])(.*?)\1", value)
            yield found[1], quoted[2] if quoted else value.split(" #")[0].rstrip()


def _pytest(root: Path, project: Mapping[str, Any]) -> str:
    if (root / "pytest.ini").is_file():
        return "pytest.ini"
    if _inside(project, "tool", "pytest"):
        return "pyproject.toml"
    sections = {"setup.cfg": "[tool:pytest]", "tox.ini": "[pytest]"}
    return next((name for name, section in sections.items() if section in content(root / name)), "")


def _inside(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = table.get(key)
        table = inner if isinstance(inner, dict) else {}
    return table


def _toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(content(file))
    except (ValueError, RecursionError):
        return {}


def calling(root: Path, words: str) -> str:
    """A file of the project's own code with these words in it; empty if there is none."""
    files = (file for pattern in CODE for file in sorted(root.glob(pattern)))
    return next((str(file.relative_to(root)) for file in islice(files, MOST) if words in content(file)), "")


def content(file: Path) -> str:
    """A file's text; what cannot be read, is no ordinary file or is too large was not seen."""
    try:
        with open(file, errors="replace", opener=_opened) as opened:
            text = opened.read(LARGEST + 1) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else ""
    except OSError:
        return ""
    return text if len(text) <= LARGEST else ""


def _opened(file: str, flags: int) -> int:
    """Opened without waiting for whoever should write to a pipe."""
    return os.open(file, flags | os.O_NONBLOCK | os.O_CLOEXEC)
