"""Whether the tests used the databases that were made for them: nothing is worse than green on another one."""

from __future__ import annotations

from collections.abc import Mapping

from envctl import variables

SHOWN = 3
"""How many databases are named; that none of them was used says it all."""


def verdict(visits: Mapping[str, int], tests: int, exported: Mapping[str, str], *, service: str = "postgres") -> str:
    """Why a run that was green should not be believed; empty where a test, or more, used a database of the run's own.

    `visits` counts the sessions by database, without those that cannot be told; `exported` has the variables with their
    placeholders.
    """
    if not tests or not visits or any(visits.values()):
        return ""
    names = sorted(visits)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    which = f"its database {names[0]}" if len(names) == 1 else f"its databases {', '.join(names[:SHOWN])}{more}"
    ran = "the test that ran" if tests == 1 else f"the {tests} tests that ran"
    said = f"WRONG DATABASE? This run never connected to {which}: {ran} used another one, or none."
    return f"{said} {_remedy(exported, service)}"


def _remedy(exported: Mapping[str, str], service: str) -> str:
    carriers = [name for name, text in exported.items() if f"{service}.url" in variables.asked(text)]
    carriers = carriers or [
        name for name, text in exported.items() if any(one.startswith(f"{service}.") for one in variables.asked(text))
    ]
    if not carriers:
        return f'No variable tells where it is: add one to [variables], such as DATABASE_URL = "{{{service}.url}}".'
    verb = "tells" if len(carriers) == 1 else "tell"
    return (
        f"{' and '.join(carriers)} {verb} where it is: look for a conftest.py or settings that set a URL of their own. "
        "A suite that needs no database says so with services = []."
    )
