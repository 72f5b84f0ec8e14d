# {% from "includes/unasync.jinja" import unasync with context %}
"""Rate limit for sign-in attempts, shared by all processes through Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from math import ceil

# {% if sqlalchemy == "sync" %}
from anyio import to_thread

# {% endif %}
from app.core.cache.redis import FAILURES, RedisServer
from app.core.errors import TooManyAttempts
from app.core.security.rate_limit import AttemptLimiter

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
    """Rate limit for sign-in attempts in all processes; in this one while Redis is unavailable."""

    def __init__(self, server: RedisServer, local: AttemptLimiter) -> None:
        self._server = server
        self._local = local
        self._count_one = server.client.register_script(_COUNT)
        self._forgive_one = server.client.register_script(_DECREMENT)

    @asynccontextmanager
    async def attempt(self, ip: str, email: str) -> AsyncIterator[None]:
        """Count an attempt, and forgive one that succeeds; raises TooManyAttempts."""
# {% if sqlalchemy == "sync" %}
        await to_thread.run_sync(self.count, ip, email)
        yield
        await to_thread.run_sync(self.forgive, ip, email)
# {% else %}
        await self.count(ip, email)
        yield
        await self.forgive(ip, email)
# {% endif %}

# {% call unasync() %}
    async def count(self, ip: str, email: str) -> None:
        """Count an attempt; raises TooManyAttempts."""
        settings = self._server.settings
        window_milliseconds = settings.sign_in_window_seconds * 1_000
        try:
            for key, maximum in (
                (self._key("ip", ip), settings.sign_in_attempts_per_ip),
                (self._key("email", email), settings.sign_in_attempts_per_email),
            ):
                async with self._server.connected():
                    wait = await self._count_one(keys=[key], args=[maximum, window_milliseconds])
                if wait:
                    raise TooManyAttempts(retry_after_seconds=ceil(wait / 1_000))
        except FAILURES:
            self._local.count(ip, email)

    async def forgive(self, ip: str, email: str) -> None:
        """Subtract a success from the count of the IP address, and reset that of the e-mail."""
        self._local.forgive(ip, email)
        with suppress(*FAILURES):
            await self._forgive(ip, email)

    async def _forgive(self, ip: str, email: str) -> None:
        async with self._server.connected() as redis:
            await redis.unlink(self._key("email", email))
            await self._forgive_one(keys=[self._key("ip", ip)])
# {% endcall %}

    def _key(self, kind: str, name: str) -> str:
        # A digest keeps e-mails and IP addresses out of the names of Redis keys.
        digest = blake2b(name.encode(), digest_size=16).hexdigest()
        return f"{self._server.settings.cache_prefix}:attempts:{kind}:{digest}"
