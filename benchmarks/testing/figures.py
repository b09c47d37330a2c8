"""What was measured, and what it should be: plain values for the table, the JSON and the plot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: every sample, with its median and range."""

    name: str
    samples: tuple[float, ...]
    unit: str = "s"
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def as_json(self) -> dict[str, Any]:
        """With the samples, so that others may take other figures of them."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": rounded(self.median),
            "least": rounded(min(self.samples)),
            "most": rounded(max(self.samples)),
            "samples": [rounded(one) for one in self.samples],
            **({"note": self.note} if self.note else {}),
        }


@dataclass(frozen=True, slots=True)
class Aim:
    """A wanted figure beside the one that was found."""

    measure: str
    wanted: float
    found: float
    unit: str
    note: str = ""
    profile: str = ""
    """What costs most, for whoever sees that it is missed."""

    @property
    def reached(self) -> bool:
        return self.found <= self.wanted

    @property
    def shown(self) -> str:
        """To be read: a difference below zero is one that the noise hides."""
        return f"{self.found:.3g}" if self.found >= 0 else "≈ 0"

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "aim": f"≤ {self.wanted:.3g} {self.unit}",
            "found": rounded(self.found),
            "unit": self.unit,
            "reached": self.reached,
            **({"note": self.note} if self.note else {}),
            **({"profile": self.profile} if self.profile and not self.reached else {}),
        }


@dataclass
class Report:
    """All that one run of the benchmark found."""

    contenders: list[dict[str, Any]] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    servers: dict[str, Any] = field(default_factory=dict)
    phases: list[dict[str, float]] = field(default_factory=list)
    """Of each warm run."""
    noise: float = 0.0


def difference(over: Sequence[float], under: Sequence[float]) -> float:
    """How much the one median lies over the other."""
    return statistics.median(over) - statistics.median(under)


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The quotient of the medians."""
    return statistics.median(over) / statistics.median(under)


def rounded(value: float) -> float:
    """Four digits that mean something are enough."""
    return float(f"{value:.4g}")
