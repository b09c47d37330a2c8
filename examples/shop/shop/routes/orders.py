"""Orders: from a cart to the door."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from sqlalchemy import select, update

from shop.dependencies import CacheDep, Session, found
from shop.models import Address, Cart, Order, OrderEvent, OrderLine, OrderStatus, Payment, Price, Product, Shipment
from shop.schemas import NewOrder, NewPayment, NewShipment, OrderAnswer

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post("", status_code=201, response_model=OrderAnswer)
async def place(new: NewOrder, session: Session, cache: CacheDep) -> Order:
    """Turn a cart into an order at the prices of today, and take what it needs from the stock."""
    cart = await found(session, Cart, new.cart_id, lock=True)
    if not cart.lines:
        raise HTTPException(409, f"cart {cart.id} is empty")
    lines = await priced(session, cart)
    total = sum(line.quantity * line.cents for line in lines)
    order = Order(customer_id=cart.customer_id, total_cents=total, lines=lines)
    session.add(order)
    await take_stock(session, cart)
    await session.delete(cart)
    await session.flush()
    await session.refresh(order, ["status"])
    await session.commit()
    await cache.forget(*(f"product:{line.product_id}" for line in lines))
    return order


@router.get("/{order_id}", response_model=OrderAnswer)
async def get_order(order_id: int, session: Session) -> Order:
    return await found(session, Order, order_id)


@router.get("/{order_id}/history")
async def history(order_id: int, session: Session) -> list[OrderStatus]:
    """Every status the order ever had, as the trigger wrote them down."""
    await found(session, Order, order_id)
    statement = select(OrderEvent.after).where(OrderEvent.order_id == order_id).order_by(OrderEvent.id)
    return list(await session.scalars(statement))


@router.post("/{order_id}/payments", response_model=OrderAnswer)
async def pay(order_id: int, new: NewPayment, session: Session) -> Order:
    order = await advance(session, order_id, OrderStatus.PLACED, OrderStatus.PAID)
    if new.cents != order.total_cents:
        raise HTTPException(409, f"order {order_id} costs {order.total_cents} cents, not {new.cents}")
    session.add(Payment(order_id=order_id, **new.model_dump()))
    return order


@router.post("/{order_id}/shipment", response_model=OrderAnswer)
async def ship(order_id: int, new: NewShipment, session: Session) -> Order:
    order = await advance(session, order_id, OrderStatus.PAID, OrderStatus.SHIPPED)
    address = await found(session, Address, new.address_id)
    if address.customer_id != order.customer_id:
        raise HTTPException(409, f"address {address.id} belongs to another customer")
    session.add(Shipment(order_id=order_id, **new.model_dump()))
    return order


@router.post("/{order_id}/cancellation", response_model=OrderAnswer)
async def cancel(order_id: int, session: Session, cache: CacheDep) -> Order:
    """Cancel what is not yet paid, and put it back into the stock."""
    order = await advance(session, order_id, OrderStatus.PLACED, OrderStatus.CANCELLED)
    for line in order.lines:
        returned = update(Product).where(Product.id == line.product_id)
        await session.execute(returned.values(stock=Product.stock + line.quantity))
    await session.commit()
    await cache.forget(*(f"product:{line.product_id}" for line in order.lines))
    return order


async def priced(session: Session, cart: Cart) -> list[OrderLine]:
    products = [line.product_id for line in cart.lines]
    statement = select(Price.product_id, Price.cents).where(Price.product_id.in_(products), Price.valid_until.is_(None))
    cents = dict((await session.execute(statement)).all())
    return [
        OrderLine(product_id=line.product_id, quantity=line.quantity, cents=cents[line.product_id])
        for line in cart.lines
    ]


async def take_stock(session: Session, cart: Cart) -> None:
    """In the order of product ids, so that two orders at once cannot wait for each other in a circle."""
    for line in sorted(cart.lines, key=lambda line: line.product_id):
        enough = update(Product).where(Product.id == line.product_id, Product.stock >= line.quantity)
        taken = await session.scalar(enough.values(stock=Product.stock - line.quantity).returning(Product.id))
        if taken is None:
            raise HTTPException(409, f"product {line.product_id} is sold out")


async def advance(session: Session, order_id: int, before: OrderStatus, after: OrderStatus) -> Order:
    """Move an order on, once: whoever comes second finds it changed."""
    order = await found(session, Order, order_id, lock=True)
    if order.status != before:
        raise HTTPException(409, f"order {order_id} is {order.status}, not {before}")
    order.status = after
    return order
