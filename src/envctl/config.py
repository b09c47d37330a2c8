"""`envctl.toml` → frozen types. Strings and dicts stop here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

from envctl import environments, spelling, variables
from envctl.document import (
    Clean,
    Compose,
    Dev,
    Document,
    Duration,
    EngineChoice,
    Leaks,
    Override,
    Preview,
    Process,
    Suite,
    Target,
    Test,
)
from envctl.environments import SIX, Patterns
from envctl.errors import ConfigError
from envctl.model import Environment
from envctl.project_file import FILE
from envctl.toml import lines as toml_lines
from envctl.toml.lines import KeyPath, Source
from envctl.toml.values import Reader, variable_of
from envctl.toml.words import name

__all__ = ["Compose", "Config", "Dev", "Duration", "Override", "Process", "Suite", "Test", "load"]

Placeholders = Callable[[str, Any], Iterable[str]]
"""What a service's settings give to variables: (service, settings) → ("url", "host", …)."""
LogicalNames = Callable[[str, Any], Iterable[tuple[str, str]]]
"""What a service isolates: (service, settings) → (("bucket", "statements"), …)."""
T = TypeVar("T")
LAST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one project, or of one of its environments, and where each of them came from."""

    root: Path
    file: Path
    project: str
    engine: EngineChoice
    idle: float
    default_branch: str
    services: Mapping[str, Any]
    names: Patterns
    dev: Dev
    test: Test
    compose: Compose
    targets: Mapping[str, Target]
    preview: Preview
    clean: Clean
    leaks: Leaks
    external: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    overlays: Mapping[str, Mapping[str, str]] = field(repr=False)
    """The variables of each environment, over `variables`."""
    lists_variables: bool
    """Whether `[variables]` lists any; where it lists none, every service exports its own."""
    environments: Mapping[Environment, Override]
    environment: Environment | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    listening: frozenset[str] = frozenset()
    """The `ENVCTL_…` variables that would set one of these."""

    def for_environment(self, environment: Environment) -> Config:
        """These settings as one environment has them."""
        origins = dict(self.origins)
        changed: dict[str, Any] = {}
        override = self.environments.get(environment, Override())
        for key in ("engine", "idle"):
            asked = getattr(override, key)
            if asked is not None and not _from_outside(origins.get(key, "")):
                changed[key] = asked
                origins[key] = origins.get(f"environments.{environment}.{key}", FILE)
        if origins.get("engine") == "default":
            changed["engine"] = SIX[environment].engine
        overlay = self.overlays.get(environment, {})
        for variable in overlay:
            origins[f"variables.{variable}"] = origins.get(f"variables.{environment}.{variable}", FILE)
        merged = {**self.variables, **overlay}
        return replace(self, environment=environment, variables=merged, origins=origins, **changed)

    def exported(self, get: Callable[[str], Exporter]) -> dict[str, str]:
        """The variables of this environment, placeholders still in them."""
        if self.lists_variables:
            return dict(self.variables)
        return {**variables.defaults({service: get(service).exports for service in self.services}), **self.variables}


class Exporter(Protocol):
    """What `exported` needs of a service."""

    @property
    def exports(self) -> Mapping[str, str]: ...


def load(
    file: Path,
    kinds: Mapping[str, type],
    *,
    environ: Mapping[str, str],
    engine_flag: str = "",
    placeholders: Placeholders | None = None,
    logical_names: LogicalNames | None = None,
) -> Config:
    """Read and check a project's file. Every value: flag, then `ENVCTL_…` variable, then the file, then its default."""
    source = _source(file, environ, engine_flag)
    reader = Reader(source)
    document = reader.value(Document, source.data, ())
    project = _placed(reader, ("project",), lambda: spelling.project_name(document.project))
    services, patterns = _services(reader, document.services, kinds), _patterns(document.names)
    buckets = tuple(bucket for service, one in services.items() for bucket in _buckets(logical_names, service, one))
    _placed(reader, ("names",), lambda: environments.check(patterns, project, buckets))
    _check_words(reader, ("external",), document.external, kinds, "service")
    _check_words(reader, ("compose", "services"), document.compose.services, kinds, "service")
    common, overlays = _variables(reader, document.variables)
    config = Config(
        root=file.parent,
        file=file,
        project=project,
        services=services,
        names=patterns,
        external=_external(reader, document.external, kinds, environ),
        variables=common,
        overlays=overlays,
        lists_variables=bool(common),
        origins=reader.origins,
        listening=frozenset(reader.listening) | {_url_variable(service) for service in kinds},
        **{key: getattr(document, key) for key in _AS_WRITTEN},
    )
    if placeholders is not None:
        _check_placeholders(reader, config, placeholders)
    _check_words(reader, ("test", "ports"), config.test.ports, services, "service")
    for suite, one in config.test.suites.items():
        _check_words(reader, ("test", "suites", suite, "services"), one.services or (), services, "service")
        _check_words(reader, ("test", "suites", suite, "processes"), one.processes, config.dev.processes, "process")
    _check_ports(reader, config)
    return config


