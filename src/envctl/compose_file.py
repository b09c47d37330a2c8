"""Compose files: which one a project has, the one envctl writes where it has none, and what they declare."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from string import Template
from typing import Any

from envctl import containers, shell, texts
from envctl.containers import Stack
from envctl.errors import ConfigError
from envctl.server_set import Container, Need, Observed
from envctl.values import dataclass

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
PASSWORD = "ENVCTL_PASSWORD"  # noqa: S105
"""The variable that carries the administrator's password to compose."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One service of a compose file, merged and interpolated."""

    name: str
    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    ports: tuple[int, ...] = ()
    depends_on: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    """The ports of the host that it is published on, where the file names them."""


def project_file(options: Any, root: Path) -> Path | None:
    """The compose file that the configuration names, or the one that lies in the checkout."""
    named = getattr(options, "file", "")
    if named:
        path = root / named
        if not path.is_file():
            raise ConfigError(
                f"the compose file {path} is not there",
                hint="correct [compose] file, or leave it away to have envctl write one",
                code="compose_file",
            )
        return path
    return next((root / name for name in NAMES if (root / name).is_file()), None)


def with_override(file: Path) -> tuple[Path, ...]:
    """The file and the override beside it, which compose merges into a file of a usual name."""
    if file.name not in NAMES:
        return (file,)
    beside = (file.with_name(f"{file.stem}.override{ending}") for ending in (".yaml", ".yml"))
    return (file, *[path for path in beside if path.is_file()][:1])


def generate(project: str, needs: Mapping[str, Need]) -> str:
    """The compose file for these services: on loopback, ports fixed or picked by the engine, data in named volumes."""
    wanted = {name: need.kind.container(need.settings) for name, need in sorted(needs.items())}
    return _template("compose.yaml").substitute(
        project=project,
        services="".join(_service(project, name, one, needs[name].port) for name, one in wanted.items()).rstrip(),
        volumes="\n".join(f"  {_volume(name)}: {{}}" for name, one in wanted.items() if one.volume) or "  {}",
    )


def declared(stack: Stack) -> dict[str, Declared]:
    """The services of the stack's files; a file that compose cannot read is an error with compose's own words."""
    if not stack.runtime.modern:
        return {name: Declared(name) for name in _ask(stack, containers.services(stack)).split()}
    return declared_in(document(stack))


def document(stack: Stack) -> dict[str, Any]:
    """The whole project as compose reads it, merged and interpolated; it has every secret in it."""
    content: dict[str, Any] = json.loads(_ask(stack, containers.config(stack)))
    return content


def declared_in(document: Mapping[str, Any]) -> dict[str, Declared]:
    """The services of such a document."""
    return {name: _declared(name, body) for name, body in (document.get("services") or {}).items()}


def choose(needs: Mapping[str, Need], options: Any, there: Mapping[str, Declared]) -> dict[str, str]:
    """Which compose service is which of ours: as configured, or as the service kind recognises it."""
    mapping: Mapping[str, str] = getattr(options, "services", None) or {}
    return {name: _chosen(name, need, mapping.get(name, ""), there) for name, need in needs.items()}


def closure(names: Sequence[str], there: Mapping[str, Declared]) -> tuple[str, ...]:
    """These compose services and all that compose starts with them."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += there[name].depends_on if name in there else ()
    return tuple(sorted(found))


def _chosen(name: str, need: Need, mapped: str, there: Mapping[str, Declared]) -> str:
    if mapped:
        fits = [mapped] if mapped in there else []
    else:
        recognised = [one.name for one in there.values() if need.kind.adopt(_as_if_running(one)) is not None]
        fits = recognised or [one for one in (name,) if one in there]
    if name in fits:
        return name
    if len(fits) == 1:
        return fits[0]
    seen = ", ".join(f"{one.name} ({one.image or 'built here'})" for one in there.values()) or "none"
    if fits:
        raise ConfigError(
            f"{len(fits)} compose services could be {name}: {', '.join(fits)}",
            hint=f'say which in envctl.toml: [compose.services] {name} = "{fits[0]}"',
            code="no_container",
        )
    raise ConfigError(
        f'the compose file has no service "{mapped}", which [compose.services] names for {name}'
        if mapped
        else f"no service of the compose file is recognised as {name}",
        cause=f"its services are {seen}",
        hint=f'add one, or say which it is in envctl.toml: [compose.services] {name} = "SERVICE"',
        code="no_container",
    )


def _as_if_running(one: Declared) -> Observed:
    """What a container of this service would look like, with its ports published as they are numbered inside."""
    ports = {port: ("127.0.0.1", port) for port in one.ports}
    return Observed(one.name, one.image, one.environment, one.command, ports)


def _ask(stack: Stack, command: Any) -> str:
    done = shell.run(command, check=False, seconds=120)
    if done.code == 0:
        return done.out
    raise ConfigError(
        f"{stack.runtime.name} cannot read {', '.join(str(file) for file in stack.files)}",
        cause=shell.tail(done.err or done.out),
        hint="correct the file or set the variable that it asks for, then try again",
        code="compose_file",
    )


def _declared(name: str, body: Mapping[str, Any]) -> Declared:
    environment = {key: str(value) for key, value in (body.get("environment") or {}).items() if value is not None}
    ports = [_port(one) for one in body.get("ports") or ()]
    return Declared(
        name=name,
        image=body.get("image", ""),
        environment=environment,
        command=(*(body.get("entrypoint") or ()), *(body.get("command") or ())),
        ports=tuple(int(port["target"]) for port in ports),
        depends_on=tuple(body.get("depends_on") or ()),
        published=tuple(str(port["published"]) for port in ports if port.get("published")),
    )


def _port(one: Any) -> Mapping[str, Any]:
    """A published port as compose tells it, or as we write it: `127.0.0.1:5433:5432`."""
    if not isinstance(one, str):
        return dict(one)
    _, published, target = one.split(":")
    return {"published": published, "target": target}


def _service(project: str, name: str, one: Container, port: int) -> str:
    return _template("service.yaml").substitute(
        name=name,
        image=_value(one.image),
        environment=_value(dict(one.environment)),
        command=_value(list(one.command) or None),
        port=_value(f"127.0.0.1:{port or ''}:{one.port}"),
        mounts=_value([f"{_volume(name)}:{one.volume}"] if one.volume else []),
        labels=_value({"envctl.project": project, "envctl.service": name}),
    )


def _volume(name: str) -> str:
    return f"{name}-data"


def _value(value: Any) -> str:
    """JSON, which is YAML too; a dollar sign is itself except where it stands for the password."""
    return re.sub(rf"\$(?!\{{{PASSWORD}\}})", "$$", json.dumps(value))


def _template(name: str) -> Template:
    return Template(texts.read("compose", name))
