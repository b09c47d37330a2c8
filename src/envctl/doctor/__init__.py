"""What is wrong with this machine and this project, and what to do about it. Looks, and changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from envctl.doctor import machine as machine_checks
from envctl.doctor import project as project_checks
from envctl.doctor.findings import Check, Finding, Patient
from envctl.errors import EnvctlError

CHECKS: tuple[Check, ...] = (*machine_checks.CHECKS, *project_checks.CHECKS)
PATIENCE = 5.0
"""How long all checks together may take; a check that hangs (a daemon, a network folder) is itself a finding."""


def examine(
    directory: Path, environ: Mapping[str, str], *, checks: Sequence[Check] = CHECKS, patience: float = PATIENCE
) -> tuple[Finding, ...]:
    """All checks, side by side, in their order."""
    patient = _patient(directory, environ)
    found: list[list[Finding]] = [[] for _ in checks]
    threads = [
        threading.Thread(target=_look, args=(check, patient, into), daemon=True)
        for check, into in zip(checks, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience
    results: list[Finding] = []
    for thread, check, into in zip(threads, checks, found, strict=True):
        thread.join(max(0.0, end - time.monotonic()))
        late = Finding(_name(check), "problem", f"gave no answer within {patience:g} s")
        results += [late] if thread.is_alive() else into
    return tuple(results)


def as_json(finding: Finding) -> dict[str, str]:
    """A finding as plain data."""
    return asdict(finding)


def _patient(directory: Path, environ: Mapping[str, str]) -> Patient:
    from envctl.project import open_project

    try:
        return Patient(directory, environ, open_project(directory, "dev", environ))
    except EnvctlError as error:
        return Patient(directory, environ, None, error)


def _look(check: Check, patient: Patient, into: list[Finding]) -> None:
    """One check. What it trips over is a finding too: a doctor must not fall ill."""
    try:
        into.extend(check(patient))
    except EnvctlError as error:
        into.append(Finding(_name(check), "problem", ": ".join(filter(None, (error.message, error.cause))), error.hint))
    except Exception as error:
        into.append(Finding(_name(check), "warning", f"could not be checked: {type(error).__name__}: {error}"))


def _name(check: Check) -> str:
    return getattr(check, "__name__", "check").replace("_", " ")
