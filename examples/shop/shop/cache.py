"""Redis: answers that are kept for a while, and how often somebody called."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

SECONDS_KEPT = 60
WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Cache:
    redis: Redis
    prefix: str = ""

    async def remember(self, key: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        """The kept answer, or else a computed one that is kept from now on."""
        kept = await self.redis.get(self.prefix + key)
        if kept is not None:
            return json.loads(kept)
        answer = await compute()
        await self.redis.set(self.prefix + key, json.dumps(answer), ex=SECONDS_KEPT)
        return answer

    async def forget(self, *keys: str) -> None:
        await self.redis.delete(*(self.prefix + key for key in keys))

    async def count(self, who: str) -> int:
        """How many calls `who` made in this window, this one included."""
        key = f"{self.prefix}calls:{who}"
        async with self.redis.pipeline(transaction=True) as steps:
            steps.incr(key)
            steps.expire(key, WINDOW_SECONDS, nx=True)
            calls, _ = await steps.execute()
        return int(calls)
