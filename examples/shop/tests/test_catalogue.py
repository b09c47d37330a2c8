from __future__ import annotations

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shop.embeddings import embed
from shop.models import DIMENSIONS, Price, Product
from tests.conftest import Shop

pytestmark = pytest.mark.anyio


async def test_a_product_is_answered_with_its_price_of_today(shop: Shop, client: AsyncClient) -> None:
    product = await shop.product("SAW-1", cents=1999)
    answer = (await client.get(f"/products/{product}")).json()
    assert (answer["sku"], answer["cents"], answer["stock"]) == ("SAW-1", 1999, 10)


async def test_a_sku_is_taken_once(shop: Shop) -> None:
    category = await shop.category()
    await shop.product("SAW-1", category_id=category)
    body = {"sku": "SAW-1", "name": "Another", "cents": 1, "category_id": category}
    assert (await shop.post("/products", status=409, **body))["detail"] == "refused by products_sku_key"


@pytest.mark.parametrize("wrong", [{"cents": 0}, {"stock": -1}, {"sku": "no spaces"}, {"name": " "}])
async def test_a_product_that_makes_no_sense_is_refused(shop: Shop, wrong: dict[str, object]) -> None:
    body = {"sku": "SAW-1", "name": "Saw", "cents": 1, "category_id": await shop.category(), **wrong}
    await shop.post("/products", status=422, **body)


async def test_a_category_has_a_place_in_the_tree(shop: Shop) -> None:
    tools = await shop.category("tools")
    saws = await shop.post("/categories", slug="saws", name="Saws", parent_id=tools)
    assert saws["parent_id"] == tools


async def test_search_finds_words_in_any_form_the_best_first(shop: Shop, client: AsyncClient) -> None:
    category = await shop.category()
    await shop.product("OIL", name="Oil", description="For hinges", category_id=category)
    await shop.product("SAW", name="Hand saw", description="Cuts oak", category_id=category)
    await shop.product("SAWS", name="Saws", description="Saws for cutting all kinds of saw logs", category_id=category)
    found = (await client.get("/products", params={"q": "sawing"})).json()
    assert [product["sku"] for product in found] == ["SAWS", "SAW"]


async def test_a_new_price_replaces_the_old_one_and_leaves_it_in_the_history(
    shop: Shop, client: AsyncClient, connection: AsyncConnection
) -> None:
    product = await shop.product(cents=1500)
    changed = await client.put(f"/products/{product}/price", json={"cents": 1200})
    assert changed.json()["cents"] == 1200
    history = await connection.execute(
        select(Price.cents, Price.valid_until.is_(None)).where(Price.product_id == product)
    )
    assert sorted(history) == [(1200, True), (1500, False)]


async def test_a_price_needs_its_product(client: AsyncClient) -> None:
    assert (await client.put("/products/999999999/price", json={"cents": 1})).status_code == 404


async def test_the_second_reading_comes_from_the_cache(
    shop: Shop, client: AsyncClient, connection: AsyncConnection
) -> None:
    product = await shop.product(name="Hand saw")
    first = (await client.get(f"/products/{product}")).json()
    await connection.execute(update(Product).where(Product.id == product).values(name="changed behind its back"))
    assert (await client.get(f"/products/{product}")).json() == first


async def test_a_new_price_is_seen_at_once_although_the_old_one_was_cached(shop: Shop, client: AsyncClient) -> None:
    product = await shop.product(cents=1500)
    await client.get(f"/products/{product}")
    await client.put(f"/products/{product}/price", json={"cents": 1200})
    assert (await client.get(f"/products/{product}")).json()["cents"] == 1200


async def test_similar_products_share_words(shop: Shop, client: AsyncClient) -> None:
    category = await shop.category()
    saw = await shop.product("SAW-1", name="Hand saw", description="steel teeth for oak", category_id=category)
    await shop.product("TEA-1", name="Green tea", description="leaves from the hills", category_id=category)
    await shop.product("SAW-2", name="Bow saw", description="steel teeth for logs", category_id=category)
    nearest = (await client.get(f"/products/{saw}/similar", params={"limit": 1})).json()
    assert [product["sku"] for product in nearest] == ["SAW-2"]


@pytest.mark.parametrize("words", ["", "saw", "a b c d e f g", "säge 🪚"])
def test_an_embedding_has_the_length_of_one(words: str) -> None:
    vector = embed(words)
    assert len(vector) == DIMENSIONS
    assert sum(value * value for value in vector) == pytest.approx(1)


async def test_an_image_comes_back_as_it_was_sent(shop: Shop, client: AsyncClient) -> None:
    product = await shop.product()
    body = bytes(range(256)) * 100
    sent = await client.put(f"/products/{product}/image", content=body, headers={"content-type": "image/png"})
    assert sent.status_code == 204
    image = await client.get(f"/products/{product}/image")
    assert (image.content, image.headers["content-type"]) == (body, "image/png")


async def test_a_second_image_replaces_the_first(shop: Shop, client: AsyncClient) -> None:
    path = f"/products/{await shop.product()}/image"
    for body in (b"first", b"second"):
        await client.put(path, content=body, headers={"content-type": "image/gif"})
    assert (await client.get(path)).content == b"second"


async def test_only_images_are_taken(shop: Shop, client: AsyncClient) -> None:
    path = f"/products/{await shop.product()}/image"
    refused = await client.put(path, content=b"#!/bin/sh", headers={"content-type": "text/plain"})
    assert refused.status_code == 415


async def test_an_image_that_is_too_large_is_refused_before_it_is_read(shop: Shop, client: AsyncClient) -> None:
    path = f"/products/{await shop.product()}/image"
    headers = {"content-type": "image/png", "content-length": str(6 * 1024 * 1024)}
    assert (await client.put(path, content=b"", headers=headers)).status_code == 413


async def test_a_product_without_an_image_has_none(shop: Shop, client: AsyncClient) -> None:
    assert (await client.get(f"/products/{await shop.product()}/image")).status_code == 404


async def test_reviews_are_counted_and_averaged(shop: Shop, client: AsyncClient) -> None:
    product = await shop.product()
    assert (await client.get(f"/products/{product}/reviews")).json() == {"count": 0, "average": None}
    for rating, email in ((5, "a@example.org"), (2, "b@example.org")):
        await shop.post(f"/products/{product}/reviews", customer_id=await shop.customer(email), rating=rating)
    assert (await client.get(f"/products/{product}/reviews")).json() == {"count": 2, "average": 3.5}


async def test_a_customer_reviews_a_product_once(shop: Shop) -> None:
    review = {"customer_id": await shop.customer(), "rating": 4}
    path = f"/products/{await shop.product()}/reviews"
    await shop.post(path, **review)
    await shop.post(path, status=409, **review)


async def test_who_calls_too_often_is_told_to_wait(app: FastAPI, client: AsyncClient) -> None:
    allowed = app.state.settings.requests_per_minute
    await app.state.cache.redis.set(f"{app.state.cache.prefix}calls:127.0.0.1", allowed - 1, ex=60)
    assert (await client.get("/products")).status_code == 200
    refused = await client.get("/products")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert (await client.get("/health")).status_code == 200
