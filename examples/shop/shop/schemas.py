"""What goes in and out over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shop.models import OrderStatus

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
Quantity = Annotated[int, Field(gt=0, le=1000)]
Cents = Annotated[int, Field(gt=0, le=100_000_000)]


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewCustomer(BaseModel):
    email: Email
    name: Text


class CustomerAnswer(Answer):
    id: int
    email: str
    name: str


class NewAddress(BaseModel):
    street: Text
    city: Text
    postcode: Text
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "GB"


class AddressAnswer(Answer):
    id: int
    street: str
    city: str
    postcode: str
    country: str


class NewCategory(BaseModel):
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,60}$")]
    name: Text
    parent_id: int | None = None


class CategoryAnswer(Answer):
    id: int
    slug: str
    name: str
    parent_id: int | None


class NewProduct(BaseModel):
    sku: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9-]{1,40}$")]
    name: Text
    description: str = Field("", max_length=5000)
    category_id: int
    cents: Cents
    stock: int = Field(0, ge=0)


class NewPrice(BaseModel):
    cents: Cents


class ProductAnswer(BaseModel):
    id: int
    sku: str
    name: str
    description: str
    stock: int
    cents: int


class NewReview(BaseModel):
    customer_id: int
    rating: int = Field(ge=1, le=5)
    body: str = Field("", max_length=5000)


class ReviewSummary(BaseModel):
    count: int
    average: float | None


class NewCart(BaseModel):
    customer_id: int


class NewLine(BaseModel):
    quantity: Quantity


class LineAnswer(Answer):
    product_id: int
    quantity: int


class CartAnswer(Answer):
    id: int
    customer_id: int
    lines: list[LineAnswer]


class NewOrder(BaseModel):
    cart_id: int


class OrderLineAnswer(LineAnswer):
    cents: int


class OrderAnswer(Answer):
    id: int
    customer_id: int
    status: OrderStatus
    total_cents: int
    lines: list[OrderLineAnswer]


class NewPayment(BaseModel):
    reference: Text
    cents: Cents


class NewShipment(BaseModel):
    address_id: int
    tracking: Text
