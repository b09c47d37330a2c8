"""The login of a namespace: what it may do, whether it is on, and who is connected by it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from envctl.digests import hexdigest
from envctl.errors import EnvctlError
from envctl.services.redis.registry import Entry

COMMON = ("+@all", "-@admin", "-@dangerous", "+info", "+keys", "+restore", "-move", "-swapdb")
"""What an application may run: everything but what reaches beyond its own keys."""
FINE = (
    "+sort_ro",
    "-client|tracking",
    "-script|flush",
    "-script|kill",
    "-function|flush",
    "-function|delete",
    "-function|restore",
)
"""Rules that only newer servers can read."""


def give(client: Any, entry: Entry, secret: str) -> bool:
    """Make the login as narrow as this server can: bound to its number, else without what reaches others."""
    password = "#" + hexdigest(secret.encode())
    scope: tuple[str, ...] = ("~*", "&*", "+flushdb", "+sort")
    if entry.kind == "prefix":
        scope = (f"~{entry.prefix}*", f"&{entry.prefix}*")
    common, own = ("reset", "on", password, *COMMON), f"db={entry.number}"
    for rules in ((*common, *scope, *FINE, own), (*common, *scope, *FINE), (*common, *scope)):
        with suppress(response_error()):
            client.execute_command("ACL", "SETUSER", entry.identity, *rules)
            return True
    return False


def remove(client: Any, identity: str) -> None:
    """So that nobody comes in any more; where the server has no logins there is none."""
    with suppress(response_error()):
        client.execute_command("ACL", "DELUSER", identity)


def switch(client: Any, identity: str, way: str) -> None:
    """Only a login that is there: this would make one that nobody can explain."""
    with suppress(response_error()):
        if client.acl_getuser(identity) is not None:
            client.execute_command("ACL", "SETUSER", identity, way)


def is_on(client: Any, identity: str) -> bool:
    with suppress(response_error()):
        found = client.acl_getuser(identity)
        return found is not None and "on" in found["flags"]
    return False


def refuse_sessions(client: Any, entry: Entry) -> None:
    """Refuse while somebody is connected to the number, or as its login."""
    if there := sessions(client, entry):
        raise EnvctlError(
            f"redis database {entry.identity} was left alone",
            cause=f"it is in use: {len(there)} open connection(s), one from {there[0].get('addr', 'somewhere')}",
            hint="end what uses it, then try again",
            code="in_use",
        )


def sessions(client: Any, entry: Entry) -> list[Mapping[str, str]]:
    """Who is connected. A server that shows no connections has none that count."""
    with suppress(response_error()):
        return [one for one in client.client_list() if _inside(one, entry)]
    return []


def _inside(one: Mapping[str, str], entry: Entry) -> bool:
    own_number = entry.kind == "number" and one.get("db") == str(entry.number)
    return own_number or one.get("user") == entry.identity


def end_sessions(client: Any, entry: Entry) -> None:
    """End all that are open."""
    with suppress(response_error()):
        for one in sessions(client, entry):
            client.client_kill_filter(_id=one["id"])


def response_error() -> type[Exception]:
    """What the client raises where a server says no; imported late, for the client is heavy."""
    import redis

    return redis.ResponseError
