"""`envctl init`: a first `envctl.toml`, each line of it with the reason that the repository gives."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from envctl import namespace, services, spelling
from envctl.environments import Patterns
from envctl.errors import ConfigError, EnvctlError
from envctl.reference import toml
from envctl.startable import startable
from envctl.survey import Survey, calling, survey
from envctl.values import dataclass

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "postgres": ("asyncpg", "psycopg", "psycopg2", "psycopg2-binary", "pg8000", "pgvector"),
    "s3": ("boto3", "aioboto3", "minio", "s3fs", "django-storages"),
    "redis": ("redis", "hiredis", "valkey", "django-redis", "aioredis"),
}
SCHEMES: Mapping[str, str] = {"postgres": r"postgres(?:ql)?(?:\+\w+)?", "redis": r"redis|valkey"}
DRIVERS: Mapping[str, str] = {"asyncpg": "postgresql+asyncpg", "psycopg": "postgresql+psycopg"}
PARTS: tuple[tuple[str, str], ...] = (
    (r"(?:PG|POSTGRES_|DB_|DATABASE_)HOST", "{postgres.host}"),
    (r"(?:PG|POSTGRES_|DB_|DATABASE_)PORT", "{postgres.port}"),
    (r"(?:PG|DB_|DATABASE_)USER(?:NAME)?|POSTGRES_USER", "{postgres.user}"),
    (r"(?:PG|POSTGRES_|DB_|DATABASE_)PASSWORD", "{postgres.password}"),
    (r"PGDATABASE|POSTGRES_DB|(?:DB|DATABASE)_NAME", "{postgres.database}"),
    (r"(?:AWS_ENDPOINT_URL(?:_S3)?|AWS_S3_ENDPOINT_URL|(?:S3|MINIO)_(?:ENDPOINT(?:_URL)?|URL))", "{s3.endpoint}"),
    (r"AWS_ACCESS_KEY_ID|(?:S3|MINIO)_(?:ACCESS_KEY(?:_ID)?|ROOT_USER)", "{s3.access_key}"),
    (r"AWS_SECRET_ACCESS_KEY|(?:S3|MINIO)_(?:SECRET_KEY|SECRET_ACCESS_KEY|ROOT_PASSWORD)", "{s3.secret_key}"),
    (r"AWS_(?:DEFAULT_)?REGION|S3_REGION", "{s3.region}"),
)
UNSEEN = (
    '# sql = ["db/*.sql"]  # or: migrate = "alembic upgrade head", and watch = ["migrations/**"]',
    "# [services.s3]",
    '# buckets = ["files"]',
    "# [services.redis]",
)
BUCKET = re.compile(r"(?:\w+_)?BUCKET(?:_NAME)?|BUCKET_\w+")
TELLING = re.compile(r"PG|POSTGRES_|S3_|MINIO_|AWS_S3_|AWS_ENDPOINT_URL_S3")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,40}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A file to write, and why it says what it says."""

    text: str
    reasons: tuple[str, ...]
    told: tuple[str, ...]
    """The reasons, each with the line that it is for."""
    services: tuple[str, ...]
    """Those that the repository shows; without one there is nothing yet that envctl could start."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file; without text it is a remark."""

    text: str
    reason: str = ""


def propose(root: Path) -> Proposal:
    """Look at the repository and describe it; nothing is claimed that was not seen."""
    seen = survey(root)
    found = _services(seen)
    lines = [_project(seen), *_remarks(seen)]
    if "postgres" in found:
        lines += [*_postgres(seen, found["postgres"])]
    if "s3" in found:
        lines += [Line("\n[services.s3]", found["s3"]), *_buckets(seen)]
    if "redis" in found:
        lines += [Line("\n[services.redis]", found["redis"])]
    lines += [*_nothing(found), *_processes(root, seen), *_compose(seen), *_variables(root, seen, tuple(found))]
    told = [line for line in lines if line.reason]
    return Proposal(
        "".join(_written(line) for line in lines),
        tuple(line.reason for line in told),
        tuple(f"{line.text.strip()}: {line.reason}" if line.text else line.reason for line in told),
        tuple(found),
    )


