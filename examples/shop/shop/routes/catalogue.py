"""Categories and products: what there is, what it costs, what people say of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from sqlalchemy import Row, Select, func, select, update

from shop.dependencies import CacheDep, Session, StorageDep, found
from shop.embeddings import embed
from shop.models import Category, Price, Product, ProductEmbedding, Review
from shop.schemas import (
    CategoryAnswer,
    NewCategory,
    NewPrice,
    NewProduct,
    NewReview,
    ProductAnswer,
    ReviewSummary,
)

router = APIRouter(tags=["catalogue"])
LARGEST_IMAGE = 5 * 1024 * 1024


@router.post("/categories", status_code=201, response_model=CategoryAnswer)
async def add_category(new: NewCategory, session: Session) -> Category:
    category = Category(**new.model_dump())
    session.add(category)
    await session.flush()
    return category


@router.post("/products", status_code=201)
async def add_product(new: NewProduct, session: Session) -> ProductAnswer:
    product = Product(**new.model_dump(exclude={"cents"}))
    session.add(product)
    await session.flush()
    session.add(Price(product_id=product.id, cents=new.cents))
    session.add(ProductEmbedding(product_id=product.id, embedding=embed(f"{new.name} {new.description}")))
    await session.flush()
    return await one(session, product.id)


@router.get("/products")
async def list_products(
    session: Session, q: str | None = None, limit: int = Query(50, ge=1, le=200)
) -> list[ProductAnswer]:
    """All products, or those whose words match `q`, the best first."""
    statement = current().order_by(Product.id).limit(limit)
    if q:
        words = func.websearch_to_tsquery("english", q)
        matches = Product.search.op("@@")(words)
        statement = statement.where(matches).order_by(None).order_by(func.ts_rank(Product.search, words).desc())
    return [answer(row) for row in await session.execute(statement)]


@router.get("/products/{product_id}")
async def get_product(product_id: int, session: Session, cache: CacheDep) -> ProductAnswer:
    async def compute() -> Any:
        return (await one(session, product_id)).model_dump()

    return ProductAnswer.model_validate(await cache.remember(f"product:{product_id}", compute))


@router.put("/products/{product_id}/price")
async def set_price(product_id: int, new: NewPrice, session: Session, cache: CacheDep) -> ProductAnswer:
    """End the price of today and start the new one; the lock makes two at once wait for each other."""
    await found(session, Product, product_id, lock=True)
    ended = update(Price).where(Price.product_id == product_id, Price.valid_until.is_(None))
    await session.execute(ended.values(valid_until=func.now()))
    session.add(Price(product_id=product_id, cents=new.cents))
    changed = await one(session, product_id)
    await session.commit()
    await cache.forget(f"product:{product_id}")
    return changed


@router.get("/products/{product_id}/similar")
async def similar(product_id: int, session: Session, limit: int = Query(5, ge=1, le=50)) -> list[ProductAnswer]:
    origin = await found(session, ProductEmbedding, product_id)
    nearest = (
        current()
        .join(ProductEmbedding, ProductEmbedding.product_id == Product.id)
        .where(Product.id != product_id)
        .order_by(ProductEmbedding.embedding.cosine_distance(origin.embedding), Product.id)
    )
    return [answer(row) for row in await session.execute(nearest.limit(limit))]


@router.put("/products/{product_id}/image", status_code=204)
async def put_image(product_id: int, request: Request, session: Session, storage: StorageDep) -> None:
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("image/"):
        raise HTTPException(415, "send an image, with its content type")
    if int(request.headers.get("content-length", LARGEST_IMAGE + 1)) > LARGEST_IMAGE:
        raise HTTPException(413, f"an image has at most {LARGEST_IMAGE} bytes, said in content-length")
    product = await found(session, Product, product_id)
    product.image_key = f"products/{product_id}/image"
    await storage.put(product.image_key, await request.body(), content_type)


@router.get("/products/{product_id}/image")
async def get_image(product_id: int, session: Session, storage: StorageDep) -> Response:
    product = await found(session, Product, product_id)
    image = await storage.get(product.image_key) if product.image_key else None
    if image is None:
        raise HTTPException(404, f"product {product_id} has no image")
    body, content_type = image
    return Response(body, media_type=content_type)


@router.post("/products/{product_id}/reviews", status_code=201)
async def add_review(product_id: int, new: NewReview, session: Session, cache: CacheDep) -> ReviewSummary:
    session.add(Review(product_id=product_id, **new.model_dump()))
    answered = ReviewSummary(**await summary(session, product_id))
    await session.commit()
    await cache.forget(f"reviews:{product_id}")
    return answered


@router.get("/products/{product_id}/reviews")
async def reviews(product_id: int, session: Session, cache: CacheDep) -> ReviewSummary:
    return ReviewSummary(**await cache.remember(f"reviews:{product_id}", lambda: summary(session, product_id)))


async def summary(session: Session, product_id: int) -> dict[str, Any]:
    statement = select(func.count(), func.avg(Review.rating)).where(Review.product_id == product_id)
    count, average = (await session.execute(statement)).one()
    return {"count": count, "average": None if average is None else float(average)}


def current() -> Select[Product, int]:
    """Products with the price of today."""
    return select(Product, Price.cents).join(Price).where(Price.valid_until.is_(None))


async def one(session: Session, product_id: int) -> ProductAnswer:
    row = (await session.execute(current().where(Product.id == product_id))).one_or_none()
    if row is None:
        raise HTTPException(404, f"no product {product_id}")
    return answer(row)


def answer(row: Row[Product, int]) -> ProductAnswer:
    product, cents = row
    return ProductAnswer(
        id=product.id,
        sku=product.sku,
        name=product.name,
        description=product.description,
        stock=product.stock,
        cents=cents,
    )
