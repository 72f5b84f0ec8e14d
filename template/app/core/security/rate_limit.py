"""Rate limit for sign-in attempts, counted in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from threading import Lock
from time import monotonic

from app.core.errors import TooManyAttempts
from app.settings import Settings

# Bound on memory, far above normal use: beyond this number the oldest keys are dropped.
_MAX_KEYS = 100_000


class AttemptLimiter:
    """Rate limit per IP address and per e-mail address, in windows of fixed length."""

    def __init__(self, settings: Settings) -> None:
        self._window_seconds = settings.sign_in_window_seconds
        self._max_per_ip = settings.sign_in_attempts_per_ip
        self._max_per_email = settings.sign_in_attempts_per_email
        self._attempts: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    @asynccontextmanager
    async def attempt(self, ip: str, email: str) -> AsyncIterator[None]:
        """Count an attempt, and forgive it on success; raises TooManyAttempts."""
        self.count(ip, email)
        yield
        self.forgive(ip, email)

    def count(self, ip: str, email: str) -> None:
        """Count an attempt; raises TooManyAttempts."""
        with self._lock:
            self._count(f"ip {ip}", self._max_per_ip)
            self._count(f"email {email}", self._max_per_email)

    def forgive(self, ip: str, email: str) -> None:
        """Remove a successful attempt, and all earlier attempts for its e-mail address."""
        with self._lock:
            self._attempts.pop(f"email {email}", None)
            expires_at, count = self._attempts.get(f"ip {ip}", (0.0, 0))
            if count:
                self._attempts[f"ip {ip}"] = (expires_at, count - 1)

    def _count(self, key: str, maximum: int) -> None:
        now = monotonic()
        expires_at, count = self._attempts.get(key, (0.0, 0))
        if expires_at <= now:
            self._forget_oldest()
            self._attempts.pop(key, None)
            expires_at, count = now + self._window_seconds, 0
        if count >= maximum:
            raise TooManyAttempts(retry_after_seconds=ceil(expires_at - now))
        self._attempts[key] = (expires_at, count + 1)

    def _forget_oldest(self) -> None:
        # All windows have the same length, so the first key is the first to expire.
        if len(self._attempts) >= _MAX_KEYS:
            del self._attempts[next(iter(self._attempts))]
