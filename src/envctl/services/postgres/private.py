"""The private names: templates, their drafts, what is made of them ahead, and what is in quarantine.

None of them parses as a namespace's.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Literal

from envctl.digests import hexdigest
from envctl.model import Owner

Kind = Literal["template", "draft", "pool", "retired", "quarantine"]
KINDS: dict[str, Kind] = {"t": "template", "b": "draft", "p": "pool", "x": "retired", "q": "quarantine"}
SEALED = frozenset({"template", "private"})
"""What the record of a sealed database says that it is: for all runs of the project, or for one alone."""
DIGITS = 12
"""How much of a digest stands in a name; the record has it whole."""

_NAME = re.compile(rf"(?P<project>.+)__(?P<kind>[tbpxq])_(?P<digest>[0-9a-f]{{{DIGITS}}})(?:_[0-9a-f]{{8}})?")


def template(project: str, digest: str) -> str:
    """What a sealed template is called."""
    return _name(project, "t", digest)


def draft(project: str, digest: str) -> str:
    """What it is called, and its login, until it is sealed."""
    return _name(project, "b", digest)


def pool(project: str, digest: str) -> str:
    """What a copy that nobody has taken yet is called; each time another name."""
    return f"{_name(project, 'p', digest)}_{os.urandom(4).hex()}"


def retired(project: str, digest: str) -> str:
    """What a template is called that another one took the place of."""
    return f"{_name(project, 'x', digest)}_{os.urandom(4).hex()}"


def aside(project: str, what: str) -> str:
    """What a database is called in quarantine; `what` tells it from every other one."""
    return _name(project, "q", hexdigest(what.encode()))


def prefix(project: str, kind: str) -> str:
    """What all names of a kind begin with."""
    return f"{_plain(project)}__{kind}_"


def kind(name: str, project: str) -> Kind | None:
    """What a private name of the project says that it is; None for every other name."""
    found = _NAME.fullmatch(name)
    return KINDS[found["kind"]] if found and found["project"] == _plain(project) else None


def begun(name: str, owner: Owner) -> Owner:
    """The record of a login, read as that of its database, whose name alone says yet what it is to become."""
    known = kind(name, owner.project)
    return replace(owner, notes={**owner.notes, "kind": known, "unfinished": "yes"}) if known else owner


def _name(project: str, letter: str, digest: str) -> str:
    return f"{prefix(project, letter)}{digest[:DIGITS]}"


def _plain(project: str) -> str:
    return project.replace("-", "_")
