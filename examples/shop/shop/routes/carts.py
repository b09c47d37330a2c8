"""Carts: what somebody means to buy."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from shop.dependencies import Session, found
from shop.models import Cart, CartLine
from shop.schemas import CartAnswer, NewCart, NewLine

router = APIRouter(prefix="/carts", tags=["carts"])


@router.post("", status_code=201, response_model=CartAnswer)
async def add_cart(new: NewCart, session: Session) -> Cart:
    cart = Cart(customer_id=new.customer_id, lines=[])
    session.add(cart)
    await session.flush()
    return cart


@router.get("/{cart_id}", response_model=CartAnswer)
async def get_cart(cart_id: int, session: Session) -> Cart:
    return await found(session, Cart, cart_id)


@router.put("/{cart_id}/lines/{product_id}", response_model=CartAnswer)
async def put_line(cart_id: int, product_id: int, new: NewLine, session: Session) -> Cart:
    """Set how many of a product are in the cart; saying it twice changes nothing."""
    await found(session, Cart, cart_id)
    line = insert(CartLine).values(cart_id=cart_id, product_id=product_id, quantity=new.quantity)
    await session.execute(line.on_conflict_do_update(index_elements=["cart_id", "product_id"], set_=new.model_dump()))
    return await reloaded(session, cart_id)


@router.delete("/{cart_id}/lines/{product_id}", response_model=CartAnswer)
async def delete_line(cart_id: int, product_id: int, session: Session) -> Cart:
    await found(session, Cart, cart_id)
    await session.execute(delete(CartLine).where(CartLine.cart_id == cart_id, CartLine.product_id == product_id))
    return await reloaded(session, cart_id)


async def reloaded(session: Session, cart_id: int) -> Cart:
    session.expire_all()
    return await found(session, Cart, cart_id)
