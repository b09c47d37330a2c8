"""Whose a resource is, as its owner record tells, and the errors for what is somebody else's or gone."""

from __future__ import annotations

from dataclasses import replace

from envctl import hosts
from envctl.errors import EnvctlError
from envctl.model import Claim, Owner, Resource
from envctl.services.quarantine import inside, unmoved


def leased(found: list[Resource], lease: str) -> list[Resource]:
    """Those that one run made; all where no run is named."""
    return [one for one in found if one.owner is not None and one.owner.lease == lease] if lease else found


def owned_by(owner: Owner | None, project: str) -> bool:
    """Whether a record is there and is this project's."""
    return owner is not None and owner.project == project


def same_record(stored: Owner | None, seen: Owner | None) -> bool:
    """Whether a record read again is the one that the caller saw; its notes may have changed since.

    But not from or to quarantine: what is to be done there was decided by what these said.
    """
    if stored is None or seen is None or not unmoved(stored, seen):
        return False
    return same_but_notes(stored, seen)


def same_or_moved(stored: Owner | None, seen: Owner | None) -> bool:
    """The same for whoever puts it into quarantine or takes it out, and finds that somebody has just done so."""
    if stored is None or seen is None or inside(stored) == inside(seen):
        return same_record(stored, seen)
    return same_but_notes(stored, seen)


def same_but_notes(stored: Owner, seen: Owner) -> bool:
    """Whether both name the same maker and the same making, wherever the resource is."""
    return replace(stored, notes={}) == replace(seen, notes={})


def same_claimant(stored: Owner | None, claimant: Owner) -> bool:
    """Whether a record names the namespace (and worker) that asks, whenever and by whichever run it was written."""
    return stored is not None and _claimant(stored) == _claimant(claimant)


def may_take(stored: Owner | None, claim: Claim) -> bool:
    """Whether it is the claim's own. What another machine has there may be in use, which cannot be seen from here.

    But dev data under a name that this machine had, or those of one system without identity on another such (a
    container, say), are taken over: who renames a machine or makes its container anew goes on with them. A run there
    may be at work.
    """
    if stored is None or not same_claimant(stored, claim.owner):
        return False
    if not claim.shared or not hosts.elsewhere(stored.host):
        return True
    alike = hosts.bare(stored.host) and hosts.bare(hosts.this_host())
    return not stored.lease and (alike or stored.host in hosts.former())


def of_this_run(stored: Owner, claimant: Owner) -> Owner:
    """The record for whoever works with it from now on: one that names an ended run would give it to be dropped."""
    return stored if stored.lease == claimant.lease else replace(claimant, notes=stored.notes)


def not_ours(what: str, owner: Owner | None, *, hint: str = "") -> EnvctlError:
    """The one error for a resource whose record is missing or names somebody else. Nothing was touched."""
    cause = "nothing with it says that envctl made it"
    if owner is not None:
        worker = f", worker {owner.worker}" if owner.worker else ""
        cause = f"it belongs to {owner.project}, {owner.environment}, namespace {owner.namespace}{worker}"
        cause += f", on {hosts.told(owner.host, hosts.this_host())}" if hosts.elsewhere(owner.host) else ""
    return EnvctlError(f"{what} was left alone", cause=cause, hint=hint, code="not_ours")


def vanished(what: str) -> EnvctlError:
    """The one error for a resource that is not there any more: somebody else was quicker."""
    return EnvctlError(f"{what} is gone", hint="somebody removed it", code="gone")


def _claimant(owner: Owner) -> tuple[str, str, str, str]:
    return owner.project, owner.environment, owner.namespace, owner.worker
