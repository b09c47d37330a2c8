"""A real little web server of the test's own, to be asked as if it were GitHub or an image registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One question that came."""

    path: str
    headers: dict[str, str]

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "")


@dataclass(frozen=True)
class Said:
    """What it answers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answers = Callable[[Asked], Said | None]
"""None: no answer at all, for as long as the server lives."""


@dataclass
class FarSide:
    """The server, and what it was asked."""

    url: str
    asked: list[Asked]

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]


@contextmanager
def serving(answers: Answers, silent: Callable[[], None] = lambda: None) -> Iterator[FarSide]:
    """A server on a port of its own, gone after the block; `silent` blocks a question that gets no answer."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
            asked.append(one)
            said = answers(one)
            if said is None:
                silent()
                return
            body = said.encoded()
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield FarSide(f"http://127.0.0.1:{server.server_address[1]}", asked)
        finally:
            server.shutdown()
            thread.join()
