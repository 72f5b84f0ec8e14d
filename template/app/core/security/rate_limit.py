"""A bound on attempts, counted in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from threading import Lock
from time import monotonic

from app.core.errors import TooManyAttempts
from app.settings import Settings

# Enough for every honest caller of a window; beyond it the oldest are forgotten, not the memory.
_MOST_KEYS = 100_000


class AttemptLimiter:
    """Counts attempts to sign in, of each client and for each address, in windows of time."""

    def __init__(self, settings: Settings) -> None:
        self._window_seconds = settings.sign_in_window_seconds
        self._most_per_client = settings.sign_in_attempts_per_client
        self._most_per_address = settings.sign_in_attempts_per_address
        self._attempts: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    @asynccontextmanager
    async def attempt(self, client: str, address: str) -> AsyncIterator[None]:
        """An attempt, which counts unless it succeeds; raises TooManyAttempts."""
        self.count(client, address)
        yield
        self.take_back(client, address)

    def count(self, client: str, address: str) -> None:
        """Count an attempt; raises TooManyAttempts."""
        with self._lock:
            self._count(f"client {client}", self._most_per_client)
            self._count(f"address {address}", self._most_per_address)

    def take_back(self, client: str, address: str) -> None:
        """Forget an attempt that succeeded, and what failed for its address before."""
        with self._lock:
            self._attempts.pop(f"address {address}", None)
            ends, count = self._attempts.get(f"client {client}", (0.0, 0))
            if count:
                self._attempts[f"client {client}"] = (ends, count - 1)

    def _count(self, key: str, most: int) -> None:
        now = monotonic()
        ends, count = self._attempts.get(key, (0.0, 0))
        if ends <= now:
            self._forget_oldest()
            self._attempts.pop(key, None)
            ends, count = now + self._window_seconds, 0
        if count >= most:
            raise TooManyAttempts(retry_after_seconds=ceil(ends - now))
        self._attempts[key] = (ends, count + 1)

    def _forget_oldest(self) -> None:
        # Windows are of one length: the first to begin is the first to end.
        if len(self._attempts) >= _MOST_KEYS:
            del self._attempts[next(iter(self._attempts))]
