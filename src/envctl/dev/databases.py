"""A checkout's database, by its name: what was restored of a gone branch has no checkout to be looked at from."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from envctl import leases, servers, services, workspaces
from envctl.errors import UnavailableError, UsageError
from envctl.inventory.verdicts import SHARED, quarantined
from envctl.model import Access, Address, Owner, Resource
from envctl.project import Project

SERVICE = "postgres"


def opened(project: Project, name: str) -> Access | None:
    """How to come into that database of `dev`, whichever checkout's; None where there is none."""
    down = []
    for home, engine in servers.existing(project):
        running = leases.record(home)
        if running is None or SERVICE not in running.servers or not home.name.startswith("dev-"):
            continue
        if not any(one.service == SERVICE and one.state == "running" for one in engine.look(running)):
            down.append(home.name)
            continue
        address = running.servers[SERVICE].address
        found = services.get(SERVICE).list(address, project.config.project, sizes=False)
        _refuse_quarantined(name, found)
        for one in found:
            if one.name == name and one.owner and _is_a_checkouts(one, one.owner, project):
                return _access(project, address, one, one.owner, found)
    if down:
        raise UnavailableError(
            f"whether there is a database {name} cannot be told",
            cause=f"nobody could look into {', '.join(f'{one} {SERVICE}' for one in down)}",
            hint="envctl dev up",
            code="not_up",
        )
    return None


def _refuse_quarantined(name: str, found: Iterable[Resource]) -> None:
    """Nobody can enter one, nor has it that name, unless another has been made under it meanwhile."""
    there = [one for one in found if one.kind == "database" and one.owner]
    aside = [one for one in there if quarantined(one) and name in (one.name, one.owner and one.owner.notes.get("was"))]
    if aside and not any(one.name == name and not quarantined(one) for one in there):
        raise UsageError(f"the database {name} is in quarantine", hint=f"envctl restore {shlex.quote(aside[0].name)}")


def _is_a_checkouts(one: Resource, owner: Owner, project: Project) -> bool:
    """By its own record: of this project, made by a checkout for its work, and not put aside."""
    mine = owner.project == project.config.project and owner.environment == "dev"
    return one.kind == "database" and mine and owner.notes.get("kind") not in SHARED and not quarantined(one)


def _access(project: Project, address: Address, one: Resource, owner: Owner, found: Iterable[Resource]) -> Access:
    """With its own login, which enters nothing else; where it has none, it is the administrator's."""
    login = replace(project.names, namespace=owner.namespace, slot=1).identity("dev", owner.worker)
    has_one = any(role.kind == "role" and role.name == login and not quarantined(role) for role in found)
    written = getattr(project.config.services.get(SERVICE), "password", "")
    secret = written or workspaces.secret(project.config.project, f"{SERVICE}:{login}")
    user, password = (login, secret) if has_one else (address.user, address.password)
    values = {"host": address.host, "port": str(address.port), "database": one.name}
    return Access((one,), {**values, "user": user, "password": password})
