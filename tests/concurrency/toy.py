"""A tiny real server that starts in some milliseconds, and a program that holds it: what the tests here run.

A gate is a folder: a step whose file is there writes that it was reached and goes on when the file is gone.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envctl import engines, leases
from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Address, Command
from envctl.server_set import Container, Need, Observed, Place, Program, ServerSet

SERVER = """
import os, socket, sys, time
port, data, gate = int(sys.argv[1]), sys.argv[2], sys.argv[3]
password = open(os.path.join(data, "password")).read()
def passes(step):
    path = os.path.join(gate, step)
    if gate and os.path.exists(path):
        open(path + ".reached", "w").close()
        while os.path.exists(path):
            time.sleep(0.005)
passes("serve")
if sys.argv[4] == "child" and os.fork() == 0:
    time.sleep(600)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen(100)
print("toy listens", flush=True)
while True:
    peer, _ = server.accept()
    with peer:
        asked = peer.makefile().readline().strip()
        peer.sendall(f"toy 1 {os.getpid()}".encode() if asked == password else b"refused")
"""
INIT = """
import os, sys, time
data, gate, password = sys.argv[1], sys.argv[2], sys.stdin.read()
open(os.path.join(data, "half"), "w").close()
path = os.path.join(gate, "init")
if gate and os.path.exists(path):
    open(path + ".reached", "w").close()
    while os.path.exists(path):
        time.sleep(0.005)
open(os.path.join(data, "password"), "w").write(password)
os.remove(os.path.join(data, "half"))
"""


@dataclass(frozen=True)
class Settings:
    """What a toy can be told."""

    gate: str = ""
    version: str = "toy-1"
    serve: str = SERVER
    init: str = INIT
    child: str = ""
    stop_signal: int = 15
    ports: int = 1


class Toy:
    """A server kind with a password and a data folder."""

    def __init__(self, name: str = "toy") -> None:
        self.name = name

    def program(self, settings: Settings) -> Program:
        return Program(settings.version, user="admin", stop_signal=settings.stop_signal, ports=settings.ports)

    def init(self, settings: Settings, place: Place) -> tuple[Command, ...]:
        passes(settings.gate, "recorded")
        argv = (sys.executable, "-I", "-S", "-c", settings.init, str(place.data), settings.gate)
        return (Command(argv, stdin=place.address.password),)

    def serve(self, settings: Settings, place: Place) -> Command:
        passes(settings.gate, "published")
        argv = (sys.executable, "-I", "-S", "-c", settings.serve, str(place.ports[0]), str(place.data))
        return Command((*argv, settings.gate, settings.child))

    def check(self, address: Address) -> str:
        return ask(address)

    def container(self, settings: Settings) -> Container:
        raise NotImplementedError

    def adopt(self, seen: Observed) -> Address | None:
        return None

    def external(self, url: str) -> Address:
        raise NotImplementedError


def ask(address: Address) -> str:
    """`toy 1 PID`, from the server itself."""
    try:
        with socket.create_connection((address.host, address.port), timeout=5) as peer:
            peer.sendall(f"{address.password}\n".encode())
            said = peer.makefile().read()
    except OSError as error:
        raise UnavailableError(f"toy does not answer: {error}") from error
    if not said.startswith("toy"):
        raise UnavailableError(f"toy said {said!r}")
    return said


def passes(gate: str, step: str) -> None:
    """Wait at a gate, if it is shut."""
    path = Path(gate) / step
    if gate and path.exists():
        path.with_suffix(".reached").touch()
        while path.exists():
            time.sleep(0.005)


def toy_set(home: Path, *, idle: float = 60, name: Any = "dev", toys: Any = None) -> ServerSet:
    """A server set of toys."""
    needs = {one: Need(Toy(one), settings) for one, settings in (toys or {"toy": Settings()}).items()}
    return ServerSet("shop", name, "embedded", home, needs, home, idle)


def main(action: str, home: str, namespace: str, options: str) -> None:
    """Hold until a line comes, or pin; say what was seen in one JSON line."""
    chosen = json.loads(options)
    toys = {name: Settings(**values) for name, values in chosen.pop("toys", {"toy": {}}).items()}
    wait = chosen.pop("wait", 30)
    servers = toy_set(Path(home), toys=toys, **chosen)
    engine = engines.get("embedded")
    common: dict[str, Any] = {"namespace": namespace, "workspace": "/", "wait": wait, "talk": talk}
    try:
        if action == "pin":
            running = leases.pin(servers, engine, **common)
            tell({name: ask(one.address) for name, one in running.servers.items()})
            return
        with leases.hold(servers, engine, command="toy", **common) as running:
            child = os.fork() if action == "fork" else 0
            if action == "fork" and child == 0:
                behave_as_child()
            tell({name: ask(one.address) for name, one in running.servers.items()} | {"child": str(child)})
            sys.stdin.readline()
    except ForkedError:
        time.sleep(600)
    except EnvctlError as error:
        tell({"error": error.code, "message": error.message, "cause": error.cause})


class ForkedError(Exception):
    """How a forked child leaves the block of its parent."""


def behave_as_child() -> None:
    """Leave the parent's block, as a child that fails in it does, and live on."""
    os.close(0)
    os.close(1)
    raise ForkedError


def talk(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tell(value: dict[str, str]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
