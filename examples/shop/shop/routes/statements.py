"""Monthly statements: written once into S3, read from there afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime

from fastapi import APIRouter, HTTPException, Response
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shop.dependencies import Session, StorageDep, found
from shop.models import Customer, Order, Statement

router = APIRouter(prefix="/customers/{customer_id}/statements", tags=["statements"])


@router.put("/{year}/{month}", status_code=201)
async def write(customer_id: int, year: int, month: int, session: Session, storage: StorageDep) -> dict[str, str]:
    customer = await found(session, Customer, customer_id)
    first = first_day(year, month)
    text = await render(session, customer, first)
    key = f"statements/{customer_id}/{first:%Y-%m}.csv"
    await storage.put(key, text.encode(), "text/csv")
    row = insert(Statement).values(customer_id=customer_id, month=first, key=key)
    await session.execute(row.on_conflict_do_nothing())
    return {"key": key}


@router.get("/{year}/{month}")
async def read(customer_id: int, year: int, month: int, session: Session, storage: StorageDep) -> Response:
    first = first_day(year, month)
    statement = select(Statement.key).where(Statement.customer_id == customer_id, Statement.month == first)
    key = await session.scalar(statement)
    stored = await storage.get(key) if key else None
    if stored is None:
        raise HTTPException(404, f"no statement for {first:%Y-%m}")
    return Response(stored[0], media_type=stored[1])


async def render(session: Session, customer: Customer, first: date) -> str:
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    end = datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=UTC)
    orders = (
        select(Order)
        .where(Order.customer_id == customer.id, Order.created_at >= start, Order.created_at < end)
        .order_by(Order.id)
    )
    rows = [f"{order.id},{order.status},{order.total_cents}" for order in await session.scalars(orders)]
    return "\n".join(["order,status,cents", *rows, ""])


def first_day(year: int, month: int) -> date:
    try:
        return date(year, month, 1)
    except ValueError as error:
        raise HTTPException(422, f"{year}/{month} is not a month") from error
