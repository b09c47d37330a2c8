"""Migrate once, copy everywhere: the template of a checkout's migrations is found, carried on or built, then cloned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from envctl import hosts, migrations, services, state
from envctl.errors import EnvctlError
from envctl.migrations import Migration
from envctl.model import EVERYBODY, Access, Address, Claim, Owner, Resource, Talk
from envctl.project import Project
from envctl.services.base import Building, Template, Templates
from envctl.templates import stages, upkeep
from envctl.templates.stages import Stage
from envctl.templates.upkeep import evict, refill
from envctl.values import dataclass

__all__ = ["Ready", "Template", "clone", "discard", "evict", "fresh", "ready", "refill"]

How = Literal["reused", "extended", "built"]
Variables = Callable[[Access], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Ready:
    """The template of a run, how it came about, and the files and commands that ran for it."""

    template: Template
    how: How
    ran: tuple[str, ...] = ()


def ready(
    project: Project,
    address: Address,
    service: str,
    *,
    variables: Variables,
    lease: str,
    from_scratch: bool,
    wait: float,
    talk: Talk,
    detail: Talk,
) -> Ready | None:
    """The template that this checkout's migrations make; None where nothing is migrated, or nothing can be copied.

    `variables` gives the environment in which a migration reaches what it has to migrate.
    """
    settings = project.config.services[service]
    maker, migration = services.get(service).templates, services.get(service).migration(settings)
    if maker is None or migration is None:
        return None
    builder = Builder(project, address, service, maker, settings, variables, lease, from_scratch, wait, talk, detail)
    return builder.ready(migration)


def clone(project: Project, address: Address, service: str, template: Template, claim: Claim) -> Access:
    """The claim's own copy, with its login. What has its name and came of another run goes first."""
    maker, settings = _maker(service), project.config.services[service]
    return maker.clone(address, settings, claim, template, memory=upkeep.memory(project))


def fresh(project: Project, address: Address, service: str, template: Template, claim: Claim, name: str) -> Access:
    """One more copy under another name, for the login that the claim has."""
    return _maker(service).fresh(address, claim, template, name, memory=upkeep.memory(project))


def discard(address: Address, service: str, resource: Resource) -> None:
    """Remove one of one's own copies and end its sessions; the login stays."""
    _maker(service).discard(address, resource)


