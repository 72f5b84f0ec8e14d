"""A bound on how much of one kind of work goes on at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import Semaphore, fail_after

from app.core.errors import Overloaded


class Bulkhead:
    """At most `size` at once, in order of arrival; a longer wait than the time-out is refused."""

    def __init__(self, size: int, timeout_seconds: float) -> None:
        self._slots = Semaphore(size, fast_acquire=True)
        self._timeout_seconds = timeout_seconds

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it; raises Overloaded."""
        try:
            with fail_after(self._timeout_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded from None
        try:
            yield
        finally:
            self._slots.release()
