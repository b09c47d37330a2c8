from __future__ import annotations

import dataclasses

import pytest
from httpx import ASGITransport, AsyncClient
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shop.cache import Cache
from shop.main import create_app
from shop.settings import Settings
from shop.storage import Storage

pytestmark = pytest.mark.anyio


async def test_health_reports_all_three_servers(client: AsyncClient) -> None:
    response = await client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok", "storage": "ok", "cache": "ok"}


@pytest.mark.parametrize("broken", ["database", "storage", "cache"])
async def test_one_missing_server_makes_it_unhealthy_and_is_named(settings: Settings, broken: str) -> None:
    url = "postgresql+asyncpg://nobody@127.0.0.1:1/none" if broken == "database" else settings.database_url
    app = create_app(dataclasses.replace(settings, database_url=url))
    async with app.router.lifespan_context(app):
        unreachable = Redis(port=1, retry=Retry(NoBackoff(), 0))
        if broken == "storage":
            app.state.storage = Storage("no-bucket-has-this-name-0f4e")
        if broken == "cache":
            app.state.cache = Cache(unreachable)
        async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as client:
            response = await client.get("/health")
        await unreachable.aclose()
    assert response.status_code == 503
    failing = {name for name, outcome in response.json().items() if outcome not in ("ok", "unhealthy")}
    assert failing == {broken}


def test_a_missing_variable_is_named_with_the_remedy() -> None:
    with pytest.raises(SystemExit, match="REDIS_URL is not set: start the shop with `envctl dev run`"):
        Settings.from_environment({"DATABASE_URL": "postgresql://x"})


def test_settings_hide_their_secrets_when_they_are_printed() -> None:
    settings = Settings("postgresql://ada:s3cret@h/d", "redis://:s3cret@h", "bucket")
    assert "s3cret" not in repr(settings)
