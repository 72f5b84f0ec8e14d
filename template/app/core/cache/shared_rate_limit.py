# {% from "includes/unasync.jinja" import unasync with context %}
"""Rate limit for attempts to sign in and to sign up, shared by all processes through Redis."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from math import ceil

# {% if sqlalchemy == "sync" %}
from anyio import to_thread

# {% endif %}
from app.core.cache.redis import FAILURES, RedisServer
from app.core.errors import TooManyAttempts, Unavailable
from app.core.security.rate_limit import AttemptLimit, AttemptLimiter

# The script returns the milliseconds to wait at the limit, or counts the attempt.
_COUNT = """
if (tonumber(redis.call('GET', KEYS[1])) or 0) >= tonumber(ARGV[1]) then
    return math.max(redis.call('PTTL', KEYS[1]), 1)
end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_DECREMENT = """
if (tonumber(redis.call('GET', KEYS[1])) or 0) > 0 then redis.call('DECR', KEYS[1]) end
"""


class SharedAttemptLimiter:
    """Rate limit for attempts in all processes; in this one while Redis is unavailable."""

    def __init__(self, server: RedisServer, local: AttemptLimiter) -> None:
        self.settings = server.settings
        self._server = server
        self._local = local
        self._count_one = server.client.register_script(_COUNT)
        self._decrement = server.client.register_script(_DECREMENT)

    @asynccontextmanager
    async def attempt(self, *limits: AttemptLimit) -> AsyncIterator[None]:
        """Count an attempt, unless an outage prevents its check; raises TooManyAttempts."""
# {% if sqlalchemy == "sync" %}
        await to_thread.run_sync(self.count, *limits)
        try:
            yield
        except Unavailable:
            await to_thread.run_sync(self.release, *limits)
            raise
        await to_thread.run_sync(self.succeed, *limits)
# {% else %}
        await self.count(*limits)
        try:
            yield
        except Unavailable:
            await self.release(*limits)
            raise
        await self.succeed(*limits)
# {% endif %}

# {% call unasync() %}
    async def count(self, *limits: AttemptLimit) -> None:
        """Count an attempt; raises TooManyAttempts."""
        window_milliseconds = self.settings.attempt_window_seconds * 1_000
        try:
            for limit in limits:
                arguments = [limit.maximum, window_milliseconds]
                async with self._server.connected():
                    wait = await self._count_one(keys=[self._key(limit)], args=arguments)
                if wait:
                    raise TooManyAttempts(retry_after_seconds=ceil(wait / 1_000))
        except FAILURES:
            self._local.count(*limits)

    async def release(self, *limits: AttemptLimit) -> None:
        """Subtract an attempt."""
        self._local.release(*limits)
        with suppress(*FAILURES):
            await self._release(limits)

    async def succeed(self, *limits: AttemptLimit) -> None:
        """Apply the effect of a success to each limit."""
        self._local.succeed(*limits)
        with suppress(*FAILURES):
            await self._reset([limit for limit in limits if limit.success == "reset"])
            await self._release([limit for limit in limits if limit.success == "release"])

    async def _release(self, limits: Sequence[AttemptLimit]) -> None:
        async with self._server.connected():
            for limit in limits:
                await self._decrement(keys=[self._key(limit)])

    async def _reset(self, limits: Sequence[AttemptLimit]) -> None:
        async with self._server.connected() as redis:
            for limit in limits:
                await redis.unlink(self._key(limit))
# {% endcall %}

    def _key(self, limit: AttemptLimit) -> str:
        # A digest keeps e-mails and IP addresses out of the names of Redis keys.
        digest = blake2b(limit.key.encode(), digest_size=16).hexdigest()
        return f"{self.settings.cache_prefix}:attempts:{digest}"