def _maker(service: str) -> Templates:
    maker = services.get(service).templates
    assert maker is not None
    return maker


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds what is missing of one checkout's templates."""

    project: Project
    address: Address
    service: str
    maker: Templates
    settings: Any
    variables: Variables
    lease: str
    from_scratch: bool
    wait: float
    talk: Talk
    detail: Talk

    def ready(self, migration: Migration) -> Ready:
        """The last stage's template: found, or built from the first stage that is missing on."""
        traits = self.maker.traits(self.address, self.settings)
        # A migration may read any variable, so another value of one makes another template.
        result = {**traits.result, "variables": json.dumps(self.project.config.exported(services.get), sort_keys=True)}
        if not migrations.complete(migration.steps, migration.watch):
            return self._alone(migration, result)
        chain = stages.stages(migration, self.project.root, result)
        for warning in chain[-1].warnings:
            self.talk(f"warning: {warning}")
        made = self._found(chain[-1]) or self._chain(chain)
        upkeep.touch(self.project, traits.server, made.template)
        return made

    def _found(self, stage: Stage) -> Ready | None:
        found = None if self.from_scratch else self.maker.find(self.address, self._name, stage.digest)
        return Ready(found, "reused") if found else None

    def _chain(self, chain: tuple[Stage, ...]) -> Ready:
        """Stage by stage; how the whole came about is told by the first one."""
        made = self._stage(chain[0], None)
        for stage in chain[1:]:
            later = self._stage(stage, made.template)
            how: How = "extended" if (made.how, later.how) != ("reused", "reused") and made.how != "built" else made.how
            made = Ready(later.template, how, (*made.ran, *later.ran))
        return made

    def _stage(self, stage: Stage, before: Template | None) -> Ready:
        """Found, or built by whoever holds its lock; who waited for that finds it."""
        found = self._found(stage)
        if found is not None:
            return found
        with self._building(stage) as site:
            return self._found(stage) or self._built(site, stage, before or self._ancestor(stage))

    def _ancestor(self, stage: Stage) -> Template | None:
        """The nearest one that is still there once nobody can remove it any more."""
        if self.from_scratch or not stage.first:
            return None
        near = stages.nearest(stage, self.maker.all(self.address, self._name))
        held = (self.maker.find(self.address, self._name, one.digest) for one in near)
        return next((one for one in held if one is not None), None)

    def _alone(self, migration: Migration, traits: Mapping[str, str]) -> Ready:
        """Without `watch` nothing says when the migrations have changed, so this run has a template to itself."""
        self.talk(f"warning: services.{self.service} has no `watch`, so it is migrated from zero on every run")
        self.talk('  name the files that `migrate` reads, and that happens once: watch = ["migrations/**"]')
        stage = stages.alone(migration, self.project.root, traits, self.lease or self._owner().created)
        with self._building(stage) as site:
            return self._built(site, stage, None, kind="private")

    def _building(self, stage: Stage) -> Any:
        return self.maker.building(
            self.address,
            self._name,
            stage.digest,
            who=self.project.names.sandbox,
            wait=self.wait,
            talk=self.talk,
            memory=state.folder(upkeep.memory(self.project)),
        )

    def _built(self, site: Building, stage: Stage, ancestor: Template | None, *, kind: str = "template") -> Ready:
        """Migrate a draft and seal it. Whatever goes wrong before that, nothing of the draft stays."""
        self._announce(stage, ancestor)
        try:
            draft = site.draft(self.settings, self._owner(), ancestor)
            ran = self._migrate(stage, draft, ancestor)
            if stage.again() != stage.digest:
                raise EnvctlError(
                    "the migrations have changed while they ran, so nobody knows what they made",
                    hint="run it again: it begins with the files as they are then",
                    code="migrations_changed",
                )
            owner = self._owner()
            notes = {**stage.notes, "kind": kind}
            sealed = site.publish(replace(owner, lease=owner.lease if kind == "private" else "", notes=notes))
        except BaseException as error:
            if isinstance(error, EnvctlError) and error.code == "migration":
                error.hint = "nothing of it is left, and templates that worked are as they were"
            with suppress(Exception):  # What is left is dropped by the next builder, or with the rest of this run.
                site.abandon()
            raise
        return Ready(sealed, "built" if ancestor is None else "extended", ran)

    def _migrate(self, stage: Stage, draft: Access, ancestor: Template | None) -> tuple[str, ...]:
        """Run this stage's steps, but for the SQL files that the ancestor has; what ran, in order."""
        ran: list[str] = []
        for step in stage.steps:
            migrations.run(
                (step,),
                root=self.project.root,
                variables=self.variables(draft),
                connect=draft.values,
                talk=self.talk,
                output=self.detail,
                applied=stages.applied(stage, ancestor) if stage.first else (),
                ran=ran.append,
            )
            ran += [step.run] if step.run else []
        return tuple(ran)

    def _announce(self, stage: Stage, ancestor: Template | None) -> None:
        if ancestor is None:
            self.talk(f"building the template {stage.digest[:4]}… from zero")
        elif stage.first:
            new = len(stages.fresh(stage, ancestor))
            files = "1 new file" if new == 1 else f"{new} new files"
            self.talk(f"building the template {stage.digest[:4]}… from {ancestor.digest[:4]}…: {files}")
        else:
            self.talk(f"building the template {stage.digest[:4]}… on {ancestor.digest[:4]}…")

    @property
    def _name(self) -> str:
        return self.project.config.project

    def _owner(self) -> Owner:
        """Who builds: the record of a draft, and of a template without the lease."""
        return Owner(
            project=self._name,
            environment="test",
            namespace=EVERYBODY,
            workspace=str(self.project.root),
            branch=self.project.namespace.branch,
            host=hosts.recorded(),
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            lease=self.lease,
        )
