"""What is provably nobody's any more goes: plan, then apply what still holds of the plan. Nothing else is touched."""

from __future__ import annotations

from envctl import inventory
from envctl.clean import dead, forgetting, serverside
from envctl.clean.outcomes import Outcome
from envctl.clean.plans import Action, Plan, Scope, plan
from envctl.inventory import clock
from envctl.model import Talk
from envctl.project import Project

__all__ = ["Action", "Outcome", "Plan", "Scope", "apply", "planned"]

COMMAND = "envctl clean"


def planned(project: Project, scope: Scope, *, sizes: bool = False, wait: float, talk: Talk) -> Plan:
    """Look at everything, and say what would be done. Sizes cost a look into everything."""
    return plan(
        inventory.take(project, command=COMMAND, sizes=sizes, everything=scope.everything, wait=wait, talk=talk),
        scope,
        clock.now(),
    )


def apply(project: Project, todo: Plan, *, wait: float, talk: Talk) -> tuple[Outcome, ...]:
    """Do it. Each piece of evidence is looked at again, under its lock, right before the effect that rests on it."""
    runs, rest = dead.parted(project, todo.todo)
    outcomes = dead.finished(project, runs, todo.scope, wait=wait, talk=talk)
    on_servers, elsewhere = serverside.parted(project, rest)
    outcomes += serverside.applied(project, on_servers, todo.scope, wait=wait, talk=talk)
    return (*outcomes, *forgetting.forgotten(project, elsewhere, wait=wait, talk=talk))
