"""What `envctl test` and its kin do once parsed. Knows no parser: importing that is a third of what starting costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.cli import auditing
from envctl.cli.edge import Edge
from envctl.errors import EnvctlError, UsageError
from envctl.output import explained

if TYPE_CHECKING:
    from envctl.model import Environment
    from envctl.project import Project
    from envctl.templates import Ready
    from envctl.testing.live import Live
    from envctl.testing.timings import Timings
    from envctl.testing.wish import Wish


def run_tests(
    edge: Edge,
    suite: str = "",
    *,
    timings: Path | None = None,
    allow_wrong_tree: bool = False,
    environment: Environment = "test",
    **flags: bool,
) -> int:
    """Run the tests of a suite."""
    from envctl.testing import wish

    project = edge.project(environment)
    wrong_tree = "allow" if allow_wrong_tree else ""
    wished = wish.of_suite(project, suite, edge.flags.rest, wrong_tree=wrong_tree, **flags)
    return ran(edge, project, wished, timings)


def run_command(
    edge: Edge, *, timings: Path | None = None, environment: Environment = "test", audit: bool = False, **flags: bool
) -> int:
    """Run what stood after `--`."""
    from envctl.testing import wish

    if not edge.flags.rest:
        raise UsageError("there is nothing to run", hint="the command stands after --: envctl run -- go test ./...")
    project = edge.project(environment)
    wished = wish.of_command(project, edge.flags.rest, audit=audit or project.config.test.audit, **flags)
    return ran(edge, project, wished, timings)


def ran(edge: Edge, project: Project, wished: Wish, file: Path | None) -> int:
    """Run it, tell what came of it, and return the exit code."""
    from envctl import testing
    from envctl.render import prefixed
    from envctl.testing.command import NOT_BEGUN
    from envctl.testing.timings import Timings

    output = edge.output
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"--timings: there is no folder {file.absolute().parent}")
    timings = Timings(output.live)
    voice = testing.Voice(output.say, output.detail, prefixed(output, wished.processes), own_stdout=not output.json)
    try:
        live = testing.run(project, wished, wait=edge.flags.wait, voice=voice, timings=timings)
    except EnvctlError as error:
        if not isinstance(error, UsageError) and not timings.began("tests"):
            error.exit_code = NOT_BEGUN
        raise
    finally:
        output.live("")
        if file is not None:
            file.write_text(json.dumps(timings.as_json(), indent=1) + "\n")
    return _told(edge, live, timings)


def _told(edge: Edge, live: Live, timings: Timings) -> int:
    """The one line at the end, what should be known beside it, and the exit code."""
    from envctl.testing import kept

    code = live.exit_code
    if live.warning and all(one.message != live.warning for one in live.faults):
        edge.output.insist(f"warning: {live.warning}")
    for fault in live.faults:
        if fault.code != "wrong_tree":  # pytest itself has shown that one.
            edge.output.insist(explained(fault))
    if live.audit is not None:
        auditing.tell(edge.output, live.audit)
    for line in kept.lines(live):
        edge.output.insist(line)
    edge.output.say(summary(live, timings))
    if edge.output.json:
        edge.output.result(edge.command, data(live, timings), exit_code=code, errors=live.faults)
    return code


def summary(live: Live, timings: Timings) -> str:
    """What the run cost beside its tests."""
    parts = []
    count = len(live.sandboxes.workers)
    if live.sandboxes.made_from:
        parts.append(f"{count} clone{'s' * (count > 1)}")
    parts += [f"template {one.template.digest[:4]}… {one.how}" for one in live.sandboxes.made_from.values()]
    made = f" ({', '.join(parts)})" if parts else ""
    seconds = timings.seconds
    return (
        f"sandbox {seconds('servers', 'template', 'clones'):.2f} s{made} · "
        f"{'tests' if live.wish.plugin else 'command'} {seconds('tests'):.2f} s · clean-up {seconds('clean-up'):.2f} s"
    )


def data(live: Live, timings: Timings) -> dict[str, Any]:
    """The run as data."""
    from envctl.testing import kept

    return {
        "project": live.project.config.project,
        "namespace": live.project.names.sandbox,
        "environment": live.project.environment,
        "suite": live.wish.suite,
        "code": live.code,
        "workers": [one for one in live.sandboxes.workers if one],
        "templates": {name: made(one) for name, one in live.sandboxes.made_from.items()},
        "warning": live.warning,
        "kept": [
            {
                "service": one.resource.service,
                "kind": one.resource.kind,
                "name": one.resource.name,
                "url": one.url,
                "variables": dict(one.variables),
                "open": one.command,
            }
            for one in (each.masked for each in kept.kept(live))
        ],
        **({"audit": auditing.data(live.audit)} if live.audit else {}),
        "timings": timings.as_json(),
    }


def made(ready: Ready) -> dict[str, Any]:
    """A template, and what was done for it."""
    return {"digest": ready.template.digest, "how": ready.how, "ran": list(ready.ran)}