def write(path: Path, text: str, overwrite: bool) -> None:
    """Put the file there in one step; one that is there is only replaced when that was asked for."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w") as file:
            file.write(text)
        if overwrite:
            fresh.replace(path)
        else:
            path.hardlink_to(fresh)
    except FileExistsError as error:
        raise ConfigError(f"{path} is already there", hint="envctl init --force replaces it", code="exists") from error
    except OSError as error:
        raise EnvctlError(f"{path} cannot be written", cause=error.strerror or str(error)) from error
    finally:
        fresh.unlink(missing_ok=True)


def _written(line: Line) -> str:
    """A line below its reason."""
    gap = "\n" if line.text.startswith("\n") else ""
    remark = f"# {line.reason}\n" if line.reason else ""
    return f"{gap}{remark}{line.text.lstrip()}\n" if line.text else remark


def _project(seen: Survey) -> Line:
    words = spelling.readable(seen.name).lstrip("0123456789_") or "my"
    short = words[:20].rstrip("_")
    tried = (_accepted(one) for one in (seen.name, words, short, f"{short}_app"))
    return Line(f"project = {toml(next(filter(None, tried), 'my_app'))}", f"this repository calls itself {seen.name!r}")


def _accepted(name: str) -> str:
    """The name, where it can be a project's and leaves room for the namespaces beside it."""
    try:
        namespace.limit(spelling.project_name(name), Patterns(), ())
    except ConfigError:
        return ""
    return spelling.project_name(name)


def _remarks(seen: Survey) -> Iterator[Line]:
    if seen.pytest:
        yield Line("", f"pytest is set up in {seen.pytest}: `envctl test` runs it as it is")


def _services(seen: Survey) -> dict[str, str]:
    """The services in use, each with what shows it."""
    found: dict[str, str] = {}
    placeholders = dict(_placeholders(seen))
    for service in services.REGISTRY:
        reasons = [f"{seen.compose} runs {one.image}" for one in seen.images if one.service == service]
        reasons += [f"{seen.dependencies[one]} asks for {one}" for one in PACKAGES[service] if one in seen.dependencies]
        named = (
            name for name, text in placeholders.items() if text.startswith(f"{{{service}.") and _telling(name, text)
        )
        reasons += [f"{seen.example} has {name}" for name in named]
        if service == "postgres" and (seen.sql or seen.reversible):
            reasons.append(f"there is SQL in {(*seen.sql, seen.reversible)[0]}")
        if reasons:
            found[service] = "; ".join(dict.fromkeys(reasons))
    return found


def _postgres(seen: Survey, reason: str) -> Iterator[Line]:
    yield Line("\n[services.postgres]", reason)
    vector = [f"{seen.compose} runs {one.image}" for one in seen.images if "pgvector" in one.image]
    if "pgvector" in seen.dependencies:
        vector.append(f"{seen.dependencies['pgvector']} asks for pgvector")
    if vector:
        yield Line('extensions = ["vector"]', "; ".join(vector))
    if seen.sql:
        yield Line(f"sql = {toml(seen.sql)}", "SQL files, which envctl runs in the order of their names")
    if seen.reversible:
        yield Line(
            "", f"{seen.reversible} has its own undoing in it: set `migrate` and `watch` for the tool that reads it"
        )
    if seen.alembic:
        yield Line('migrate = "alembic upgrade head"', "alembic.ini is here")
        yield Line(f"watch = {toml((f'{seen.alembic}/**', 'alembic.ini'))}", "its script_location, and itself")
    elif seen.django:
        yield Line('migrate = "python manage.py migrate"', "manage.py is Django's")
        yield Line('watch = ["**/migrations/*.py"]', "where Django keeps migrations")


