from __future__ import annotations

import pytest
from httpx import AsyncClient

from tests.conftest import Shop

pytestmark = pytest.mark.anyio


async def test_a_line_said_twice_is_one_line(shop: Shop, client: AsyncClient) -> None:
    cart = await shop.cart(await shop.customer())
    product = await shop.product()
    for quantity in (1, 3):
        answer = await client.put(f"/carts/{cart}/lines/{product}", json={"quantity": quantity})
    assert answer.json()["lines"] == [{"product_id": product, "quantity": 3}]


async def test_a_line_can_be_taken_out_again_and_again(shop: Shop, client: AsyncClient) -> None:
    cart = await shop.cart(await shop.customer(), SAW=1)
    (line,) = (await client.get(f"/carts/{cart}")).json()["lines"]
    for _ in range(2):
        answer = await client.delete(f"/carts/{cart}/lines/{line['product_id']}")
        assert answer.json()["lines"] == []


async def test_an_order_has_the_lines_of_its_cart_at_the_prices_of_today(shop: Shop, client: AsyncClient) -> None:
    order = await shop.order(await shop.customer(), SAW=2, OIL=1)
    assert order["total_cents"] == 4500
    assert [line["quantity"] for line in order["lines"]] == [2, 1]
    assert (await client.get(f"/orders/{order['id']}")).json() == order


async def test_a_later_price_does_not_change_an_order(shop: Shop, client: AsyncClient) -> None:
    order = await shop.order(await shop.customer(), SAW=1)
    await client.put(f"/products/{order['lines'][0]['product_id']}/price", json={"cents": 9999})
    assert (await client.get(f"/orders/{order['id']}")).json()["total_cents"] == 1500


async def test_a_cart_is_ordered_once(shop: Shop) -> None:
    cart = await shop.cart(await shop.customer(), SAW=1)
    await shop.post("/orders", cart_id=cart)
    assert await shop.post("/orders", status=404, cart_id=cart) == {"detail": f"no cart {cart}"}


async def test_an_empty_cart_cannot_be_ordered(shop: Shop) -> None:
    await shop.post("/orders", status=409, cart_id=await shop.cart(await shop.customer()))


async def test_an_order_takes_from_the_stock_and_a_cancellation_gives_back(shop: Shop, client: AsyncClient) -> None:
    order = await shop.order(await shop.customer(), SAW=4)
    product = order["lines"][0]["product_id"]
    assert (await client.get(f"/products/{product}")).json()["stock"] == 6
    await shop.post(f"/orders/{order['id']}/cancellation", status=200)
    assert (await client.get(f"/products/{product}")).json()["stock"] == 10


async def test_what_is_sold_out_leaves_stock_and_cart_as_they_were(shop: Shop, client: AsyncClient) -> None:
    cart = await shop.cart(await shop.customer(), SAW=4, OIL=11)
    refused = await shop.post("/orders", status=409, cart_id=cart)
    assert refused["detail"].endswith("is sold out")
    lines = (await client.get(f"/carts/{cart}")).json()["lines"]
    stocks = [(await client.get(f"/products/{line['product_id']}")).json()["stock"] for line in lines]
    assert stocks == [10, 10]


async def test_an_order_is_paid_shipped_and_every_step_is_recorded(shop: Shop, client: AsyncClient) -> None:
    customer = await shop.customer()
    order = (await shop.order(customer, SAW=1))["id"]
    await shop.post(f"/orders/{order}/payments", status=200, reference="bank-1", cents=1500)
    address = await shop.address(customer)
    shipped = await shop.post(f"/orders/{order}/shipment", status=200, address_id=address, tracking="T1")
    assert shipped["status"] == "shipped"
    assert (await client.get(f"/orders/{order}/history")).json() == ["placed", "paid", "shipped"]


async def test_an_order_is_paid_once(shop: Shop) -> None:
    order = (await shop.order(await shop.customer(), SAW=1))["id"]
    await shop.post(f"/orders/{order}/payments", status=200, reference="bank-1", cents=1500)
    await shop.post(f"/orders/{order}/payments", status=409, reference="bank-2", cents=1500)


async def test_half_a_payment_leaves_the_order_unpaid(shop: Shop, client: AsyncClient) -> None:
    order = (await shop.order(await shop.customer(), SAW=1))["id"]
    await shop.post(f"/orders/{order}/payments", status=409, reference="bank-1", cents=750)
    assert (await client.get(f"/orders/{order}")).json()["status"] == "placed"


async def test_the_bank_does_not_pay_two_orders_with_one_reference(shop: Shop) -> None:
    customer = await shop.customer()
    first, second = [(await shop.order(customer, **{sku: 1}))["id"] for sku in ("SAW", "OIL")]
    await shop.post(f"/orders/{first}/payments", status=200, reference="bank-1", cents=1500)
    refused = await shop.post(f"/orders/{second}/payments", status=409, reference="bank-1", cents=1500)
    assert refused == {"detail": "refused by payments_reference_key"}


async def test_an_order_is_not_shipped_before_it_is_paid(shop: Shop) -> None:
    customer = await shop.customer()
    order = (await shop.order(customer, SAW=1))["id"]
    address = await shop.address(customer)
    await shop.post(f"/orders/{order}/shipment", status=409, address_id=address, tracking="T1")


async def test_an_order_is_not_shipped_to_somebody_else(shop: Shop) -> None:
    order = (await shop.order(await shop.customer(), SAW=1))["id"]
    await shop.post(f"/orders/{order}/payments", status=200, reference="bank-1", cents=1500)
    elsewhere = await shop.address(await shop.customer("bob@example.org"))
    await shop.post(f"/orders/{order}/shipment", status=409, address_id=elsewhere, tracking="T1")


async def test_a_paid_order_cannot_be_cancelled(shop: Shop) -> None:
    order = (await shop.order(await shop.customer(), SAW=1))["id"]
    await shop.post(f"/orders/{order}/payments", status=200, reference="bank-1", cents=1500)
    await shop.post(f"/orders/{order}/cancellation", status=409)
