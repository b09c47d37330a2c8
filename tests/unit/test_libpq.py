"""What goes over the wire to a server that is not what it should be."""

from __future__ import annotations

import os
import socket
import struct
import threading

import psycopg
import pytest

from envctl import libpq

CLEARTEXT = b"R" + struct.pack("!ii", 8, 3)


@pytest.fixture
def thief() -> tuple[int, list[bytes]]:
    """A stranger on the port, who asks for the password in clear and writes down what comes."""
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        with server, server.accept()[0] as session:
            session.settimeout(10)
            first = session.recv(4096)
            if first[4:8] == struct.pack("!i", 80877103):  # may I use TLS?
                session.sendall(b"N")
                first = session.recv(4096)
            heard.append(first)
            session.sendall(CLEARTEXT)
            heard.append(session.recv(4096))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return server.getsockname()[1], heard


def test_a_stranger_on_the_port_is_not_sent_the_password(thief: tuple[int, list[bytes]]) -> None:
    port, heard = thief
    with pytest.raises(psycopg.OperationalError):
        libpq.connect(host="127.0.0.1", port=str(port), user="postgres", password="geheim", dbname="postgres")
    assert heard[0]
    assert b"geheim" not in b"".join(heard)


def test_variables_of_the_person_are_not_followed_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.1")
    monkeypatch.setenv("PGSSLMODE", "require")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(psycopg.OperationalError, match=f'"127.0.0.1", port {port} failed: Connection refused'):
        libpq.connect(host="127.0.0.1", port=str(port), user="u", dbname="d")
    assert os.environ["PGSERVICE"] == "production"
