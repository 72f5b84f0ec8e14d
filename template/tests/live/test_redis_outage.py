# {% from "includes/unasync.jinja" import unasync with context %}
"""Outages of Redis: the circuit breaker, and the keys that are deleted afterwards."""

# {% call unasync() %}
import os
from collections.abc import AsyncIterator, Awaitable, Callable
# {% if sqlalchemy == "sync" %}
from time import monotonic, sleep
# {% else %}
from time import monotonic
# {% endif %}
from typing import Any
from urllib.parse import urlsplit

import pytest
from anyio import sleep, to_thread
from fastapi import FastAPI
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.core.cache.redis import RedisUnavailable
from app.core.cache.store import Cache
from app.main import create_app
from tests.client import serve
from tests.live import Proxy
from tests.settings import make_settings


@pytest.fixture
def url() -> str:
    """Return the URL of Redis."""
    return os.environ["REDIS_URL"]


@pytest.fixture
def proxy(url: str) -> Proxy:
    """Return a proxy in front of Redis."""
    return Proxy("127.0.0.1", urlsplit(url).port or 6379)


@pytest.fixture
def build(lasting_url: str, url: str, proxy: Proxy) -> Callable[..., FastAPI]:
    """Return a function that builds an application behind the proxy."""
    usual: dict[str, Any] = {
        "redis_probe_seconds": 0.1,
        "redis_timeout_seconds": 1,
        "redis_url": url.replace(f":{urlsplit(url).port}", f":{proxy.port}"),
    }

    def build(**values: Any) -> FastAPI:
        return create_app(make_settings(lasting_url, **(usual | values)))

    return build


@pytest.fixture
async def direct(url: str) -> AsyncIterator[Redis]:
    """Return a client that connects to Redis without the proxy."""
    async with Redis.from_url(url) as client:
        yield client


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for the condition, for a minute at most."""
    deadline = monotonic() + 60
    while not await condition():
        assert monotonic() < deadline
        await sleep(0.01)


Build = Callable[..., FastAPI]


async def test_dropped_connections_are_no_outage(build: Build, proxy: Proxy) -> None:
    app = build(redis_probe_seconds=60)
    async with serve(app):
        cache = app.state.components[Cache]
        for _ in range(3):
            await cache.delete({"nothing"}, expires_seconds=1)
            await to_thread.run_sync(proxy.drop)
            await sleep(0.05)
            await cache.delete({"nothing"}, expires_seconds=1)
            assert cache.up


async def test_failed_delete_is_retried(
    build: Build, direct: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = build(redis_probe_seconds=60)
    async with serve(app):
        cache = app.state.components[Cache]
        name = f"{cache.settings.cache_prefix}:name"
        failures = [RedisError("once")]
        unlink = cache.client.unlink

        async def fail_once(*names: str) -> int:
            if failures:
                raise failures.pop()
            return int(await unlink(*names))

        monkeypatch.setattr(cache.client, "unlink", fail_once)
        await direct.set(name, "old")
        await cache.delete({name}, expires_seconds=60)
        assert not await direct.exists(name)


async def test_cache_is_not_read_while_a_delete_is_pending(
    build: Build, direct: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With this timeout, reads would resume soon if no delete were pending.
    app = build(redis_timeout_seconds=0.1)
    async with serve(app):
        cache = app.state.components[Cache]
        name = f"{cache.settings.cache_prefix}:name"

        async def up() -> bool:
            return bool(cache.up)

        async def refuse(*names: str) -> int:
            raise ResponseError("no")

        with monkeypatch.context() as patch:
            patch.setattr(cache.client, "unlink", refuse)
            await direct.set(name, "old")
            await cache.delete({name}, expires_seconds=60)
            for _ in range(5):
                await sleep(0.2)
                assert not cache.up
        await until(up)
        assert not await direct.exists(name)


async def test_connecting_raises_while_redis_is_unavailable(build: Build) -> None:
    app = build(redis_url="redis://127.0.0.1:1/0")
    async with serve(app):
        cache = app.state.components[Cache]

        async def ask() -> None:
            async with cache.connected():
                pass

        with pytest.raises(RedisUnavailable):
            await ask()


async def test_slow_server_is_not_read(build: Build) -> None:
    app = build(redis_slow_seconds=1e-9)
    async with serve(app):
        assert not app.state.components[Cache].up


async def test_pending_deletes_run_before_the_next_read(
    build: Build, proxy: Proxy, direct: Redis
) -> None:
    app = build()
    async with serve(app):
        cache = app.state.components[Cache]
        name = f"{cache.settings.cache_prefix}:name"

        async def deleted() -> bool:
            return not await direct.exists(name)

        async def reachable() -> bool:
            return bool(cache._reachable)

        async def up() -> bool:
            return bool(cache.up)

        await direct.set(name, "old")
        await to_thread.run_sync(proxy.cut)
        await cache.delete({name}, expires_seconds=60)
        assert not cache.up
        await sleep(0.3)
        since = monotonic()
        await to_thread.run_sync(proxy.mend)
        await until(deleted)
        # The probe that deleted the key ends a moment later.
        await until(reachable)
        # Deletes run at once even before reads resume.
        await direct.set(name, "newer")
        await cache.delete({name}, expires_seconds=60)
        assert await deleted()
        await until(up)
        assert monotonic() - since > 1, "other processes may still have deletes pending"


async def test_expired_key_is_not_deleted(build: Build, proxy: Proxy, direct: Redis) -> None:
    app = build()
    async with serve(app):
        cache = app.state.components[Cache]
        name = f"{cache.settings.cache_prefix}:name"

        async def up() -> bool:
            return bool(cache.up)

        await to_thread.run_sync(proxy.cut)
        await cache.delete({name}, expires_seconds=0.1)
        await sleep(0.2)
        await direct.set(name, "newer")
        await to_thread.run_sync(proxy.mend)
        await until(up)
        assert await direct.exists(name)


async def test_shutdown_runs_pending_deletes(build: Build, proxy: Proxy, direct: Redis) -> None:
    app = build()
    async with serve(app):
        cache = app.state.components[Cache]
        name = f"{cache.settings.cache_prefix}:name"
        await direct.set(name, "old")
        await to_thread.run_sync(proxy.cut)
        await cache.delete({name}, expires_seconds=60)
        await to_thread.run_sync(proxy.mend)
    assert not await direct.exists(name)


async def test_probe_survives_an_exception(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    app = build()
    async with serve(app):
        looks: list[float] = []

        async def fail() -> None:
            looks.append(monotonic())
            raise ZeroDivisionError

        async def twice() -> bool:
            return len(looks) > 1

        monkeypatch.setattr(app.state.components[Cache], "_probe", fail)
        await until(twice)
# {% endcall %}
