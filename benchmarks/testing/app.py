"""The application under test: 60 revisions that make 60 tables, and 300 tests that use them; the same on every run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

FILES = Path(__file__).parent / "files"
REVISIONS = 60
MODULES = 30
TESTS_PER_MODULE = 10
ROWS = 14
"""How many rows a test writes to each of two tables."""
SEEDS = 1000
"""How many rows a revision brings along."""
TESTS = MODULES * TESTS_PER_MODULE
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")

REVISION = '''"""Table {name}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision:04}"
down_revision = {down!r}


def upgrade() -> None:
    op.create_table(
        "{name}",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("parent", sa.BigInteger{parent}),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("title", sa.Text, nullable=False, server_default=""),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False, server_default="0"),
        sa.Column("state", sa.String(12)),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    table = sa.table("{name}", sa.column("code"), sa.column("amount"))
    op.bulk_insert(table, [{{"code": f"seed-{{row}}", "amount": row}} for row in range({seeds})])
    op.execute("UPDATE {name} SET state = 'seed'")
    op.alter_column("{name}", "state", nullable=False, server_default="open")
    op.create_check_constraint("{name}_amount", "{name}", "amount >= 0")
    op.create_index("{name}_code", "{name}", ["code"], unique=True)
    op.create_index("{name}_parent", "{name}", ["parent"])
    op.create_index("{name}_state_created", "{name}", ["state", "created"])


def downgrade() -> None:
    op.drop_table("{name}")
'''
TABLE = """
{name} = Table(
    "{name}",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("parent", BigInteger{parent}),
    Column("code", String(40), nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("amount", Numeric(12, 2), nullable=False, server_default="0"),
    Column("state", String(12), nullable=False, server_default="open"),
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""
TABLES = '''"""The tables, as the application sees them."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, MetaData, Numeric, String, Table, Text, func

metadata = MetaData()
'''
TEST = '''"""The {one}s and their {two}s."""

from decimal import Decimal

from ledger.tables import {one}, {two}
from sqlalchemy import func, select
'''
CASE = """

def test_{one}_{number}(connection):
    keys = []
    for row in range({rows}):
        made = connection.execute({one}.insert().values(code=f"{number}-{{row}}", amount=row).returning({one}.c.id))
        keys.append(made.scalar_one())
    connection.execute({two}.insert(), [{{"code": f"{number}-{{key}}", "amount": key}} for key in keys])
    total = connection.execute(select(func.sum({one}.c.amount), func.count()).where({one}.c.state == "open")).one()
    assert total == (Decimal(sum(range({rows}))), {rows})
    joined = select({one}.c.code, {two}.c.code).join({two}, {two}.c.amount == {one}.c.id).where({two}.c.state == "open")
    assert len(connection.execute(joined.order_by({one}.c.code)).all()) == {rows}
"""


def generate(folder: Path, conftest: str, *, revisions: int = REVISIONS, rows: int = ROWS) -> Path:
    """Write the application into `folder`, a git repository, with the conftest of that way to get databases."""
    package, versions, tests = folder / "ledger", folder / "migrations" / "versions", folder / "tests"
    for one in (package, versions, tests):
        one.mkdir(parents=True)
    for name in ("alembic.ini", "envctl.toml", "pyproject.toml"):
        shutil.copy(FILES / name, folder)
    shutil.copy(FILES / "env.py", folder / "migrations")
    (folder / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n")
    (package / "__init__.py").write_text("")
    (package / "tables.py").write_text(TABLES + "".join(table(number) for number in range(REVISIONS)))
    for number in range(revisions):
        revise(folder, number)
    shutil.copy(FILES / "conftest" / f"{conftest}.py", folder / "conftest.py")
    shutil.copy(FILES / "tests.py", tests / "conftest.py")
    for number in range(MODULES):
        (tests / f"test_{entry(number)}.py").write_text(test_module(number, rows))
    git(folder, "init", "-q", "-b", "main")
    return commit(folder, "The ledger")


def revise(folder: Path, number: int) -> Path:
    """Add one revision: it makes one table, which refers to an earlier one."""
    down = f"{number:04}" if number else None
    parent = f', sa.ForeignKey("{entry(number // 2)}.id")' if number else ""
    text = REVISION.format(name=entry(number), revision=number + 1, down=down, parent=parent, seeds=SEEDS)
    file = folder / "migrations" / "versions" / f"{number + 1:04}_{entry(number)}.py"
    file.write_text(text)
    return file


def commit(folder: Path, message: str) -> Path:
    """Everything there is, as one commit."""
    git(folder, "add", ".")
    git(folder, "commit", "-qm", message)
    return folder


def git(folder: Path, *words: str) -> None:
    """Run git without the user's own settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    subprocess.run([*GIT, *words], cwd=folder, env={**clean, "GIT_CONFIG_GLOBAL": os.devnull}, check=True)


def entry(number: int) -> str:
    """A table's name."""
    return f"entry_{number:02}"


def table(number: int) -> str:
    """The table in the application's own words."""
    parent = f', ForeignKey("{entry(number // 2)}.id")' if number else ""
    return TABLE.format(name=entry(number), parent=parent)


def test_module(number: int, rows: int) -> str:
    """Ten tests of two tables."""
    one, two = entry(2 * number), entry(2 * number + 1)
    cases = (CASE.format(one=one, two=two, number=case, rows=rows) for case in range(TESTS_PER_MODULE))
    return TEST.format(one=one, two=two) + "".join(cases)


def twenty_megabytes(tables: int = 80, rows: int = 230) -> str:
    """A schema as SQL: 80 tables, 220 indexes (keys among them) and rows, about 20 MB as a database."""
    lines: list[str] = []
    for number in range(tables):
        this = f"wide_{number:02}"
        lines.append(
            f"CREATE TABLE {this} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL,"
            " amount numeric(12,2) NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'open',"
            " body text NOT NULL DEFAULT '', created timestamptz NOT NULL DEFAULT now());"
        )
        lines.append(f"CREATE INDEX {this}_code ON {this} (code);")
        if number < tables * 3 // 4:
            lines.append(f"CREATE INDEX {this}_state ON {this} (state, created);")
        lines.append(
            f"INSERT INTO {this} (code, amount, body) SELECT 'c' || n, n, repeat(md5(n::text), 4)"  # noqa: S608
            f" FROM generate_series(1, {rows}) AS n;"
        )
    return "\n".join(lines) + "\n"
