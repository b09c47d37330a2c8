"""Connections that go where they are told, whatever PG… variables the person has set for other servers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SERVICE = "PGSERVICE"
REDIRECTING = (SERVICE, "PGSERVICEFILE", "PGHOSTADDR", "PGOPTIONS")
"""Variables that change where a URL leads, or what its session is like. What works on a sandbox does not get them."""
ENCRYPTED = ("require", "verify-ca", "verify-full")
"""Without one of these, whoever listens there is sent no password in clear, only proof that we know it."""
_alone = threading.Lock()


def connect(url: str = "", **options: Any) -> Any:
    """An autocommit session. What is not given has libpq's own default, never a variable's value."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    given: dict[str, Any] = {**conninfo_to_dict(url, **options)}
    if given.get("sslmode") not in ENCRYPTED:
        given.setdefault("require_auth", "!password")
    with _without_service():
        return psycopg.connect(autocommit=True, **{**_defaults(given), **given})


def _defaults(given: Mapping[str, Any]) -> dict[str, str]:
    from psycopg import pq

    found = {}
    for one in pq.Conninfo.get_defaults():
        keyword, variable = one.keyword.decode(), (one.envvar or b"").decode()
        if variable in os.environ and keyword not in given and variable != SERVICE:
            found[keyword] = (one.compiled or b"").decode()
    return found


@contextmanager
def _without_service() -> Iterator[None]:
    """A service cannot be given as none; so its variable is away while a session opens."""
    if SERVICE not in os.environ:
        yield
        return
    with _alone:
        kept = os.environ.pop(SERVICE, None)
        try:
            yield
        finally:
            if kept is not None:
                os.environ[SERVICE] = kept
