"""The application: what it opens when it starts, closes when it ends, and serves between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from redis.asyncio import Redis
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from shop.cache import Cache
from shop.dependencies import limited
from shop.routes import carts, catalogue, customers, health, orders, statements
from shop.settings import Settings
from shop.storage import Storage


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; without settings it reads them from the environment when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        chosen = settings or Settings.from_environment()
        engine = create_async_engine(chosen.database_url)
        redis = Redis.from_url(chosen.redis_url, decode_responses=True)
        app.state.settings = chosen
        app.state.engine = engine
        app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
        app.state.cache = Cache(redis, chosen.prefix)
        app.state.storage = Storage(chosen.s3_bucket, chosen.prefix)
        try:
            yield
        finally:
            await redis.aclose()
            await engine.dispose()

    app = FastAPI(title="shop", lifespan=lifespan)
    app.add_exception_handler(IntegrityError, conflict)
    app.include_router(health.router)
    for routes in (catalogue, customers, carts, orders, statements):
        app.include_router(routes.router, dependencies=[Depends(limited)])
    return app


async def conflict(_: Request, error: Exception) -> JSONResponse:
    """What the database refuses is the client's mistake: it has the last word on what fits together."""
    cause = getattr(getattr(error, "orig", None), "__cause__", None)
    constraint = getattr(cause, "constraint_name", None) or "constraint"
    return JSONResponse({"detail": f"refused by {constraint}"}, status_code=409)


app = create_app()
