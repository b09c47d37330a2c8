"""Real servers, nothing left behind: each test gets a transaction that is rolled back and key prefixes of its own."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker, create_async_engine

from shop.main import create_app
from shop.settings import Settings
from shop.storage import client as s3

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate over a connection that is already there."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.fixture(scope="session")
async def settings(anyio_backend: str) -> Settings:
    """The settings of this run, and a database at the newest revision, whoever made it."""
    chosen = Settings.from_environment()
    engine = create_async_engine(chosen.database_url)
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()
    return chosen


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, inside a transaction that is never committed."""
    prefix = f"tests/{uuid.uuid4().hex}/"
    application = create_app(dataclasses.replace(settings, prefix=prefix))
    async with application.router.lifespan_context(application):
        state = application.state
        async with state.engine.connect() as connection:
            outer = await connection.begin()
            state.connection = connection
            state.sessions = async_sessionmaker(
                connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
            )
            yield application
            await outer.rollback()
        await forget(state.cache.redis, prefix)
        empty(settings.s3_bucket, prefix)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as opened:
        yield opened


@pytest.fixture
def connection(app: FastAPI) -> AsyncConnection:
    """The transaction that the application works in, to look behind its back."""
    found: AsyncConnection = app.state.connection
    return found


async def forget(redis: Any, prefix: str) -> None:
    async for key in redis.scan_iter(match=f"{prefix}*"):
        await redis.delete(key)


def empty(bucket: str, prefix: str) -> None:
    for stored in s3().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        s3().delete_object(Bucket=bucket, Key=stored["Key"])


@dataclass(frozen=True, slots=True)
class Shop:
    """Says in one line what a test needs to be there."""

    client: AsyncClient

    async def post(self, path: str, status: int = 201, **body: Any) -> Any:
        response = await self.client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def customer(self, email: str = "ada@example.org") -> int:
        return int((await self.post("/customers", email=email, name="Ada"))["id"])

    async def address(self, customer: int) -> int:
        added = await self.post(f"/customers/{customer}/addresses", street="1 Mill Lane", city="York", postcode="YO1")
        return int(added["id"])

    async def category(self, slug: str = "tools") -> int:
        return int((await self.post("/categories", slug=slug, name=slug.title()))["id"])

    async def product(self, sku: str = "SAW-1", **more: Any) -> int:
        category = more.pop("category_id", None) or await self.category(f"for-{sku.lower()}")
        body = {"sku": sku, "name": "Hand saw", "cents": 1500, "stock": 10, "category_id": category, **more}
        return int((await self.post("/products", **body))["id"])

    async def cart(self, customer: int, **quantities: int) -> int:
        """A cart of products by sku: `cart(customer, SAW=2)` makes the product and puts two of it in."""
        cart = int((await self.post("/carts", customer_id=customer))["id"])
        for sku, quantity in quantities.items():
            product = await self.product(sku)
            line = await self.client.put(f"/carts/{cart}/lines/{product}", json={"quantity": quantity})
            assert line.status_code == 200, line.text
        return cart

    async def order(self, customer: int, **quantities: int) -> dict[str, Any]:
        placed: dict[str, Any] = await self.post("/orders", cart_id=await self.cart(customer, **quantities))
        return placed


@pytest.fixture
def shop(client: AsyncClient) -> Shop:
    return Shop(client)
