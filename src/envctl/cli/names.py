"""`envctl ns`, which shell prompts ask on every line: it must not pay for a parser or a client."""

from __future__ import annotations

from envctl.cli.edge import Edge


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
            "names": project.names.as_json(project.buckets),
        },
        name.name,
    )
