"""What `envctl clean` and `envctl restore` do once parsed. Knows no parser: loading that is a quarter of a `clean`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from envctl.cli.edge import Edge
from envctl.errors import UsageError

if TYPE_CHECKING:
    from envctl.clean import Action, Outcome, Plan
    from envctl.clean.aside import Restored
    from envctl.model import Finding, Resource

WHOLE = ("data", "volume")


def clean(
    edge: Edge,
    branch: str = "",
    older_than: str = "",
    *,
    dry_run: bool = False,
    templates: bool = False,
    everything: bool = False,
    list_quarantine: bool = False,
    yes: bool = False,
) -> int:
    """Remove what is provably nobody's any more, or show what that would be."""
    from envctl import clean as hygiene
    from envctl.clean import screen

    scope = hygiene.Scope(branch, _seconds(older_than), templates, everything)
    project = edge.project(sweep=False)
    sizes = edge.flags.json and (dry_run or list_quarantine)
    plan = hygiene.planned(project, scope, sizes=sizes, wait=edge.flags.wait, talk=edge.output.say)
    _tell_unseen(edge, plan)
    if list_quarantine:
        return _listed(edge, plan)
    if dry_run:
        shown = [one for one in plan.actions if edge.flags.verbose or not _is_a_note(one)]
        last = screen.summary(Counter(one.do for one in shown))
        edge.output.result(edge.command, _data(plan), screen.lines(map(screen.planned, shown), last))
        return 0
    if everything and plan.todo:
        what = f" of {branch}" if branch else ""
        question = f"Delete {_counted(plan)}{what} in {project.config.project} on this machine, for good?"
        edge.confirm(question + _whole_servers(plan), yes=yes)
    outcomes = hygiene.apply(project, plan, wait=edge.flags.wait, talk=edge.output.say)
    return _told(edge, plan, outcomes)


def restore(edge: Edge, name: str) -> int:
    """Give back what `clean` put into quarantine, as it was."""
    from envctl.clean import aside

    found = aside.restore(edge.project(sweep=False), name, wait=edge.flags.wait, talk=edge.output.say)
    code = 1 if any(one.error for one in found) else 0
    data = {"restored": [{**_thing(one.resource, one.place), "error": one.error} for one in found]}
    edge.output.result(edge.command, data, "\n".join(map(_restored, found)), exit_code=code)
    for one in found:
        if one.resource.kind == "database" and not one.error:
            edge.output.say(f"hint: look into it: envctl dev psql {shlex.quote(one.resource.name)}")
    for name in sorted({one.resource.owner.namespace for one in found if one.resource.owner and not one.error}):
        edge.output.say(
            f"hint: use all of it: envctl --namespace {shlex.quote(name)} dev up, in a checkout of its branch"
        )
    return code


def _told(edge: Edge, plan: Plan, outcomes: tuple[Outcome, ...]) -> int:
    """What was done, what was not and why. A thing in use is nobody's to take, which `--all` has to say."""
    from envctl.clean import screen

    failed = [one for one in outcomes if one.result == "failed"]
    spared = [one for one in plan.live if not _is_a_note(one)] if plan.scope.everything else []
    code = 1 if failed or spared else 0
    counts = Counter(screen.DONE[one.action.do] for one in outcomes if one.result == "done")
    counts["failed"] = len(failed)
    staying = sum(one.do == "keep" and not _is_a_note(one) for one in plan.actions)
    counts["kept"] = staying + sum(one.result == "kept" for one in outcomes)
    shown = [screen.ended(one) for one in outcomes if one.result != "gone"]
    view = screen.lines([*shown, *map(screen.spared, spared)], screen.summary(counts))
    edge.output.result(edge.command, _data(plan, outcomes), view, exit_code=code)
    if failed:
        edge.output.insist("hint: what failed is tried again by the next `envctl clean`")
    if spared:
        edge.output.insist("hint: what is in use goes when that has ended: envctl dev down, then envctl clean --all")
    return code


def _listed(edge: Edge, plan: Plan) -> int:
    from envctl.clean.aside import may_hold, untold, was
    from envctl.inventory.verdicts import quarantined

    found = [one.finding for one in plan.actions if quarantined(one.finding.resource)]
    blind = [one.place for one in plan.unseen if may_hold(one.place)]
    if blind and not found:
        raise untold("whether anything is in quarantine cannot be told", blind)
    lines = [
        f"{one.resource.kind} {was(one.resource)}: {one.reason}; envctl restore {shlex.quote(_back(one))}"
        for one in found
    ]
    data = {"quarantine": [{**_described(one), **_notes(one.resource), "was": was(one.resource)} for one in found]}
    edge.output.result(edge.command, data, "\n".join(lines) or "nothing is in quarantine")
    return 0


def _is_a_note(action: Action) -> bool:
    """Ports and registrations that stay are of interest to nobody who did not ask for more."""
    return action.do == "keep" and action.finding.place == "state"


def _tell_unseen(edge: Edge, plan: Plan) -> None:
    for one in plan.unseen:
        edge.output.say(f"not looked at: {one.place}: {one.why}")


def _seconds(age: str) -> float:
    from envctl.document import Duration

    if not age:
        return 0.0
    try:
        return float(Duration.parse(age, "--older-than"))
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from error


def _restored(one: Restored) -> str:
    what = f"{one.resource.kind} {one.resource.name}"
    return f"failed      {what}: {one.error}" if one.error else f"restored    {what}"


def _whole_servers(plan: Plan) -> str:
    """Where servers are down, all that is in them goes at once, unseen."""
    data = any(one.finding.resource.kind in WHOLE and one.finding.environment == "dev" for one in plan.todo)
    return " Among it are the dev data of every checkout, as the servers are down." if data else ""


def _counted(plan: Plan) -> str:
    kinds = Counter(one.finding.resource.kind for one in plan.todo)
    words = {"data": "data folder"}
    told = ((count, words.get(kind, kind)) for kind, count in sorted(kinds.items()))
    return ", ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in told)


def _back(finding: Finding) -> str:
    """What to call it: a name of its own where it has one, else its namespace's."""
    from envctl.clean.aside import was

    owner, name = finding.resource.owner, finding.resource.name
    return owner.namespace if owner and was(finding.resource) == name else name


def _data(plan: Plan, outcomes: Iterable[Outcome] = ()) -> dict[str, Any]:
    """The plan as data, and what came of it where it was applied."""
    ends = {id(one.action): {"result": one.result, "error": one.why} for one in outcomes}
    actions = [
        {"do": one.do, **_described(one.finding), "why": one.why, **ends.get(id(one), {})} for one in plan.actions
    ]
    return {"actions": actions, "unseen": [{"place": one.place, "why": one.why} for one in plan.unseen]}


def _described(finding: Finding) -> dict[str, Any]:
    remedy = {"verdict": finding.verdict, "reason": finding.reason, "remedy": finding.remedy}
    return {**_thing(finding.resource, finding.place), **remedy}


def _thing(resource: Resource, place: str) -> dict[str, Any]:
    owner = resource.owner
    whose = {
        "environment": owner.environment if owner else None,
        "namespace": owner.namespace if owner else None,
        "branch": owner.branch if owner else None,
        "workspace": owner.workspace if owner else None,
        "created": owner.created if owner else None,
    }
    what = {"place": place, "service": resource.service, "kind": resource.kind, "name": resource.name}
    return {**what, "bytes": resource.bytes, **whose}


def _notes(resource: Resource) -> dict[str, str]:
    notes = resource.owner.notes if resource.owner else {}
    return {name: notes.get(name, "") for name in ("since", "until", "why")}
