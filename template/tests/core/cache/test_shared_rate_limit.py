# {% from "includes/unasync.jinja" import unasync with context %}
"""Rate limit for sign-in attempts, shared by all processes."""

# {% call unasync() %}
from collections.abc import AsyncIterator
# {% if sqlalchemy == "sync" %}
from time import sleep
# {% endif %}

import pytest
# {% if sqlalchemy == "async" %}
from anyio import sleep
# {% endif %}
from fastapi import FastAPI

from app.core.cache.shared_rate_limit import SharedAttemptLimiter
from app.core.cache.store import Cache
from app.core.errors import TooManyAttempts
from app.core.security.rate_limit import AttemptLimit, AttemptLimiter
from app.main import create_app
from tests.client import serve
from tests.settings import make_settings

WINDOW = {"attempt_window_seconds": 60}


def limits(ip: str, email: str) -> tuple[AttemptLimit, AttemptLimit]:
    """Return limits of three attempts for an IP address and one for an e-mail."""
    return AttemptLimit(ip, 3, "release"), AttemptLimit(email, 1, "reset")


def limiter(app: FastAPI) -> SharedAttemptLimiter:
    """Return the limiter of one process."""
    components = app.state.components
    return SharedAttemptLimiter(components[Cache], components[AttemptLimiter])


@pytest.fixture
async def limiters(lasting_url: str) -> AsyncIterator[list[SharedAttemptLimiter]]:
    """Serve two applications, and return the limiter of each."""
    settings = make_settings(lasting_url, **WINDOW)
    apps = create_app(settings), create_app(settings)
    async with serve(apps[0]), serve(apps[1]):
        yield [limiter(app) for app in apps]


async def test_processes_share_their_counts(limiters: list[SharedAttemptLimiter]) -> None:
    for number, email in enumerate(("ann", "bob", "cid")):
        await limiters[number % 2].count(*limits("here", email))
    with pytest.raises(TooManyAttempts) as raised:
        await limiters[1].count(*limits("there", "ann"))
    assert raised.value.retry_after_seconds in range(40, 61)
    with pytest.raises(TooManyAttempts):
        await limiters[1].count(*limits("here", "dan"))
    await limiters[1].count(*limits("there", "dan"))


async def test_window_expires(limiters: list[SharedAttemptLimiter]) -> None:
    await limiters[0].count(*limits("here", "ann"))
    redis = limiters[0]._server.client
    for key in await redis.keys(f"{limiters[0].settings.cache_prefix}:attempts:*"):
        left_milliseconds = await redis.pttl(key)
        assert 40_000 < left_milliseconds <= 60_000
        await redis.pexpire(key, 1)
    await sleep(0.01)
    await limiters[1].count(*limits("here", "ann"))


async def test_successful_attempts_do_not_count(limiters: list[SharedAttemptLimiter]) -> None:
    for number in range(10):
        await limiters[number % 2].count(*limits("here", "ann"))
        await limiters[number % 2].succeed(*limits("here", "ann"))
    for email in ("bob", "cid", "dan"):
        await limiters[0].count(*limits("here", email))
    with pytest.raises(TooManyAttempts):
        await limiters[0].count(*limits("here", "eve"))


async def test_released_attempts_do_not_count(limiters: list[SharedAttemptLimiter]) -> None:
    for number in range(10):
        await limiters[number % 2].count(*limits("here", "ann"))
        await limiters[number % 2].release(*limits("here", "ann"))


async def test_each_process_counts_alone_without_redis(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url, redis_url="redis://127.0.0.1:1/0", **WINDOW))
    async with serve(app):
        await limiter(app).count(*limits("here", "ann"))
        with pytest.raises(TooManyAttempts):
            await limiter(app).count(*limits("here", "ann"))
        await limiter(app).succeed(*limits("here", "ann"))
        await limiter(app).count(*limits("here", "ann"))


async def test_redis_keys_hide_emails_and_ips(limiters: list[SharedAttemptLimiter]) -> None:
    await limiters[0].count(*limits("198.51.100.7", "ann@example.com"))
    server = limiters[0]._server
    keys = await server.client.keys(f"{server.settings.cache_prefix}:attempts:*")
    assert len(keys) == 2
    assert not any(b"ann" in key or b"198.51.100.7" in key for key in keys)
# {% endcall %}
