"""What an application does with what it was given: write, read, and try what it must not be able to do."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import minio
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

Values = Mapping[str, str]


@dataclass(frozen=True)
class Hand:
    """How one service is used, with nothing but the values of an access."""

    put: Callable[[Values, str, str], None]
    get: Callable[[Values, str], str | None]
    credentials: tuple[str, ...]
    refusals: tuple[type[Exception], ...]
    """What a refused application sees."""

    def with_the_key_of(self, mine: Values, theirs: Values) -> Values:
        """Somebody else's place, and our own credentials."""
        return {**theirs, **{name: mine[name] for name in self.credentials}}


def _postgres(values: Values, query: LiteralString, *arguments: str) -> list[tuple[Any, ...]]:
    place: dict[str, Any] = {"host": values["host"], "port": values["port"], "dbname": values["database"]}
    login: dict[str, Any] = {"user": values["user"], "password": values["password"]}
    with psycopg.connect(autocommit=True, **place, **login) as connection:
        done = connection.execute(query, arguments)
        return done.fetchall() if done.description else []


def _put_row(values: Values, key: str, value: str) -> None:
    _postgres(values, "CREATE TABLE IF NOT EXISTS kept (key text PRIMARY KEY, value text)")
    _postgres(values, "INSERT INTO kept VALUES (%s, %s)", key, value)


def _get_row(values: Values, key: str) -> str | None:
    if not _postgres(values, "SELECT 1 FROM pg_tables WHERE tablename = 'kept'"):
        return None
    rows = _postgres(values, "SELECT value FROM kept WHERE key = %s", key)
    return str(rows[0][0]) if rows else None


def s3_client(values: Values) -> minio.Minio:
    """A client as an application would make it."""
    place = f"{values['host']}:{values['port']}"
    login = values["access_key"], values["secret_key"]
    return minio.Minio(place, *login, secure=values["secure"] == "true", region=values["region"])


def _put_object(values: Values, key: str, value: str) -> None:
    s3_client(values).put_object(values["bucket"], key, io.BytesIO(value.encode()), len(value.encode()))


def _get_object(values: Values, key: str) -> str | None:
    try:
        answer = s3_client(values).get_object(values["bucket"], key)
    except minio.S3Error as error:
        if error.code == "NoSuchKey":
            return None
        raise
    with answer:
        return str(answer.read().decode())


def redis_client(values: Values) -> Any:
    """A client as an application would make it."""
    login: dict[str, Any] = {"username": values["user"] or None, "password": values["password"] or None}
    place: dict[str, Any] = {"host": values["host"], "port": int(values["port"]), "db": int(values["number"])}
    return redis.Redis(decode_responses=True, retry=Retry(NoBackoff(), 0), **place, **login)


def _put_key(values: Values, key: str, value: str) -> None:
    with redis_client(values) as client:
        client.set(values["prefix"] + key, value)


def _get_key(values: Values, key: str) -> str | None:
    with redis_client(values) as client:
        found: str | None = client.get(values["prefix"] + key)
        return found


HANDS = {
    "postgres": Hand(_put_row, _get_row, ("user", "password"), (psycopg.OperationalError,)),
    "s3": Hand(_put_object, _get_object, ("access_key", "secret_key"), (minio.S3Error,)),
    "redis": Hand(_put_key, _get_key, ("user", "password"), (redis.ResponseError, redis.AuthenticationError)),
}
"""A service that is added to the registry is added here, and is then held to every claim."""
