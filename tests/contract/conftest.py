"""Real servers for the contract tests: every engine that works here, and each service in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from service_ground import Ground, Servers, engine_names, settings_for

from envctl import services
from envctl.errors import EnvctlError

__all__ = ["Ground"]


@pytest.fixture(scope="session", autouse=True)
def private_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing is written to the state folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        state = tmp_path_factory.mktemp("state")
        patch.setenv("ENVCTL_STATE_DIR", str(state))
        yield state


@pytest.fixture(scope="session", params=engine_names())
def servers(
    request: pytest.FixtureRequest, private_state: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """One engine's servers, shared by all contract tests and gone after them."""
    with ExitStack() as cleanup:
        yield Servers(request.param, tmp_path_factory.mktemp(request.param), cleanup)


@pytest.fixture(params=list(services.REGISTRY))
def service(request: pytest.FixtureRequest) -> str:
    """The service under test; a module about one service overrides this."""
    name: str = request.param
    return name


@pytest.fixture
def ground(servers: Servers, service: str, tmp_path: Path) -> Iterator[Ground]:
    """The service on a running server, with a project of this test's own."""
    subject = services.get(service)
    project = f"shop{secrets.token_hex(3)}"
    memory = tmp_path / "memory"
    memory.mkdir(mode=0o700)
    made = Ground(subject, settings_for(service), servers.address(service), project, memory)
    yield made
    if service == "s3":
        clear(made)


def clear(ground: Ground) -> None:
    """Drop what a test has left: SeaweedFS writes all of its keys anew for each that comes or goes."""
    for each in (ground, ground.stranger()):
        for resource in ground.service.list(ground.address, each.project):
            with suppress(EnvctlError):
                ground.service.drop(ground.address, resource)
