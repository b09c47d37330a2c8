"""`envctl ns`, which shell prompts ask on every line: it must not pay for a parser or a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.cli.edge import Edge

if TYPE_CHECKING:
    from envctl.project import Project


def ns(edge: Edge) -> None:
    """Print this checkout's namespace. Example: envctl ns --json"""
    project = edge.project()
    name = project.namespace
    edge.output.result(
        edge.command,
        {
            "namespace": name.name,
            "source": name.source,
            "branch": name.branch,
            "workspace": str(name.workspace),
            "names": {**project.names.as_json(project.buckets), **_configured(project)},
        },
        name.name,
    )


def _configured(project: Project) -> dict[str, str]:
    """The compose project that the configuration names, where it names one."""
    return {"compose_project": project.config.compose.project} if project.config.compose.project else {}
