"""What a route may ask for: a session in a transaction, the cache, the storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

from fastapi import Depends, HTTPException, Request
from sqlalchemy.ext.asyncio import AsyncSession

from shop.cache import Cache
from shop.models import Base
from shop.settings import Settings
from shop.storage import Storage

T = TypeVar("T", bound=Base)


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction for one request: committed if the route returned, rolled back if it raised.

    A route that changes what the cache holds commits by itself, and makes the cache forget after that.
    """
    async with request.app.state.sessions() as opened:
        yield opened
        await opened.commit()


def cache(request: Request) -> Cache:
    return request.app.state.cache  # type: ignore[no-any-return]


def storage(request: Request) -> Storage:
    return request.app.state.storage  # type: ignore[no-any-return]


# `scope="function"` ends the transaction before the answer is sent, so that a client who has the answer finds the data.
Session = Annotated[AsyncSession, Depends(session, scope="function")]
CacheDep = Annotated[Cache, Depends(cache)]
StorageDep = Annotated[Storage, Depends(storage)]


async def limited(request: Request, counter: CacheDep) -> None:
    """Refuse a client that calls too often."""
    settings: Settings = request.app.state.settings
    who = request.client.host if request.client else "unknown"
    if await counter.count(who) > settings.requests_per_minute:
        raise HTTPException(429, "too many requests: wait a minute", headers={"Retry-After": "60"})


async def found(opened: AsyncSession, kind: type[T], key: int, *, lock: bool = False) -> T:
    """The row with that key, or the answer 404."""
    row = await opened.get(kind, key, with_for_update=lock or None)
    if row is None:
        raise HTTPException(404, f"no {kind.__name__.lower()} {key}")
    return row
