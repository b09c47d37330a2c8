"""Whether a process that listens on a loopback port is ready to work."""

from __future__ import annotations

import socket
import threading
import time

from envctl.model import Talk

PAUSE, RARELY = 0.1, 1.0
SOON = 5.0
"""Most applications are ready by then; what takes longer may be wrong, and a person wants to know."""
ANSWER = 5.0
"""How long one answer may take; a first request often loads half the application."""


def wait(health: str, port: int, *, patience: float, given_up: threading.Event, still: Talk) -> str:
    """Ask until it is ready, and return nothing; or what was wrong last when patience or interest ended.

    After a while `still` hears what is wrong, and it is asked less often.
    """
    begin, pause = time.monotonic(), PAUSE
    while True:
        left = begin + patience - time.monotonic()
        wrong = look(health, port, seconds=max(0.1, min(ANSWER, left)))
        if not wrong or left <= 0 or given_up.wait(pause):
            return wrong
        if pause == PAUSE and time.monotonic() > begin + SOON:
            still(wrong)
            pause = RARELY


def look(health: str, port: int, *, seconds: float = ANSWER) -> str:
    """Ask once: "tcp" must accept a connection, a path must answer 2xx or 3xx. Returns what is wrong, if anything."""
    try:
        return _connect(port, seconds) if health == "tcp" else _get(health, port, seconds)
    except TimeoutError:
        return f"no answer on port {port} within {seconds:.0f} s"
    except ConnectionRefusedError:
        return f"nothing listens on port {port}"
    except OSError as error:
        return f"port {port}: {error.strerror or error}"


def listens(port: int) -> bool:
    """Whether somebody has this loopback port."""
    return not look("tcp", port, seconds=1.0)


def _connect(port: int, seconds: float) -> str:
    socket.create_connection(("127.0.0.1", port), timeout=seconds).close()
    return ""


def _get(path: str, port: int, seconds: float) -> str:
    import http.client
    from string import punctuation
    from urllib.parse import quote

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(
            "GET", quote(path, safe=punctuation), headers={"Connection": "close", "User-Agent": "envctl"}
        )
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        return f"{path} did not answer in HTTP ({type(error).__name__})"
    finally:
        connection.close()
    return "" if 200 <= status < 400 else f"{path} answered {status}"
