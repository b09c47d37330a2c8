"""`envctl leaks`: the audit of all six environments, and its schedule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from envctl.cli.edge import Edge
from envctl.cli.parser import command
from envctl.errors import EnvctlError, UsageError

if TYPE_CHECKING:
    from envctl.leaks.rows import Audit
    from envctl.project import Project


def add(app: typer.Typer) -> None:
    """Register this module's command."""
    command(app, "leaks")(leaks)


def leaks(
    edge: Edge,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Look there only: local, registry, or one of [targets].", metavar="NAME"),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="Only what came since then: 7d, 12h, a date.", metavar="WHEN")
    ] = "",
    html: Annotated[
        Path | None, typer.Option("--html", help="Write it as one page, with the trend.", metavar="FILE")
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="Start servers that are stopped, to look into them.")] = False,
    install_cron: Annotated[bool, typer.Option("--install-cron", help="Do this every day.")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="With --install-cron: every Monday.")] = False,
    remove_cron: Annotated[bool, typer.Option("--remove-cron", help="No more of that.")] = False,
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
) -> int:
    """Say what is left behind, in all environments. Exit code 3: leaks. Example: envctl leaks --html leaks.html"""
    if install_cron and remove_cron:
        raise UsageError("--install-cron and --remove-cron exclude each other")
    if weekly and not install_cron:
        raise UsageError("--weekly says how often --install-cron is to do it", hint="give both, or neither")
    project = edge.project(sweep=False)
    if install_cron:
        return _install(edge, project, weekly=weekly, html=html)
    if remove_cron:
        return _remove(edge, project)
    found = _audited(edge, project, tuple(target or ()), since, html, start=start or scheduled)
    return _scheduled(edge, project, found) if scheduled else _shown(edge, found)


def _audited(
    edge: Edge, project: Project, target: tuple[str, ...], since: str, html: Path | None, *, start: bool
) -> Audit:
    """The audit, remembered where it looked at everything, narrowed to what was asked for, and written as a page."""
    from datetime import UTC, datetime

    from envctl import leaks as audits
    from envctl.leaks import history, page
    from envctl.leaks import since as times

    when = times.parsed(since, datetime.now(UTC)) if since else None
    if html is not None:
        page.place(html)  # Before a long look whose page nobody would get.
    with edge.output.progress("looking at all environments"):
        found = audits.audit(project, only=target, start=start, wait=edge.flags.wait, talk=edge.output.say)
    past = history.History()
    try:
        found, past = history.added(project.home, found, talk=edge.output.say)
    except EnvctlError as error:  # A full disk, say: then what was found is needed all the more.
        edge.output.warn(f"this audit is not remembered: {error.message} ({error.hint})")
    if when is not None:
        found = times.narrowed(found, when)
    if html is not None:
        page.write(html, found, past.audits)
        edge.output.say(f"wrote {html}")
    return found


def _shown(edge: Edge, audit: Audit) -> int:
    from envctl.leaks.rows import as_json
    from envctl.leaks.screen import screen

    view = screen(audit, verbose=edge.flags.verbose)
    edge.output.result(edge.command, as_json(audit), view, exit_code=audit.exit_code)
    return audit.exit_code


def _scheduled(edge: Edge, project: Project, audit: Audit) -> int:
    from envctl.leaks import plain, report
    from envctl.leaks.rows import as_json

    edge.output.result(edge.command, as_json(audit), plain.summary(audit), exit_code=audit.exit_code)
    report.notify(project, audit, edge.output.insist)
    report.turn(project.home / "leaks.log")
    return audit.exit_code


def _install(edge: Edge, project: Project, *, weekly: bool, html: Path | None) -> int:
    from envctl.leaks import page, schedule

    if html is not None:
        page.place(html)
    words = ("--html", str(html.absolute())) if html is not None else ()
    how, plan = schedule.install(project, weekly=weekly, words=words, wait=edge.flags.wait, talk=edge.output.say)
    often = "every Monday" if weekly else "every day"
    data = {"how": how, "weekly": weekly, "log": str(plan.log), "command": list(plan.command)}
    text = f"{how}: `envctl leaks` runs {often} at 06:{plan.minute:02}; its log is {plan.log}"
    edge.output.result(edge.command, data, text)
    return 0


def _remove(edge: Edge, project: Project) -> int:
    from envctl.leaks import schedule

    removed = schedule.remove(project, wait=edge.flags.wait, talk=edge.output.say)
    text = f"removed from {' and '.join(removed)}" if removed else "nothing was installed"
    edge.output.result(edge.command, {"removed": removed}, text)
    return 0
