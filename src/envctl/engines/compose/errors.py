"""What went wrong in compose: one error for each thing that a person would mend differently."""

from __future__ import annotations

import re
from collections.abc import Container

from envctl import compose_file, containers, runtimes, shell
from envctl.containers import Stack
from envctl.engines.compose import seen as compose_seen
from envctl.engines.compose.seen import Seen
from envctl.errors import ConfigError, EnvctlError, PortTakenError, UnavailableError
from envctl.runtimes import Runtime
from envctl.server_set import Observed
from envctl.shell import Done

TAKEN = re.compile(r"address already in use|port is already allocated|ports are not available", re.IGNORECASE)
PORT = re.compile(r"(?:\d+(?:\.\d+){3}|\[[0-9a-f:]*\]|::1?):(\d+)")
NO_IMAGE = re.compile(
    r"no such image|pull access denied|manifest unknown|manifest for .* not found|no such host|"
    r"failed to resolve reference|initializing source|repository does not exist|"
    r"unauthorized|i/o timeout|network is unreachable",
    re.IGNORECASE,
)
NO_NETWORK = re.compile(r"non-overlapping IPv4 address pool|address pools have been fully subnetted", re.IGNORECASE)
CROSSED = re.compile(r"is already in use by container|network with name .* already exists|is already in progress")
"""Two of them worked on one project at the same time."""
PULLED = re.compile(r"^\s*Image (\S+) (?:Pulling|Error)|No such image: (\S+)|Trying to pull (\S+?)\.\.\.", re.MULTILINE)
PROGRESS = re.compile(r"\s*(Container|Network|Volume|Image) \S+ +[A-Z]\w+ *$")


def from_up(stack: Stack, done: Done) -> EnvctlError:
    """The error for an `up` that failed, from compose's words and from what the containers did."""
    said = done.err or done.out
    if NO_NETWORK.search(said):
        return _network(stack, said)
    down = runtimes.daemon_error(stack.runtime, said)
    if down is not None:
        return down
    if TAKEN.search(said):
        return _port(stack, said)
    missing = next((image for image in _pulled(said) if not _has_image(stack.runtime, image)), "")
    if missing or NO_IMAGE.search(said):
        return _image(missing or "an image", said)
    for one in compose_seen.containers_of(stack.runtime, stack.project).values():
        if (one.failed and one.exit_code != 0) or one.unhealthy:
            return broken(stack.runtime, one, one.service)
    return UnavailableError(
        f"{stack.runtime.name} could not start {stack.project}",
        cause=_last(said, 6),
        hint=f"try it by hand: {shell.shown(done.command)}",
        code="container",
    )


def passing(said: str, fixed: Container[str]) -> bool:
    """Whether the next attempt may find it otherwise: the compose of a killed envctl works on for a moment, and of a
    port that the file leaves to the engine, the engine picks another.
    """
    taken = [port for line in said.splitlines() if TAKEN.search(line) for port in PORT.findall(line)[:1]]
    return bool(CROSSED.search(said)) or (bool(taken) and not any(port in fixed for port in taken))


def broken(runtime: Runtime, one: Seen, service: str, *, cause: str = "") -> UnavailableError:
    """A container that ended, or that its own health check gave up on, with the end of its log."""
    log = compose_seen.last_lines(runtime, one.id)
    parts = (f"container {one.name}: {one.state}", one.error, cause, log or "its log is empty")
    return UnavailableError(
        f"{service} did not come up",
        cause="\n".join(part for part in parts if part),
        hint=f"all of its log: {runtime.cli} logs {one.name}",
        code="container",
    )


def gone(stack: Stack, service: str, compose_service: str) -> UnavailableError:
    """A container that was removed while we waited for it."""
    return UnavailableError(
        f"{service} has no container: compose service {compose_service} of {stack.project} was removed meanwhile",
        hint="try again",
        code="container",
    )


def unusable(one: Seen, seen: Observed, service: str, *, named: bool) -> ConfigError:
    """A container that runs and that we cannot get into. `named`: the configuration says which one it is."""
    if not seen.ports:
        return ConfigError(
            f"{service} publishes no port: container {one.name} can be reached by other containers only",
            hint=f'add to its service in the compose file: ports: ["127.0.0.1::PORT"] with the port of {service}',
            code="no_published_port",
        )
    ports = ", ".join(str(port) for port in seen.ports)
    which = f'say which compose service it is in envctl.toml: [compose.services] {service} = "SERVICE"'
    other = f"publish the port and set the login as the image for {service} asks for, or name another compose service"
    return ConfigError(
        f"container {one.name} cannot be used as {service}",
        cause=f"image {one.image}, published ports of the container: {ports}",
        hint=other if named else which,
        code="no_container",
    )


def unpublished(stack: Stack, service: str, compose_service: str, port: int) -> ConfigError:
    """A port that the configuration fixes and the project's own compose file does not publish."""
    return ConfigError(
        f"{service} is to be on port {port}, and {stack.file} does not publish {compose_service} there",
        hint=f'write ports: ["127.0.0.1:{port}:PORT"] in {stack.file}, or leave `port` out of [services.{service}]',
        code="no_published_port",
    )


def _port(stack: Stack, said: str) -> PortTakenError:
    line = next(line for line in reversed(said.splitlines()) if TAKEN.search(line))
    numbers = PORT.findall(line)
    port = numbers[0] if numbers else ""
    names = shell.run(containers.publisher(stack.runtime, int(port)), check=False).out.split() if port else []
    by = f" by container {names[0]}" if names else ""
    free = f"{stack.runtime.cli} stop {names[0]}" if names else f"see who listens: ss -ltnp 'sport = :{port}'"
    ours = stack.content or compose_file.PASSWORD in stack.environment
    other = "give it another port in envctl.toml" if ours else f"publish another port in {stack.files[0]}"
    return PortTakenError(
        f"port {port or '(see below)'} is taken{by}",
        cause=_last(line, 1),
        hint=f"{free}; or {other} and run `envctl dev up --recreate`",
    )


def _network(stack: Stack, said: str) -> UnavailableError:
    """Asked before anything else: what compose breaks off for it sounds as if the engine were down."""
    prune = f"`{stack.runtime.cli} network prune` removes those that nobody uses"
    more = "" if stack.runtime.podman else "; `default-address-pools` in /etc/docker/daemon.json makes room for more"
    return UnavailableError(
        f"{stack.runtime.cli} has no network left for {stack.project}",
        cause=_last(said, 1),
        hint=prune + more,
        code="no_network",
    )


def _image(image: str, said: str) -> UnavailableError:
    return UnavailableError(
        f"{image} is not here and could not be pulled",
        cause=_last(said, 2),
        hint="check its name, the network and `docker login`; or use --engine embedded, which needs no images",
        code="image",
    )


def _pulled(said: str) -> list[str]:
    """The images that compose tried to pull, as its progress lines name them."""
    return [next(filter(None, found)) for found in PULLED.findall(said)]


def _has_image(runtime: Runtime, image: str) -> bool:
    return shell.run(containers.image(runtime, image), check=False).code == 0


def _last(said: str, lines: int) -> str:
    """The end of compose's output without its progress, which it prints twice."""
    kept = dict.fromkeys(line for line in said.splitlines() if not PROGRESS.match(line))
    return shell.tail("\n".join(kept), lines)
