"""Between two runs: copies made ahead for the next one, and old templates gone, those first that were used least."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from envctl import services, state
from envctl.errors import EnvctlError
from envctl.model import Address, Resource
from envctl.project import Project
from envctl.services.base import Template

SERVERS = 8
"""Of how many servers it is remembered when their templates were used."""


def memory(project: Project) -> Path:
    """Where the project keeps what it knows of its templates: when one was used last, how fast a server copies."""
    return project.home / "templates"


def touch(project: Project, server: str, template: Template) -> None:
    """Note that the template is used now."""
    file = state.folder(memory(project) / "used" / server) / template.name
    try:
        file.touch(mode=0o600)
    except OSError as error:
        raise state.unwritable(file, error) from error


def refill(project: Project, address: Address, service: str, template: Template, count: int) -> int:
    """Have so many copies of the template ready; how many were made for that."""
    maker = services.get(service).templates
    return maker.fill(address, template, count, memory=state.folder(memory(project))) if maker else 0


def evict(project: Project, address: Address, service: str, keep: Collection[str], limit_bytes: int) -> list[str]:
    """Drop the templates, and what was made of them ahead, that were used least, until all take no more than the limit.

    `keep` names templates that stay. What somebody uses now stays too. Returns the names of what was dropped.
    """
    maker = services.get(service).templates
    if maker is None:
        return []
    name, server = project.config.project, maker.traits(address, project.config.services[service]).server
    found = [one for one in services.get(service).list(address, name) if _kind(one) in ("template", "pool")]
    templates = {one.name: one for one in maker.all(address, name)}
    broken = [one for one in found if _broken(one, templates.values())]
    dropped = [one.name for one in broken if _dropped(address, service, one)]
    whole = [one for one in found if one not in broken]
    total = sum(one.bytes or 0 for one in whole)
    for template in sorted(templates.values(), key=lambda one: _used(project, server, one)):
        if total <= limit_bytes:
            break
        if template.name in keep:
            continue
        for one in _of(template, whole):
            if not _dropped(address, service, one):
                break
            total -= one.bytes or 0
            dropped.append(one.name)
    _forget(project, server, templates.keys() - set(dropped))
    _forget_servers(memory(project) / "used")
    return dropped


def _of(template: Template, found: Iterable[Resource]) -> list[Resource]:
    """The template, and then its ready copies: one that is in use keeps them."""
    copies = [one for one in found if _kind(one) == "pool" and _made_of(one, template)]
    return [*(one for one in found if one.name == template.name), *copies]


def _broken(one: Resource, templates: Iterable[Template]) -> bool:
    """Half made or half dropped, or a copy of a template that is no more: of no use to anybody."""
    if _kind(one) == "template":
        return all(one.name != template.name for template in templates)
    return not any(_made_of(one, template) for template in templates)


def _made_of(one: Resource, template: Template) -> bool:
    notes = _notes(one)
    return (notes.get("digest"), notes.get("of")) == (template.digest, template.owner.created)


def _dropped(address: Address, service: str, one: Resource) -> bool:
    """Whether it went. What is in use, or has changed hands meanwhile, stays."""
    with suppress(EnvctlError):
        services.get(service).drop(address, one)
        return True
    return False


def _used(project: Project, server: str, template: Template) -> tuple[float, str]:
    """When it was used last from this machine; one that never was came from another, and is judged by its age."""
    from datetime import datetime

    try:
        return (memory(project) / "used" / server / template.name).stat().st_mtime, template.name
    except OSError:
        return datetime.fromisoformat(template.owner.created).timestamp(), template.name


def _forget(project: Project, server: str, there: Collection[str]) -> None:
    """Notes about templates that are no more."""
    folder = memory(project) / "used" / server
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name not in there:
            file.unlink(missing_ok=True)


def _forget_servers(used: Path) -> None:
    """Notes about servers that were used longest ago: each throw-away one had a number that never comes again."""
    for folder in sorted(used.iterdir(), key=_latest)[:-SERVERS] if used.is_dir() else ():
        shutil.rmtree(folder, ignore_errors=True)


def _latest(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _kind(one: Resource) -> str:
    return _notes(one).get("kind", "")


def _notes(one: Resource) -> Mapping[str, str]:
    return one.owner.notes if one.owner else {}
