"""A bound on attempts, counted in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from threading import Lock
from time import monotonic

from app.core.errors import TooManyAttempts
from app.settings import Settings

# Enough for every honest caller of a window; beyond it the oldest are forgotten, not the memory.
_MAX_KEYS = 100_000


class AttemptLimiter:
    """Counts attempts to sign in, of each client and for each address, in windows of time."""

    def __init__(self, settings: Settings) -> None:
        self._window_seconds = settings.sign_in_window_seconds
        self._max_per_client = settings.sign_in_attempts_per_client
        self._max_per_address = settings.sign_in_attempts_per_address
        self._attempts: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    @asynccontextmanager
    async def attempt(self, client: str, address: str) -> AsyncIterator[None]:
        """An attempt, which counts unless it succeeds; raises TooManyAttempts."""
        self.count(client, address)
        yield
        self.forgive(client, address)

    def count(self, client: str, address: str) -> None:
        """Count an attempt; raises TooManyAttempts."""
        with self._lock:
            self._count(f"client {client}", self._max_per_client)
            self._count(f"address {address}", self._max_per_address)

    def forgive(self, client: str, address: str) -> None:
        """Forget an attempt that succeeded, and what failed for its address before."""
        with self._lock:
            self._attempts.pop(f"address {address}", None)
            expires_at, count = self._attempts.get(f"client {client}", (0.0, 0))
            if count:
                self._attempts[f"client {client}"] = (expires_at, count - 1)

    def _count(self, key: str, most: int) -> None:
        now = monotonic()
        expires_at, count = self._attempts.get(key, (0.0, 0))
        if expires_at <= now:
            self._forget_oldest()
            self._attempts.pop(key, None)
            expires_at, count = now + self._window_seconds, 0
        if count >= most:
            raise TooManyAttempts(retry_after_seconds=ceil(expires_at - now))
        self._attempts[key] = (expires_at, count + 1)

    def _forget_oldest(self) -> None:
        # Windows are of one length: the first to begin is the first to end.
        if len(self._attempts) >= _MAX_KEYS:
            del self._attempts[next(iter(self._attempts))]
