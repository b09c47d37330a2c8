"""Servers that somebody else runs are asked, never touched."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from envctl.engines.external import ENGINE
from envctl.errors import ConfigError, UnavailableError
from envctl.model import Address
from envctl.server_set import Need, Running, ServerSet


class Greeting:
    """A server kind that reads one line; `together` is waited for before the answer is believed."""

    def __init__(self, together: threading.Barrier | None = None) -> None:
        self._together = together

    def external(self, url: str) -> Address:
        parts = urlsplit(url)
        return Address(parts.hostname or "", parts.port or 0, parts.username or "", parts.password or "")

    def check(self, address: Address) -> str:
        if self._together is not None:
            self._together.wait(timeout=20)
        try:
            with socket.create_connection((address.host, address.port), timeout=5) as connection:
                line = connection.recv(100).decode().strip()
        except OSError as error:
            raise UnavailableError("no greeting", cause=f"{error} (login :{address.password}@)") from error
        if line.startswith("denied"):
            raise UnavailableError(f"{line} for password {address.password}")
        return line


@contextmanager
def listening(greeting: str) -> Iterator[int]:
    """A server that greets whoever connects."""

    class Greet(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting.encode())

    with socketserver.TCPServer(("127.0.0.1", 0), Greet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def server_set(tmp_path: Path, urls: dict[str, str], needs: dict[str, Any] | None = None) -> ServerSet:
    wanted = {name: Need(kind, None) for name, kind in (needs or dict.fromkeys(urls, Greeting())).items()}
    return ServerSet("shop", "dev", "external", tmp_path, wanted, tmp_path, 0, urls)


def start(servers: ServerSet) -> Running:
    return ENGINE.start(servers, None, lambda running: None, lambda line: None)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_server_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    with listening("hello 1.0\n") as port:
        running = start(server_set(tmp_path, {"db": f"x://me:secret@127.0.0.1:{port}"}))
        assert running.ready
        assert running.servers["db"].address == Address("127.0.0.1", port, "me", "secret")
        assert running.servers["db"].detail["version"] == "hello 1.0"
        assert ENGINE.alive(running)
        assert [one.state for one in ENGINE.look(running)] == ["running"]


def test_server_that_is_gone_is_not_alive(tmp_path: Path) -> None:
    with listening("hello\n") as port:
        running = start(server_set(tmp_path, {"db": f"x://127.0.0.1:{port}"}))
    assert not ENGINE.alive(running)
    assert [one.state for one in ENGINE.look(running)] == ["stopped"]


def test_absent_server_is_named_with_its_place_and_without_its_password(tmp_path: Path) -> None:
    port = unused_port()
    with pytest.raises(UnavailableError) as caught:
        start(server_set(tmp_path, {"db": f"x://me:hidden-secret@127.0.0.1:{port}"}))
    error = caught.value
    assert error.exit_code == 4
    assert error.message == f"db at 127.0.0.1:{port} does not answer"
    assert "refused" in error.cause
    assert "hidden-secret" not in error.message + error.cause + error.hint


def test_refusal_of_a_server_is_the_cause(tmp_path: Path) -> None:
    with listening("denied\n") as port, pytest.raises(UnavailableError) as caught:
        start(server_set(tmp_path, {"db": f"x://me:hidden-secret@127.0.0.1:{port}"}))
    assert caught.value.cause == "denied for password …"


def test_servers_are_asked_side_by_side(tmp_path: Path) -> None:
    both = Greeting(threading.Barrier(2))
    with ExitStack() as stack:
        ports = [stack.enter_context(listening("hello\n")) for _ in range(2)]
        urls = {f"db{number}": f"x://127.0.0.1:{port}" for number, port in enumerate(ports)}
        assert start(server_set(tmp_path, urls, dict.fromkeys(urls, both))).ready


def test_missing_address_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="db has no address") as caught:
        start(server_set(tmp_path, {}, {"db": Greeting()}))
    assert "[external] db" in caught.value.hint


def test_stop_and_logs_say_that_the_servers_are_not_ours(tmp_path: Path) -> None:
    said: list[str] = []
    with listening("hello\n") as port:
        running = start(server_set(tmp_path, {"db": f"x://127.0.0.1:{port}"}))
        ENGINE.stop(running, said.append)
        assert ENGINE.alive(running)
        assert said == ["the servers are external: they keep running"]
        assert list(ENGINE.logs(running, "db", follow=True)) == [
            f"db is external (127.0.0.1:{port}): its log is where it runs"
        ]


def test_other_address_of_another_checkout_is_told_without_its_password(tmp_path: Path) -> None:
    with listening("hello\n") as port:
        running = start(server_set(tmp_path, {"db": f"x://127.0.0.1:{port}"}))
    other = server_set(tmp_path, {"db": "x://me:hidden-secret@db.example:5432"})
    assert ENGINE.differences(other, running) == (
        f"db is used at 127.0.0.1:{port}, this checkout's configuration says db.example:5432",
    )
