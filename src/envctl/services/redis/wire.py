"""How we talk to a Redis server: through its client, and in a few words of the protocol where a client is too slow."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Address

LONGEST = 1 << 20
"""Bytes of one answer; whoever sends more is no server of ours."""
BROKEN = (ValueError, LookupError, TypeError, AttributeError)
"""What the client raises by accident when the answers are not those of Redis."""


@contextmanager
def connected(address: Address) -> Iterator[Any]:
    """An administrator's connection; a server that does not answer is told in one error."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis(
        host=address.host,
        port=address.port,
        username=address.user or None,
        password=address.password or None,
        db=int(address.options.get("number", "0")),
        ssl=address.options.get("secure") == "true",
        decode_responses=True,
        socket_connect_timeout=3,
        socket_timeout=30,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        with client:
            _greet(client, address)
            yield client
    except redis.AuthenticationError as error:
        raise EnvctlError(
            f"redis at {address.host}:{address.port} does not take envctl's password",
            cause=_safe(address, error),
            hint="its data was made with another password: give that one, or remove the data and start again",
            code="password",
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise UnavailableError(f"redis at {address.host}:{address.port} does not answer", cause=str(error)) from error
    except redis.RedisError as error:
        raise _odd(address, _safe(address, error)) from error


def version(address: Address) -> str:
    """What the server says of itself."""
    with connected(address) as client:
        try:
            facts = client.info("server")
            return str(facts.get("valkey_version") or facts["redis_version"])
        except BROKEN as error:
            raise _odd(address, "it does not tell its version") from error


def _greet(client: Any, address: Address) -> None:
    """Whoever does not answer PING as Redis does is something else; its answers break the client in many ways."""
    try:
        known = client.ping() is True
    except BROKEN as error:
        raise _odd(address, "its answers are not those of redis") from error
    if not known:
        raise _odd(address, "it does not answer PING with PONG")


def _odd(address: Address, cause: str) -> UnavailableError:
    return UnavailableError(
        f"redis at {address.host}:{address.port} does not answer as it should",
        cause=cause,
        hint="see whether another program listens on that port",
    )


def _safe(address: Address, error: Exception) -> str:
    """What the server says, without our password: some repeat the words that they do not know."""
    return str(error).replace(address.password, "***") if address.password else str(error)


def entered(address: Address, user: str, password: str, number: str, key: str, field: str) -> str | None:
    """What the administrator reads in that field of a hash, if that login may use that number: else None.

    A few words of the protocol, sent at once; a client costs a tenth of a second.
    """
    if address.options.get("secure") == "true":
        return None
    before = _as_administrator(address)
    words = [*before, ("HGET", key, field), ("AUTH", user, password), ("SELECT", number), ("PING",)]
    try:
        with socket.create_connection((address.host, address.port), timeout=5) as connection:
            connection.sendall(b"".join(_spoken(one) for one in words))
            with connection.makefile("rb") as answers:
                heard = [_heard(answers) for _ in words]
        found = heard.pop(len(before))
        return found.decode() if heard == [b"+OK"] * (len(heard) - 1) + [b"+PONG"] else None
    except (OSError, ValueError):
        return None


def lists(address: Address, *words: tuple[str, ...]) -> list[list[str]] | None:
    """The list that each of these commands answers with, in as few words; None where that does not come off."""
    if address.options.get("secure") == "true":
        return None
    before = _as_administrator(address)
    try:
        with socket.create_connection((address.host, address.port), timeout=5) as connection:
            connection.sendall(b"".join(_spoken(one) for one in (*before, *words)))
            with connection.makefile("rb") as answers:
                if any(_heard(answers) != b"+OK" for _ in before):
                    return None
                return [_heard_list(answers) for _ in words]
    except (OSError, ValueError):
        return None


def _as_administrator(address: Address) -> list[tuple[str, ...]]:
    login = (address.user, address.password) if address.user else (address.password,)
    return [*([("AUTH", *login)] if address.password else []), ("SELECT", address.options.get("number", "0"))]


def _spoken(words: tuple[str, ...]) -> bytes:
    parts = [word.encode() for word in words]
    return f"*{len(words)}\r\n".encode() + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _heard(answers: BinaryIO) -> bytes:
    """One answer: a good line, or the text that a line announces. What is not there is empty."""
    line = answers.readline(LONGEST).strip()
    if line in (b"+OK", b"+PONG"):
        return line
    length = int(line[1:]) if line.startswith(b"$") else LONGEST + 1
    if length > LONGEST:
        raise ValueError("a refusal, or no redis")
    return answers.read(length + 2)[:length] if length >= 0 else b""


def _heard_list(answers: BinaryIO) -> list[str]:
    line = answers.readline(LONGEST).strip()
    if not line.startswith(b"*"):
        raise ValueError("a refusal, or no list")
    return [_heard(answers).decode() for _ in range(int(line[1:]))]
