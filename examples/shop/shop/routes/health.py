"""Whether everything that the shop stands on answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import text

router = APIRouter()
SECONDS = 3


@router.get("/health")
async def health(request: Request, response: Response) -> dict[str, Any]:
    state = request.app.state
    checks = {
        "database": database(state.engine),
        "storage": state.storage.check(),
        "cache": state.cache.redis.ping(),
    }
    results = dict(zip(checks, await asyncio.gather(*map(outcome, checks.values())), strict=True))
    healthy = set(results.values()) == {"ok"}
    response.status_code = 200 if healthy else 503
    return {"status": "ok" if healthy else "unhealthy", **results}


async def database(engine: Any) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def outcome(check: Awaitable[Any]) -> str:
    """ "ok", or what kind of failure it was; its text may hold addresses, so it stays here."""
    try:
        async with asyncio.timeout(SECONDS):
            await check
    except Exception as error:  # whatever goes wrong is the answer
        return type(error).__name__
    return "ok"
