"""How much an engine says that things take: it counts all of them at once, and rounds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from envctl import shell
from envctl.model import Command
from envctl.runtimes import Runtime
from envctl.values import dataclass

UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"([0-9.]+)\s*([kMGT]?B)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes by kind and by name or id; empty where the engine does not tell."""

    known: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @staticmethod
    def asked(runtime: Runtime) -> Sizes:
        """One question for all."""
        if runtime.podman:
            return Sizes()
        done = shell.run(
            Command((runtime.cli, "system", "df", "--verbose", "--format", "{{json .}}")), check=False, seconds=60
        )
        return Sizes(dict(_rows(done.out)) if done.code == 0 else {})

    def of(self, kind: str, name: str, number: str) -> int | None:
        """By its name, or by its id in full or short; None where nothing is known."""
        return next((self.known[kind, one] for one in (name, number, number[:12]) if (kind, one) in self.known), None)


def _rows(text: str) -> list[tuple[tuple[str, str], int]]:
    try:
        found: dict[str, list[dict[str, Any]]] = json.loads(text)
    except ValueError:
        return []
    kinds = (("container", "Containers", "Names"), ("volume", "Volumes", "Name"), ("image", "Images", "ID"))
    rows = [((kind, str(one.get(key))), one) for kind, table, key in kinds for one in found.get(table) or ()]
    return [(key, size) for key, one in rows if (size := parsed(str(one.get("Size", "")))) is not None]


def parsed(text: str) -> int | None:
    """`132MB`, or `12.3kB (virtual 33MB)`, in bytes."""
    found = _SIZE.match(text)
    return round(float(found[1]) * UNITS[found[2].lower()]) if found else None
