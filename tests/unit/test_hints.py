from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer

import envctl
from envctl.cli.app import app

SOURCES = sorted(Path(envctl.__file__).parent.rglob("*.py"))
QUOTED = re.compile(r"`envctl ([a-z]+)(?: ([a-z]+))?")
ADVISED = re.compile(r"\benvctl (dev|clean|leaks|restore|doctor|init|config|env|ns)\b(?: ([a-z]+))?")


def named(source: Path) -> Iterator[tuple[str, str]]:
    """The commands that a module's texts quote, and those that its hints begin with or speak of."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((one[1], one[2] or "") for one in QUOTED.finditer(node.value))
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield from ((one[1], one[2] or "") for one in ADVISED.finditer(ast.unparse(node.value)))


def test_every_command_that_a_text_names_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = [(source.name, *command) for source in SOURCES for command in named(source)]
    assert len(found) > 10
    for source, word, inner in found:
        assert word in commands, f"{source}: envctl {word}"
        if word == "dev" and inner:
            assert inner in commands["dev"].commands, f"{source}: envctl dev {inner}"
