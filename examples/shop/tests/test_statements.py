from __future__ import annotations

from datetime import UTC, datetime

import pytest
from httpx import AsyncClient

from tests.conftest import Shop

pytestmark = pytest.mark.anyio


async def test_a_statement_lists_the_orders_of_its_month(shop: Shop, client: AsyncClient) -> None:
    customer = await shop.customer()
    order = await shop.order(customer, SAW=2)
    now = datetime.now(UTC)
    path = f"/customers/{customer}/statements/{now.year}/{now.month}"
    assert (await client.put(path)).status_code == 201
    statement = await client.get(path)
    assert statement.text == f"order,status,cents\n{order['id']},placed,3000\n"
    assert statement.headers["content-type"].startswith("text/csv")


async def test_the_last_month_of_a_year_ends_with_the_year(shop: Shop, client: AsyncClient) -> None:
    customer = await shop.customer()
    path = f"/customers/{customer}/statements/2020/12"
    await client.put(path)
    assert (await client.get(path)).text == "order,status,cents\n"


async def test_a_statement_may_be_written_again(shop: Shop, client: AsyncClient) -> None:
    path = f"/customers/{await shop.customer()}/statements/2020/1"
    keys = {(await client.put(path)).json()["key"] for _ in range(2)}
    assert len(keys) == 1


async def test_a_month_without_a_statement_is_not_found(shop: Shop, client: AsyncClient) -> None:
    customer = await shop.customer()
    assert (await client.get(f"/customers/{customer}/statements/2020/1")).status_code == 404
    assert (await client.get(f"/customers/{customer}/statements/2020/13")).status_code == 422
