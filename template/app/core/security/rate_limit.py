"""Rate limit for attempts to sign in and to sign up, counted in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from threading import Lock
from time import monotonic
from typing import Literal, NamedTuple

from app.core.errors import TooManyAttempts, Unavailable
from app.settings import Settings

# Enough for the honest callers of one window; beyond that, the oldest keys are dropped.
_MAX_KEYS = 100_000


class AttemptLimit(NamedTuple):
    """Maximum number of attempts with a key in one window."""

    key: str
    maximum: int
    # Effect of a success: it counts too, does not count, or also resets the failed attempts.
    success: Literal["count", "release", "reset"]


class AttemptLimiter:
    """Rate limit for attempts, counted by key in windows of time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._attempts: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    @asynccontextmanager
    async def attempt(self, *limits: AttemptLimit) -> AsyncIterator[None]:
        """Count an attempt, unless an outage prevents its check; raises TooManyAttempts."""
        self.count(*limits)
        try:
            yield
        except Unavailable:
            self.release(*limits)
            raise
        self.succeed(*limits)

    def count(self, *limits: AttemptLimit) -> None:
        """Count an attempt; raises TooManyAttempts."""
        with self._lock:
            for limit in limits:
                self._count(limit)

    def release(self, *limits: AttemptLimit) -> None:
        """Subtract an attempt."""
        with self._lock:
            for limit in limits:
                self._release(limit)

    def succeed(self, *limits: AttemptLimit) -> None:
        """Apply the effect of a success to each limit."""
        with self._lock:
            for limit in limits:
                if limit.success == "reset":
                    self._attempts.pop(limit.key, None)
                elif limit.success == "release":
                    self._release(limit)

    def _count(self, limit: AttemptLimit) -> None:
        now = monotonic()
        expires_at, count = self._attempts.get(limit.key, (0.0, 0))
        if expires_at <= now:
            self._drop_oldest()
            self._attempts.pop(limit.key, None)
            expires_at, count = now + self.settings.attempt_window_seconds, 0
        if count >= limit.maximum:
            raise TooManyAttempts(retry_after_seconds=ceil(expires_at - now))
        self._attempts[limit.key] = (expires_at, count + 1)

    def _release(self, limit: AttemptLimit) -> None:
        expires_at, count = self._attempts.get(limit.key, (0.0, 0))
        if count:
            self._attempts[limit.key] = (expires_at, count - 1)

    def _drop_oldest(self) -> None:
        # All windows have the same length, so the first key is the first to expire.
        if len(self._attempts) >= _MAX_KEYS:
            del self._attempts[next(iter(self._attempts))]