_AS_WRITTEN = (
    *("engine", "idle", "default_branch", "dev", "test", "compose", "environments"),
    *("targets", "preview", "clean", "leaks"),
)


def _source(file: Path, environ: Mapping[str, str], engine_flag: str) -> Source:
    """The file with what goes before it: the variables, and the flag (which may itself come from a variable)."""
    source = toml_lines.read(file)
    heard = {word: text for word, text in environ.items() if word.startswith("ENVCTL_") and word != "ENVCTL_PROJECT"}
    if engine_flag and engine_flag != heard.get("ENVCTL_ENGINE"):
        heard.pop("ENVCTL_ENGINE", None)
        data = {**source.data, "engine": engine_flag}
        return replace(source, environ=heard, data=data, given={("engine",): "flag"})
    return replace(source, environ=heard)


def _patterns(names: Any) -> Patterns:
    database, bucket = ({one: getattr(names, f"{one}_{kind}") for one in SIX} for kind in ("database", "bucket"))
    return Patterns(database, bucket)


def _buckets(logical_names: LogicalNames | None, service: str, settings: Any) -> Iterable[str]:
    pairs = logical_names(service, settings) if logical_names else ()
    return (logical for kind, logical in pairs if kind == "bucket")


def _services(reader: Reader, raw: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, Any]:
    _check_words(reader, ("services",), raw, kinds, "service")
    return {service: reader.table(kinds[service], raw[service], ("services", service)) for service in raw}


def _external(
    reader: Reader, written: Mapping[str, str], kinds: Mapping[str, type], environ: Mapping[str, str]
) -> dict[str, str]:
    """The URL of each server that somebody else runs; a variable goes before the file."""
    urls = dict(written)
    for service in kinds:
        variable = _url_variable(service)
        if environ.get(variable):
            urls[service] = environ[variable]
            reader.origins[f"external.{service}"] = variable
    return urls


def _url_variable(service: str) -> str:
    return f"{variable_of((service,))}_URL"


def _variables(
    reader: Reader, written: Mapping[str, str | Mapping[str, str]]
) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
    """The variables of every environment, and those of each."""
    common = {word: text for word, text in written.items() if isinstance(text, str)}
    overlays = {word: table for word, table in written.items() if not isinstance(table, str)}
    _check_words(reader, ("variables",), overlays, get_args(Environment), "environment")
    return common, overlays


def _placed(reader: Reader, key: KeyPath, work: Callable[[], T]) -> T:
    """What a module that knows no file says of a value, with the value's place before it."""
    try:
        return work()
    except ConfigError as error:
        raise ConfigError(f"{reader.source.where(key)}: {error.message}", cause=error.cause, hint=error.hint) from error


def _check_words(reader: Reader, table: KeyPath, written: Iterable[str], known: Iterable[str], noun: str) -> None:
    for word in written:
        if word not in known:
            raise reader.unknown((*table, word), word, f"[{name(table)}]: {word!r} is no {noun}", known)


def _check_placeholders(reader: Reader, config: Config, placeholders: Placeholders) -> None:
    """Every placeholder must be one that this project's services and processes give."""
    given = {service: tuple(placeholders(service, settings)) for service, settings in config.services.items()}
    words = variables.known(given, config.dev.processes)
    tables: dict[KeyPath, Mapping[str, str]] = {("variables",): config.variables}
    tables |= {("variables", environment): overlay for environment, overlay in config.overlays.items()}
    tables |= {("dev", "processes", one, "env"): process.env for one, process in config.dev.processes.items()}
    tables |= {("test", "suites", one, "env"): suite.env for one, suite in config.test.suites.items()}
    for key, table in tables.items():
        more = ("port",) if key[0] == "dev" else ()
        variables.check(table, (*words, *more), lambda word, key=key: reader.source.where((*key, word)))  # type: ignore[misc]
    for one, process in config.dev.processes.items():
        where = reader.source.where(("dev", "processes", one, "command"))
        variables.check_text(process.command, (*words, "port"), what="command", where=where)


def _check_ports(reader: Reader, config: Config) -> None:
    written: dict[KeyPath, int] = {("test", "ports", one): port for one, port in config.test.ports.items()}
    written |= {("services", one, "port"): getattr(found, "port", 0) for one, found in config.services.items()}
    written |= {("dev", "processes", one, "port"): process.port for one, process in config.dev.processes.items()}
    for key, port in written.items():
        if not 0 <= port <= LAST_PORT:
            where = reader.source.where(key)
            raise ConfigError(f"{where}: {name(key)}: {port} is no port", hint="a port is a number from 1 to 65535")


def _from_outside(origin: str) -> bool:
    return origin == "flag" or origin.startswith("ENVCTL_")
