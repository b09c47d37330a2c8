"""What the Docker tests stand on: a compose project of their own, a tiny server kind, and a second observer."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient
from envctl import runtimes
from envctl.config import Compose
from envctl.engines.compose import ENGINE
from envctl.errors import UnavailableError
from envctl.model import Address, Command
from envctl.runtimes import Runtime
from envctl.server_set import Container, Need, Observed, Place, Program, Running, ServerSet

PORT = 8080
SERVE = (
    "echo served by busybox; mkdir -p /www; echo hello > /www/index.html; "
    "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"
)
"""A shell as process 1 passes no signal on by itself, and without its trap each stop would take 10 s."""
WEB = f"""
    image: busybox
    command: ["sh", "-c", "{SERVE}"]
    ports: ["127.0.0.1::8080"]
"""
"""The body of a compose service that the kind below recognises."""


class Web:
    """The smallest server there is: a real process that answers over a real port, up in no time."""

    name = "web"

    def program(self, settings: Any) -> Program:
        raise NotImplementedError

    def init(self, settings: Any, place: Place) -> tuple[Command, ...]:
        raise NotImplementedError

    def serve(self, settings: Any, place: Place) -> Command:
        raise NotImplementedError

    def container(self, settings: Any) -> Container:
        return Container("busybox", PORT, {"PASSWORD": "${ENVCTL_PASSWORD}"}, ("sh", "-c", SERVE), "/data")

    def adopt(self, seen: Observed) -> Address | None:
        if seen.image.rpartition("/")[2].partition(":")[0] != "busybox" or PORT not in seen.ports:
            return None
        return Address(*seen.ports[PORT], password=seen.environment.get("PASSWORD", ""))

    def external(self, url: str) -> Address:
        raise NotImplementedError

    def check(self, address: Address) -> str:
        try:
            with urllib.request.urlopen(f"http://{address.host}:{address.port}/", timeout=3) as answer:
                return str(answer.read().decode().strip())
        except OSError as error:
            raise UnavailableError("web does not answer", cause=str(error)) from error


@dataclass
class Ground:
    """One compose project, removed afterwards with everything in it."""

    client: Any
    project: str
    folder: Path
    said: list[str] = field(default_factory=list)
    records: list[Running] = field(default_factory=list)

    def servers(
        self, checkout: Path | None = None, needs: Mapping[str, Need] | None = None, **options: Any
    ) -> ServerSet:
        """The server set of a checkout; `options` are those of `[compose]`."""
        return ServerSet(
            project="shop",
            name="dev",
            engine="compose",
            home=self.folder / "home",
            needs=needs if needs is not None else {"web": Need(Web(), None)},
            checkout=checkout or self.checkout(),
            idle=0,
            options=Compose(**{"project": self.project, **options}),
        )

    def checkout(self, content: str = "", name: str = "checkout") -> Path:
        """A checkout, with this compose file if there is one."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        if content:
            (path / "compose.yaml").write_text(content)
        return path

    def start(self, servers: ServerSet, before: Running | None = None) -> Running:
        return ENGINE.start(servers, before, self.records.append, self.said.append)

    def stop(self, running: Running) -> None:
        ENGINE.stop(running, self.said.append)

    def containers(self) -> dict[str, Any]:
        """Compose service → container, as the Docker SDK sees them."""
        labels = {"label": f"com.docker.compose.project={self.project}"}
        found = self.client.containers.list(all=True, filters=labels)
        return {one.labels["com.docker.compose.service"]: one for one in found}

    def remove(self) -> None:
        labels = {"label": f"com.docker.compose.project={self.project}"}
        for container in self.client.containers.list(all=True, filters=labels):
            container.remove(force=True, v=True)
        for network in self.client.networks.list(filters=labels):
            network.remove()
        for volume in self.client.volumes.list(filters=labels):
            volume.remove()


def observer(runtime: Runtime) -> DockerClient:
    """The SDK's client for the engine that the command line uses; by itself it does not know contexts."""
    return DockerClient(base_url=runtimes.endpoint(runtime) or None, timeout=30)


def daemon_missing() -> str:
    """Why there is no Docker to test with; empty if there is."""
    try:
        runtime = runtimes.detect(preferred="docker compose")
        client = observer(runtime)
        client.images.get("busybox")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    client.close()
    return ""
