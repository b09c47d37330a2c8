"""The whole history runs up and down inside a transaction that is rolled back: no data is lost, whoever owns it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from shop.models import Base
from shop.settings import Settings
from tests.conftest import ROOT, upgrade

pytestmark = pytest.mark.anyio
REVISIONS = [script.revision for script in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()][::-1]
CUSTOMER = "INSERT INTO customers (email, name) VALUES ('ada@example.org', 'Ada')"
PRODUCT = (
    "INSERT INTO categories (slug, name) VALUES ('tools', 'Tools')",
    "INSERT INTO products (sku, name, category_id) SELECT 'SAW', 'Saw', id FROM categories",
)


@pytest.fixture
async def empty(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """The database as it was before the first revision, for as long as this transaction lasts."""
    engine = create_async_engine(settings.database_url)
    async with engine.connect() as connection:
        transaction = await connection.begin()
        await connection.run_sync(downgrade, "base")
        yield connection
        await transaction.rollback()
    await engine.dispose()


async def sql(connection: AsyncConnection, *statements: str) -> list[Any]:
    """Run statements; the first column of the last one, if it has any."""
    for statement in statements:
        result = await connection.execute(text(statement))
    return list(result.scalars()) if result.returns_rows else []


def downgrade(connection: Connection, revision: str) -> None:
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


async def test_every_revision_goes_up_down_and_up_again(empty: AsyncConnection) -> None:
    for revision, before in zip(REVISIONS, ["base", *REVISIONS], strict=False):
        await empty.run_sync(upgrade, revision)
        await empty.run_sync(downgrade, before)
        await empty.run_sync(upgrade, revision)


async def test_going_all_the_way_down_leaves_nothing_but_the_record(empty: AsyncConnection) -> None:
    await empty.run_sync(upgrade)
    await empty.run_sync(downgrade, "base")
    assert await sql(empty, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == ["alembic_version"]
    assert await sql(empty, "SELECT typname FROM pg_type WHERE typtype = 'e' AND pg_type_is_visible(oid)") == []
    ours = "SELECT proname FROM pg_proc JOIN pg_language l ON l.oid = prolang WHERE lanname = 'plpgsql'"
    assert await sql(empty, ours) == []


async def test_models_and_migrations_describe_the_same_tables(empty: AsyncConnection) -> None:
    await empty.run_sync(upgrade)
    differences = await empty.run_sync(
        lambda connection: compare_metadata(MigrationContext.configure(connection), Base.metadata)
    )
    assert differences == []


def test_the_history_has_one_head() -> None:
    assert len(ScriptDirectory(str(ROOT / "migrations")).get_heads()) == 1


async def test_orders_placed_before_totals_were_kept_get_theirs(empty: AsyncConnection) -> None:
    await empty.run_sync(upgrade, "0010")
    await sql(empty, *PRODUCT, CUSTOMER)
    await sql(empty, *["INSERT INTO orders (customer_id) SELECT id FROM customers"] * 2)
    await sql(empty, "INSERT INTO order_lines SELECT 1, id, 3, 250 FROM products")
    await empty.run_sync(upgrade, "0011")
    assert await sql(empty, "SELECT total_cents FROM orders ORDER BY id") == [750, 0]


async def test_of_two_customers_with_one_email_the_older_keeps_it(empty: AsyncConnection) -> None:
    await empty.run_sync(upgrade, "0011")
    await sql(empty, CUSTOMER.replace("ada@", "Ada@"), CUSTOMER)
    await empty.run_sync(upgrade, "0012")
    emails = await sql(empty, "SELECT email FROM customers ORDER BY id")
    assert emails == ["Ada@example.org", "ada@example.org+duplicate-2"]


async def test_of_two_open_prices_the_newer_stays(empty: AsyncConnection) -> None:
    await empty.run_sync(upgrade, "0017")
    await sql(
        empty, *PRODUCT, *(f"INSERT INTO prices (product_id, cents) SELECT id, {n} FROM products" for n in (1, 2))
    )
    await empty.run_sync(upgrade, "0018")
    assert await sql(empty, "SELECT cents FROM prices WHERE valid_until IS NULL") == [2]


async def test_a_refund_counts_as_cancelled_where_refunds_are_unknown(empty: AsyncConnection) -> None:
    await empty.run_sync(upgrade, "0016")
    order = "INSERT INTO orders (customer_id, status, total_cents) SELECT id, 'refunded', 1 FROM customers"
    await sql(empty, CUSTOMER, order)
    await empty.run_sync(downgrade, "0015")
    assert await sql(empty, "SELECT CAST(status AS text) FROM orders") == ["cancelled"]
