"""Limit on concurrent work of one kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import Semaphore, fail_after

from app.core.errors import Overloaded


class Bulkhead:
    """Limit of `size` slots, first come, first served, with a timeout for the wait."""

    def __init__(self, size: int, timeout_seconds: float) -> None:
        self._slots = Semaphore(size, fast_acquire=True)
        self._timeout_seconds = timeout_seconds

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot; raises Overloaded after the timeout."""
        try:
            with fail_after(self._timeout_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded from None
        try:
            yield
        finally:
            self._slots.release()
