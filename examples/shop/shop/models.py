"""The tables, as SQLAlchemy sees them. The migrations are their history; a test holds the two equal."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

DIMENSIONS = 64


class OrderStatus(StrEnum):
    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        int: BigInteger,
        datetime: DateTime(timezone=True),
        OrderStatus: Enum(
            OrderStatus, name="order_status", values_callable=lambda kinds: [kind.value for kind in kinds]
        ),
    }


class Row(Base):
    """What nearly every table has."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Customer(Row):
    __tablename__ = "customers"
    __table_args__ = (Index("customers_email_lower_key", text("lower(email)"), unique=True),)

    email: Mapped[str]
    name: Mapped[str]

    addresses: Mapped[list[Address]] = relationship(back_populates="customer")


class Address(Row):
    __tablename__ = "addresses"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), index=True)
    street: Mapped[str]
    city: Mapped[str]
    postcode: Mapped[str]
    country: Mapped[str] = mapped_column(server_default="GB")

    customer: Mapped[Customer] = relationship(back_populates="addresses")


class Category(Row):
    __tablename__ = "categories"
    __table_args__ = (UniqueConstraint("slug"),)

    slug: Mapped[str]
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))


class Product(Row):
    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("sku"),
        CheckConstraint("stock >= 0", name="stock"),
        Index("products_search_idx", "search", postgresql_using="gin"),
    )

    sku: Mapped[str]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    category_id: Mapped[int] = mapped_column(ForeignKey("categories.id"), index=True)
    stock: Mapped[int] = mapped_column(server_default="0")
    image_key: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    search: Mapped[str] = mapped_column(
        TSVECTOR, Computed("to_tsvector('english', name || ' ' || description)", persisted=True), deferred=True
    )

    prices: Mapped[list[Price]] = relationship(back_populates="product")


class Price(Row):
    """A price holds until the next one replaces it; the one without an end is the price of today."""

    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint("cents > 0", name="cents"),
        Index("prices_current_key", "product_id", unique=True, postgresql_where=text("valid_until IS NULL")),
    )

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"), index=True)
    cents: Mapped[int]
    valid_until: Mapped[datetime | None]

    product: Mapped[Product] = relationship(back_populates="prices")


class ProductEmbedding(Base):
    __tablename__ = "product_embeddings"
    __table_args__ = (
        Index(
            "product_embeddings_embedding_idx",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
    )

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"), primary_key=True)
    embedding: Mapped[list[float]] = mapped_column(Vector(DIMENSIONS))


class Cart(Row):
    __tablename__ = "carts"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), index=True)

    lines: Mapped[list[CartLine]] = relationship(
        lazy="selectin", order_by="CartLine.product_id", cascade="all, delete-orphan", passive_deletes=True
    )


class CartLine(Base):
    __tablename__ = "cart_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    cart_id: Mapped[int] = mapped_column(ForeignKey("carts.id", ondelete="CASCADE"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    quantity: Mapped[int]


class Order(Row):
    __tablename__ = "orders"
    __table_args__ = (CheckConstraint("total_cents >= 0", name="total"),)

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    status: Mapped[OrderStatus] = mapped_column(server_default=OrderStatus.PLACED.value)
    total_cents: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    lines: Mapped[list[OrderLine]] = relationship(lazy="selectin", order_by="OrderLine.product_id")


class OrderLine(Base):
    __tablename__ = "order_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    quantity: Mapped[int]
    cents: Mapped[int]


class OrderEvent(Row):
    """Written by a trigger, so that no way of changing an order goes unrecorded."""

    __tablename__ = "order_events"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    before: Mapped[OrderStatus | None]
    after: Mapped[OrderStatus]


class Payment(Row):
    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("reference"), CheckConstraint("cents > 0", name="cents"))

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    reference: Mapped[str]
    cents: Mapped[int]


class Shipment(Row):
    __tablename__ = "shipments"
    __table_args__ = (UniqueConstraint("order_id"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    address_id: Mapped[int] = mapped_column(ForeignKey("addresses.id"))
    tracking: Mapped[str]


class Review(Row):
    __tablename__ = "reviews"
    __table_args__ = (
        UniqueConstraint("product_id", "customer_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
    )

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    rating: Mapped[int]
    body: Mapped[str] = mapped_column(server_default="")


class Statement(Row):
    """What a customer spent in a month; the text itself is an object in S3."""

    __tablename__ = "statements"
    __table_args__ = (UniqueConstraint("customer_id", "month"),)

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    month: Mapped[date]
    key: Mapped[str]
