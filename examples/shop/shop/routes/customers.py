"""Customers and where they live."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy import select

from shop.dependencies import Session, found
from shop.models import Address, Customer
from shop.schemas import AddressAnswer, CustomerAnswer, NewAddress, NewCustomer

router = APIRouter(prefix="/customers", tags=["customers"])


@router.post("", status_code=201, response_model=CustomerAnswer)
async def add_customer(new: NewCustomer, session: Session) -> Customer:
    customer = Customer(**new.model_dump())
    session.add(customer)
    await session.flush()
    return customer


@router.get("/{customer_id}", response_model=CustomerAnswer)
async def get_customer(customer_id: int, session: Session) -> Customer:
    return await found(session, Customer, customer_id)


@router.post("/{customer_id}/addresses", status_code=201, response_model=AddressAnswer)
async def add_address(customer_id: int, new: NewAddress, session: Session) -> Address:
    address = Address(customer_id=customer_id, **new.model_dump())
    session.add(address)
    await session.flush()
    return address


@router.get("/{customer_id}/addresses", response_model=list[AddressAnswer])
async def addresses(customer_id: int, session: Session) -> Sequence[Address]:
    await found(session, Customer, customer_id)
    statement = select(Address).where(Address.customer_id == customer_id).order_by(Address.id)
    return (await session.scalars(statement)).all()
