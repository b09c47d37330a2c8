"""What the tests of templates stand on: checkouts with a migration tool that writes down what it ran."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from envctl import sandbox, services, templates
from envctl.model import Access, Address, Claim
from envctl.project import Project, open_project
from envctl.services.base import Template
from envctl.templates import Ready

TOOL = """
import os, pathlib, sys
import psycopg

here = pathlib.Path({root!r})
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
    session.execute("CREATE TABLE IF NOT EXISTS revisions (name text PRIMARY KEY)")
    done = {{row[0] for row in session.execute("SELECT name FROM revisions").fetchall()}}
    for file in sorted(here.glob("migrations/*.sql")):
        if file.name not in done:
            print("running", file.name)
            session.execute(file.read_text())
            session.execute("INSERT INTO revisions VALUES (%s)", (file.name,))
            with open({count!r}, "a") as count:
                print(file.name, file=count)
"""
SEED = """
import os
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
    session.execute("INSERT INTO t1 (name) VALUES ('seeded')")
with open({count!r}, "a") as count:
    print("seed", file=count)
"""
TABLE = "CREATE TABLE {name} (id serial PRIMARY KEY, name text); CREATE INDEX ON {name} (name);"
PYTHON = shlex.quote(sys.executable)


def tables(names: Iterable[str]) -> dict[str, str]:
    """One migration for each name, which makes a table of that name."""
    return {f"{name}.sql": TABLE.format(name=name) for name in names}


@dataclass
class Shop:
    """One checkout of a project, on one server."""

    root: Path
    address: Address
    project: Project
    count: Path
    said: list[str] = field(default_factory=list)

    def ready(self, lease: str = "run1", *, from_scratch: bool = False, wait: float = 60) -> Ready:
        """The template of what the checkout has now."""
        made = templates.ready(
            self.project,
            self.address,
            "postgres",
            variables=lambda access: sandbox.export(self.project, {"postgres": access}),
            lease=lease,
            from_scratch=from_scratch,
            wait=wait,
            talk=self.said.append,
            detail=self.said.append,
        )
        assert made is not None
        return made

    def clone(self, template: Template, worker: str = "", *, lease: str = "run1") -> Access:
        return templates.clone(self.project, self.address, "postgres", template, self.claim(worker, lease=lease))

    def fresh(self, template: Template, name: str, worker: str = "", *, lease: str = "run1") -> Access:
        claim = self.claim(worker, lease=lease)
        return templates.fresh(self.project, self.address, "postgres", template, claim, name)

    def claim(self, worker: str = "", *, lease: str = "run1") -> Claim:
        return sandbox.claim(self.project, "postgres", worker, lease=lease)

    def write(self, files: Mapping[str, str]) -> None:
        """Files of the checkout, in `migrations`."""
        (self.root / "migrations").mkdir(exist_ok=True)
        for name, text in files.items():
            (self.root / "migrations" / name).write_text(text)

    def remove(self, *names: str) -> None:
        for name in names:
            (self.root / "migrations" / name).unlink()

    @property
    def ran(self) -> list[str]:
        """What has run since this was asked the last time."""
        lines = self.count.read_text().split() if self.count.exists() else []
        self.count.unlink(missing_ok=True)
        return lines

    def names(self) -> set[str]:
        """Every database and login that envctl says it made for this project."""
        return {one.name for one in services.get("postgres").list(self.address, self.project.config.project)}

    def kinds(self) -> dict[str, str]:
        """The private ones of the databases by name, and what their records say they are."""
        found = services.get("postgres").list(self.address, self.project.config.project)
        return {one.name: one.owner.notes["kind"] for one in found if one.owner and "kind" in one.owner.notes}


def shop(
    root: Path, address: Address, name: str, settings: str = "", *, watch: bool = True, seed: bool = False
) -> Shop:
    """A checkout with the tool; with `seed` a second step that must never run twice on the same data."""
    root.mkdir(parents=True, exist_ok=True)
    count = root.with_name(f"{root.name}.count")
    (root / "tool.py").write_text(TOOL.format(root=str(root), count=str(count)))
    (root / "seed.py").write_text(SEED.format(count=str(count)))
    steps = [f"{PYTHON} {{}}tool.py", *([f"{PYTHON} {{}}seed.py"] if seed else [])]
    lines = [
        f'project = "{name}"',
        "[services.postgres]",
        f"migrate = [{', '.join(repr(one.format('')) for one in steps)}]" if "migrate" not in settings else "",
        'watch = ["migrations/**"]' if watch else "",
        settings,
    ]
    (root / "envctl.toml").write_text("\n".join(lines))
    return Shop(root, address, open_project(root, "test", {}), count)


def rows(access: Access, query: str) -> list[Any]:
    """What the application's own login reads or does."""
    with psycopg.connect(access.values["url"], autocommit=True) as session:
        found = session.execute(query.encode())
        return found.fetchall() if found.description else []


def tables_of(access: Access) -> set[str]:
    """The tables that the application sees."""
    return {row[0] for row in rows(access, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
