from __future__ import annotations

import pytest
from httpx import AsyncClient

from tests.conftest import Shop

pytestmark = pytest.mark.anyio


async def test_a_new_customer_can_be_read_back(shop: Shop, client: AsyncClient) -> None:
    customer = await shop.customer()
    response = await client.get(f"/customers/{customer}")
    assert response.json() == {"id": customer, "email": "ada@example.org", "name": "Ada"}


async def test_one_email_is_one_customer_however_it_is_written(shop: Shop) -> None:
    await shop.customer("ada@example.org")
    refused = await shop.post("/customers", status=409, email="ADA@example.org", name="Ada")
    assert refused == {"detail": "refused by customers_email_lower_key"}


@pytest.mark.parametrize("email", ["", "ada", "a b@example.org", "@example.org", "ada@"])
async def test_what_is_no_email_is_refused(shop: Shop, email: str) -> None:
    await shop.post("/customers", status=422, email=email, name="Ada")


async def test_an_unknown_customer_is_not_found(client: AsyncClient) -> None:
    response = await client.get("/customers/999999999")
    assert (response.status_code, response.json()) == (404, {"detail": "no customer 999999999"})


async def test_addresses_come_in_the_order_they_were_added(shop: Shop, client: AsyncClient) -> None:
    customer = await shop.customer()
    added = [await shop.address(customer) for _ in range(3)]
    listed = (await client.get(f"/customers/{customer}/addresses")).json()
    assert [address["id"] for address in listed] == added
    assert {address["country"] for address in listed} == {"GB"}


async def test_an_address_needs_its_customer(shop: Shop) -> None:
    await shop.post("/customers/999999999/addresses", status=409, street="x", city="y", postcode="z")


async def test_a_country_is_two_capitals(shop: Shop) -> None:
    path = f"/customers/{await shop.customer()}/addresses"
    await shop.post(path, status=422, street="x", city="y", postcode="z", country="Britain")
