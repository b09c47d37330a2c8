"""Servers that somebody else runs: a CI job's services, a team's server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envctl.engines.base import Record
from envctl.errors import ConfigError, EnvctlError, UnavailableError
from envctl.model import Address, Resource, Talk
from envctl.server_set import Need, Running, Server, ServerSet, Sighting
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class External:
    """Knows where the servers are, and asks whether they answer."""

    name: str = "external"

    def start(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """Ask every server once, side by side; nothing is started."""
        addresses = {name: _address(servers, name, need) for name, need in servers.needs.items()}
        record(Running("external", {name: Server(address) for name, address in addresses.items()}))
        with ThreadPoolExecutor(max_workers=max(1, len(addresses))) as pool:
            versions = pool.map(_version, addresses, servers.needs.values(), addresses.values())
            found = {
                name: Server(addresses[name], {"version": version})
                for name, version in zip(addresses, versions, strict=True)
            }
        return Running("external", found, ready=True)

    def recreate(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """They are not ours to change."""
        return self.start(servers, before, record, talk)

    def alive(self, running: Running) -> bool:
        """One connection to each."""
        return running.ready and all(_answers(server.address) for server in running.servers.values())

    def stop(self, running: Running, talk: Talk) -> None:
        """Nothing to stop: the servers are not ours."""
        talk("the servers are external: they keep running")

    def forget(self, home: Path, running: Running | None, talk: Talk) -> None:
        """Nothing of them is ours."""

    def look(self, running: Running) -> tuple[Sighting, ...]:
        """Whether each can be reached from here; more is not ours to see."""
        return tuple(
            Sighting(name, "running" if _answers(server.address) else "stopped", _place(server.address))
            for name, server in sorted(running.servers.items())
        )

    def logs(self, running: Running, service: str, *, follow: bool) -> Iterator[str]:
        """None: whoever runs the server has its log."""
        place = _place(running.servers[service].address) if service in running.servers else "another machine"
        yield f"{service} is external ({place}): its log is where it runs"

    def leftovers(self, project: str, *, stack: str = "", sizes: bool = True) -> tuple[Resource, ...]:
        """None: nothing of them is ours."""
        return ()

    def discard(self, resource: Resource) -> None:
        """Nothing of them is ours to remove."""
        raise EnvctlError(
            f"the {resource.kind} {resource.name!r} was left alone", cause="the servers are external", code="not_ours"
        )

    def differences(self, servers: ServerSet, running: Running) -> tuple[str, ...]:
        """A server that this checkout expects somewhere else."""
        places = {
            name: (_place(running.servers[name].address), _place(_address(servers, name, need)))
            for name, need in servers.needs.items()
            if name in running.servers
        }
        return tuple(
            f"{name} is used at {used}, this checkout's configuration says {asked}"
            for name, (used, asked) in sorted(places.items())
            if used != asked
        )


ENGINE = External()


def _address(servers: ServerSet, name: str, need: Need) -> Address:
    url = (servers.options or {}).get(name, "")
    if not url:
        raise ConfigError(
            f"the engine is external and {name} has no address",
            hint=f'give its URL in envctl.toml: [external] {name} = "…", or name a variable there that holds it',
            code="no_address",
        )
    return need.kind.external(url)


def _version(name: str, need: Need, address: Address) -> str:
    try:
        return need.kind.check(address)
    except EnvctlError as error:
        raise UnavailableError(
            f"{name} at {_place(address)} does not answer",
            cause=_without(address.password, error.cause or error.message),
            hint=f"is it running, and is the URL in [external] {name} right?",
        ) from error


def _without(secret: str, text: str) -> str:
    return text.replace(secret, "…") if secret else text


def _place(address: Address) -> str:
    return f"{address.host}:{address.port}"


def _answers(address: Address) -> bool:
    try:
        with socket.create_connection((address.host, address.port), timeout=2):
            return True
    except OSError:
        return False
