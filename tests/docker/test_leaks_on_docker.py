"""The audit of targets on a real engine, through real docker contexts: containers, volumes, networks and images."""

from __future__ import annotations

import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_ground import Ground

from envctl import leaks, runtimes, shell
from envctl.errors import UnavailableError
from envctl.leaks import previews, registry, targets
from envctl.leaks.previews import Signs
from envctl.leaks.rows import Row
from envctl.model import Command
from envctl.project import open_project

pytestmark = pytest.mark.docker
STACK = """
services:
  web:
    image: busybox
    command: ["sleep", "1000"]
    stop_grace_period: 0s
    volumes: ["data:/data"]
    labels: {labels}
volumes: {{data: {{labels: {labels}}}}}
networks: {{default: {{labels: {labels}}}}}
"""
Context = Callable[[str], str]
Start = Callable[..., str]


@pytest.fixture
def context(client: Any) -> Iterator[Context]:
    """Makes docker contexts of this test's own."""
    made: list[str] = []

    def create(host: str) -> str:
        name = f"envctl-test-{secrets.token_hex(4)}"
        shell.run(Command(("docker", "context", "create", name, "--docker", f"host={host}")))
        made.append(name)
        return name

    yield create
    for name in made:
        shell.run(Command(("docker", "context", "rm", "--force", name)))


@pytest.fixture
def away(context: Context) -> str:
    """A context that reaches the engine of the tests by another name."""
    return context(runtimes.endpoint(runtimes.named("docker compose")))


@pytest.fixture
def start(ground: Ground, tmp_path: Path) -> Iterator[Start]:
    """Starts the stack of a preview; all of them go with the test."""
    began: list[str] = []

    def start(suffix: str, *, project: str = "", environment: str = "preview", base: str = ground.project) -> str:
        name = f"{base}-{suffix}"
        labels = f'{{envctl.project: "{project}", envctl.environment: {environment}}}' if project else "{}"
        file = tmp_path / f"{name}.yaml"
        file.write_text(STACK.format(labels=labels))
        began.append(name)
        shell.run(Command(("docker", "compose", "-p", name, "-f", str(file), "up", "-d")))
        return name

    yield start
    for name in began:
        shell.run(Command(("docker", "compose", "-p", name, "down", "--volumes", "--timeout", "0")))


def look(context: str, ground: Ground, *opened: int, images: tuple[str, ...] = ()) -> list[Row]:
    seen = targets.look(context, until=time.monotonic() + 60)
    return list(previews.of_target(seen, Signs(ground.project, (ground.project,), images), frozenset(opened)))


def told(rows: list[Row]) -> set[tuple[str, str, str]]:
    return {(row.kind, row.name, row.verdict) for row in rows}


def test_a_preview_whose_pull_request_is_closed_is_an_orphan_with_all_that_is_its(
    ground: Ground, away: str, start: Start
) -> None:
    closed, opened = start("pr-7", project=ground.project), start("pr-12", project=ground.project)
    start("old-pr-7", project="another")
    rows = look(away, ground, 12)
    expected = {("container", "-web-1"), ("volume", "_data"), ("network", "_default")}
    assert told(rows) == {
        *((kind, f"{closed}{end}", "orphan") for kind, end in expected),
        *((kind, f"{opened}{end}", "live") for kind, end in expected),
    }
    assert all(row.created for row in rows)
    assert all(row.bytes is not None for row in rows if row.kind == "volume")


def test_the_commands_that_are_shown_remove_what_they_say_and_no_more(ground: Ground, away: str, start: Start) -> None:
    start("pr-7", project=ground.project)
    start("pr-12", project=ground.project)
    for row in sorted(look(away, ground, 12), key=lambda row: row.kind != "container"):
        if row.verdict == "orphan":
            shell.run(Command(tuple(shlex.split(row.remedy))))
    assert {row.verdict for row in look(away, ground, 12)} == {"live"}


def test_an_engine_refuses_to_remove_a_volume_that_is_in_use(ground: Ground, away: str, start: Start) -> None:
    start("pr-7", project=ground.project)
    (volume,) = (row for row in look(away, ground) if row.kind == "volume")
    assert "in use" in shell.run(Command(tuple(shlex.split(volume.remedy))), check=False).err