def _buckets(seen: Survey) -> Iterator[Line]:
    named = {
        text: name for name, text in seen.variables.items() if BUCKET.fullmatch(name) and BUCKET_NAME.fullmatch(text)
    }
    if named:
        yield Line(f"buckets = {toml(tuple(named))}", f"{seen.example} has {', '.join(named.values())}")


def _nothing(found: Mapping[str, str]) -> Iterator[Line]:
    """Where no service shows, all of them to choose from."""
    if not found:
        yield Line("\n# [services.postgres]", "no server shows here: take the # off what the project needs")
        yield from map(Line, UNSEEN)


def _processes(root: Path, seen: Survey) -> Iterator[Line]:
    """What is not sure is there as a comment."""
    for one in startable(root, seen):
        off = "" if one.sure else "# "
        yield Line(f"\n{off}[dev.processes.{one.name}]", f"{one.reason}{'' if one.sure else ': perhaps started so'}")
        yield Line(f"{off}command = {toml(one.command)}")
        if one.env:
            yield Line(f"{off}env = {one.env}")


def _compose(seen: Survey) -> Iterator[Line]:
    if not seen.images:
        return
    yield Line("\n[compose]", f'{seen.compose} is here, for `engine = "compose"`')
    yield Line(f"file = {toml(seen.compose)}")
    named = {one.service: one.name for one in reversed(seen.images)}
    yield Line(f"services = {toml(named)}", "; ".join(f"{one.name} runs {one.image}" for one in seen.images))


def _variables(root: Path, seen: Survey, found: tuple[str, ...]) -> Iterator[Line]:
    """What the example file names; with a driver alone, the services' own with that driver in the URL."""
    mapped = {name: text for name, text in _placeholders(seen) if text[1:].partition(".")[0] in found}
    driver = next((one for one in DRIVERS if one in seen.dependencies and "sqlalchemy" in seen.dependencies), "")
    if mapped:
        yield Line("\n[variables]", f"the servers' variables in {seen.example}")
        yield from (Line(f"{name} = {toml(text)}") for name, text in mapped.items())
        left = [name for name in seen.variables if name not in mapped]
        if left:
            yield Line("", f"not about these servers, so left to you: {', '.join(left)}")
    elif driver and "postgres" in found and (file := calling(root, f"{driver}.connect(")):
        yield Line(
            "",
            f"{file} calls {driver}.connect itself, so DATABASE_URL is plain; "
            f'for sqlalchemy alone it would be "{{postgres.url:{DRIVERS[driver]}}}"',
        )
    elif driver and "postgres" in found:
        reason = (
            f"the URL is sqlalchemy's, for {driver} ({seen.dependencies[driver]} asks for both); "
            f'code that calls {driver}.connect itself needs "{{postgres.url}}"'
        )
        yield Line("\n[variables]", reason)
        exports = {name: text for one in found for name, text in services.get(one).exports.items()}
        exports["DATABASE_URL"] = f"{{postgres.url:{DRIVERS[driver]}}}"
        yield from (Line(f"{name} = {toml(text)}") for name, text in exports.items())


def _telling(name: str, text: str) -> bool:
    """Whether a variable shows by itself which server it is for: `DB_HOST` could be any database's."""
    return ".url" in text or TELLING.match(name) is not None


def _placeholders(seen: Survey) -> Iterator[tuple[str, str]]:
    """The example file's variables that a server could give."""
    for name, value in seen.variables.items():
        scheme, url, _ = value.partition("://")
        service = next((one for one, pattern in SCHEMES.items() if url and re.fullmatch(pattern, scheme)), "")
        part = next((text for pattern, text in PARTS if re.fullmatch(pattern, name)), "")
        if service:
            plain = scheme in ("postgresql", "redis")
            yield name, f"{{{service}.url}}" if plain else f"{{{service}.url:{scheme}}}"
        elif part:
            yield name, part
        elif BUCKET.fullmatch(name) and BUCKET_NAME.fullmatch(value):
            yield name, f"{{s3.bucket.{value}}}"
