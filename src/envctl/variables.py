"""`[variables]`: what a sandbox has, in the names that an application reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from envctl.digests import hexdigest
from envctl.errors import ConfigError, EnvctlError
from envctl.toml.words import did_you_mean

BASICS = ("project", "namespace", "environment", "branch", "workspace")
"""What every sandbox has, whichever services it uses."""

STANDARD: Mapping[str, str] = {
    "TEST_NAMESPACE": "{namespace}",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment={environment},service.namespace={project}",
    "ENVCTL_SANDBOX": "{namespace}",
    "ENVCTL_ENVIRONMENT": "{environment}",
}
"""Exported beside the services' own where `[variables]` lists none. None of them is a flag's variable: a shell that
has them and walks into another checkout must mean that one.
"""

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}:]*)(?::(?P<driver>[^{}]*))?\}|[{}]")
_DRIVER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=-]*")


def render(variables: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Every variable with its placeholders filled in."""
    return {variable: fill(text, values, what=variable) for variable, text in variables.items()}


def fill(text: str, values: Mapping[str, str], *, what: str) -> str:
    """One text with its placeholders filled in; `what` names it in an error."""

    def value(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found[0][0]
        if found["name"] not in values:
            hint = did_you_mean(found["name"], values)
            raise EnvctlError(f"{what} asks for {found[0]}, which this sandbox does not have", hint=hint)
        return _driven(values[found["name"]], found["driver"])

    return _TOKEN.sub(value, text)


def asked(text: str) -> tuple[str, ...]:
    """The placeholders in a text."""
    return tuple(found["name"] for found in _TOKEN.finditer(text) if found["name"])


def check(variables: Mapping[str, str], known: Iterable[str], where: Callable[[str], str] = str) -> None:
    """Refuse names that cannot be variables and placeholders that nothing gives; `where` finds a variable's line."""
    words = tuple(known)
    for variable, text in variables.items():
        if not _VARIABLE.fullmatch(variable):
            raise ConfigError(
                f"{where(variable)}: {variable!r} cannot be the name of a variable",
                hint="letters, digits and _ only, and no digit first",
            )
        check_text(text, words, what=variable, where=where(variable))


def check_text(text: str, known: Iterable[str], *, what: str, where: str) -> None:
    """Refuse a text whose placeholders nothing gives."""
    words = tuple(known)
    for found in _TOKEN.finditer(text):
        problem, hint = _problem(found, words)
        if problem:
            raise ConfigError(f"{where}: {what}: {problem}", hint=hint)


def known(given: Mapping[str, Iterable[str]], processes: Iterable[str]) -> tuple[str, ...]:
    """Every placeholder there is: the basics, what each service gives, and each process's address."""
    return (
        *BASICS,
        *(f"{service}.{key}" for service, gives in given.items() for key in gives),
        *(f"process.{process}.{key}" for process in processes for key in ("url", "port")),
    )


def defaults(exports: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The variables of a project that lists none: each service's own, and the standard ones."""
    return {**{variable: text for one in exports.values() for variable, text in one.items()}, **STANDARD}


def formatted(variables: Mapping[str, str], form: str) -> str:
    """The variables as a shell, a file or a CI job reads them."""
    if form not in FORMATS:
        raise ConfigError(f"there is no format {form!r}", hint=did_you_mean(form, FORMATS))
    return FORMATS[form](variables)


def _problem(found: re.Match[str], known: tuple[str, ...]) -> tuple[str, str]:
    """What is wrong with one placeholder, and what to write instead."""
    if found[0] in ("{{", "}}"):
        return "", ""
    if found["name"] is None:
        return f"a single {found[0]}", f"write {found[0] * 2} for a literal brace"
    if found["name"] not in known:
        if found.string[: found.start()].endswith("$"):
            hint = f"envctl expands no shell variables; ${{{found[0]}}} leaves ${found[0]} to the shell"
            return f"unknown placeholder ${found[0]}", hint
        return f"unknown placeholder {found[0]}", did_you_mean(found["name"], known)
    driver = found["driver"]
    if driver is not None and found["name"].rpartition(".")[2] != "url":
        return f"{found[0]} cannot take a driver", "only a url can, as in {postgres.url:postgresql+asyncpg}"
    if driver is not None and not _DRIVER.fullmatch(driver):
        return f"{driver!r} in {found[0]} is no URL scheme", "for example {postgres.url:postgresql+asyncpg}"
    return "", ""


def _driven(value: str, driver: str | None) -> str:
    """A URL with another scheme."""
    return f"{driver}://{value.partition('://')[2]}" if driver else value


def _sh(variables: Mapping[str, str]) -> str:
    import shlex

    return _lines(f"export {variable}={shlex.quote(value)}" for variable, value in variables.items())


def _fish(variables: Mapping[str, str]) -> str:
    escape = str.maketrans({"\\": "\\\\", "'": "\\'"})
    return _lines(f"set -gx {variable} '{value.translate(escape)}';" for variable, value in variables.items())


def _dotenv(variables: Mapping[str, str]) -> str:
    """Single quotes where they can hold the value: inside them no reader of `.env` files expands anything."""

    def quoted(value: str) -> str:
        if _PLAIN.fullmatch(value):
            return value
        if "'" not in value and "\\" not in value:
            return f"'{value}'"
        return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'

    return _lines(f"{variable}={quoted(value)}" for variable, value in variables.items())


def _json(variables: Mapping[str, str]) -> str:
    import json

    return json.dumps(dict(variables), indent=2, ensure_ascii=False) + "\n"


def _github(variables: Mapping[str, str]) -> str:
    """What a step appends to `$GITHUB_ENV`; a value of several lines stands between two marks of its own."""

    def entry(variable: str, value: str) -> str:
        if "\n" not in value and "\r" not in value:
            return f"{variable}={value}"
        digest = hexdigest(value.encode("utf-8", "surrogatepass"))
        mark = f"envctl_{digest[:16]}"
        return f"{variable}<<{mark}\n{value}\n{mark}"

    return _lines(entry(variable, value) for variable, value in variables.items())


def _lines(lines: Iterable[str] | Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


FORMATS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "sh": _sh,
    "fish": _fish,
    "dotenv": _dotenv,
    "json": _json,
    "github": _github,
}
