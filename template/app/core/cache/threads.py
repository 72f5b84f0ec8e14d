"""What a thread of a route does while it only waits."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyio import NoEventLoopError, from_thread, to_thread

from app.core.bulkhead import Bulkhead
from app.core.errors import Overloaded

_MAX_THREADS = 1_000


@contextmanager
def waiting() -> Iterator[bool]:
    """Let another route have a thread meanwhile; False in a thread that is no route's.

    Raises Overloaded: those who hold what it waits for might wait for a thread.
    """
    try:
        from_thread.run_sync(_lend_thread)
    except NoEventLoopError:
        yield False
        return
    try:
        yield True
    finally:
        from_thread.run_sync(_return_thread)


@contextmanager
def slot_in(bulkhead: Bulkhead) -> Iterator[None]:
    """Wait for a slot in a bulkhead and hold it; raises Overloaded."""
    slot = bulkhead.slot()
    with waiting() as in_route:
        if in_route:
            from_thread.run(slot.__aenter__)
    try:
        yield
    finally:
        if in_route:
            from_thread.run(slot.__aexit__, None, None, None)


def _lend_thread() -> None:
    threads = to_thread.current_default_thread_limiter()
    if threads.total_tokens >= _MAX_THREADS:
        raise Overloaded
    threads.total_tokens += 1


def _return_thread() -> None:
    to_thread.current_default_thread_limiter().total_tokens -= 1