def test_a_stack_without_our_label_is_unexplained_and_a_stopped_one_idle(
    ground: Ground, away: str, start: Start, client: Any
) -> None:
    start("pr-7")
    stopped = start("pr-12", project=ground.project)
    client.containers.get(f"{stopped}-web-1").stop(timeout=0)
    found = {(row.owner, row.kind): row.verdict for row in look(away, ground, 12)}
    assert found["pr-7", "container"] == found["pr-7", "volume"] == "unexplained"
    assert found["pr-12", "container"] == "idle"
    assert found["pr-12", "volume"] == "live"


def test_staging_is_live_while_it_runs_and_needs_a_person_when_it_does_not(
    ground: Ground, away: str, start: Start, client: Any
) -> None:
    name = start("staging", project=ground.project, environment="staging")
    assert {(row.environment, row.verdict) for row in look(away, ground)} == {("staging", "live")}
    client.containers.get(f"{name}-web-1").stop(timeout=0)
    rows = look(away, ground)
    assert {(row.environment, row.verdict) for row in rows} == {("staging", "unexplained")}
    assert [row.remedy for row in rows if row.kind == "volume"] == [""]


def test_images_of_closed_pull_requests_are_orphans(ground: Ground, away: str, client: Any) -> None:
    image = f"registry.example.org/{ground.project}"
    names = [f"{image}:pr-7", f"{image}:pr-12", f"{image}:v1", f"{ground.project}-pr-7-web:latest"]
    for name in names:
        assert client.images.get("busybox").tag(name)
    try:
        assert told(look(away, ground, 12, images=(image,))) == {
            ("image", names[0], "orphan"),
            ("image", names[1], "live"),
            ("image", names[3], "orphan"),
        }
    finally:
        for name in names:
            client.images.remove(name)


def test_an_engine_that_never_answers_is_named_in_time_and_the_rest_done(
    ground: Ground, away: str, context: Context, start: Start, tmp_path: Path
) -> None:
    name = f"t{secrets.token_hex(4)}"
    stack = start("pr-7", project=name, base=name)
    root = ground.checkout()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen(16)
        silent = context(f"unix://{tmp_path}/s")
        (root / "envctl.toml").write_text(
            f'project = "{name}"\n[services.redis]\n[leaks]\ntimeout = "5s"\n'
            f'[targets.silent]\ncontext = "{silent}"\n[targets.away]\ncontext = "{away}"\n'
        )
        project = open_project(root, "dev", {"BRANCH_NAME": "main"})
        found = leaks.audit(project, environ={}, wait=10, talk=lambda line: None)
    why = {one.place: one.why for one in found.unseen}
    assert list(why) == [f"docker context {silent}", "pull requests"]
    assert "no answer" in why[f"docker context {silent}"]
    assert (f"{stack}-web-1", "idle") in {(row.name, row.verdict) for row in found.rows}


def test_a_context_that_is_not_there_is_an_error_with_dockers_own_words(client: Any) -> None:
    with pytest.raises(UnavailableError) as raised:
        targets.look("there-is-no-such-context", until=time.monotonic() + 60)
    assert "context not found" in raised.value.cause


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    """A real image registry of this test's own."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no registry to ask: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/images}}}}\n"
        f"http: {{addr: {host}}}\n"
    )
    process = subprocess.Popen([program, "serve", str(tmp_path / "registry.yml")])
    try:
        while True:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", int(host.partition(":")[2]))) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.02)
        yield host
    finally:
        process.terminate()
        process.wait()


def test_a_real_registry_tells_its_preview_tags(images: str, client: Any) -> None:
    names = [f"{images}/acme/shop:{tag}" for tag in ("pr-7", "pr-12", "main")]
    for name in names:
        assert client.images.get("busybox").tag(name)
        shell.run(Command(("docker", "push", "--quiet", name)))
        client.images.remove(name)
    found = registry.tags(registry.repository(f"{images}/acme/shop", ""), until=time.monotonic() + 60)
    assert [one.pull for one in found] == [7, 12]
    assert found[0].digest == found[1].digest != ""
    assert all(one.bytes and one.created for one in found)
