"""Extra threads for the thread pool while routes wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyio import NoEventLoopError, from_thread, to_thread

from app.core.bulkhead import Bulkhead
from app.core.errors import Overloaded

_MAX_THREADS = 1_000


@contextmanager
def waiting() -> Iterator[bool]:
    """Add a thread to the pool while this route waits; yields False in other threads.

    Raises Overloaded at `_MAX_THREADS`: waiting could deadlock with a route that needs a thread.
    """
    try:
        from_thread.run_sync(_add_thread)
    except NoEventLoopError:
        yield False
        return
    try:
        yield True
    finally:
        from_thread.run_sync(_remove_thread)


@contextmanager
def slot_in(bulkhead: Bulkhead) -> Iterator[None]:
    """Hold a slot of the bulkhead, after waiting for one; raises Overloaded."""
    slot = bulkhead.slot()
    with waiting() as in_route:
        if in_route:
            from_thread.run(slot.__aenter__)
    try:
        yield
    finally:
        if in_route:
            from_thread.run(slot.__aexit__, None, None, None)


def _add_thread() -> None:
    threads = to_thread.current_default_thread_limiter()
    if threads.total_tokens >= _MAX_THREADS:
        raise Overloaded
    threads.total_tokens += 1


def _remove_thread() -> None:
    to_thread.current_default_thread_limiter().total_tokens -= 1
