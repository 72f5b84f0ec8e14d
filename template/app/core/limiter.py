"""A bound on attempts, counted in this process."""

from math import ceil
from threading import Lock
from time import monotonic

from app.core.errors import TooManyAttempts
from app.settings import Settings

# Enough for every honest caller of a window; beyond it the oldest are forgotten, not the memory.
_MOST_KEYS = 100_000


class AttemptLimiter:
    """Counts the attempts of each key in a window of fixed length."""

    def __init__(self, settings: Settings) -> None:
        self._window_seconds = settings.sign_in_window_seconds
        self._attempts: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    def attempt(self, key: str, most: int) -> None:
        """Count one attempt; raises TooManyAttempts beyond `most` in the window."""
        now = monotonic()
        with self._lock:
            ends, count = self._attempts.get(key, (0.0, 0))
            if ends <= now:
                self._forget_oldest()
                self._attempts.pop(key, None)
                ends, count = now + self._window_seconds, 0
            self._attempts[key] = (ends, count + 1)
        if count >= most:
            raise TooManyAttempts(retry_after_seconds=ceil(ends - now))

    def forget(self, key: str) -> None:
        """Start anew, after an attempt that succeeded."""
        with self._lock:
            self._attempts.pop(key, None)

    def _forget_oldest(self) -> None:
        # Windows are of one length: who came first ends first.
        if len(self._attempts) >= _MOST_KEYS:
            del self._attempts[next(iter(self._attempts))]
