"""What a thread of a route does while it only waits."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyio import NoEventLoopError, from_thread, to_thread

from app.core.bulkhead import Bulkhead
from app.core.errors import Overloaded

_MOST_THREADS = 1_000


@contextmanager
def waiting() -> Iterator[bool]:
    """Let another route have a thread meanwhile; False in a thread that is no route's.

    Raises Overloaded: those who hold what it waits for might wait for a thread.
    """
    try:
        from_thread.run_sync(_lend)
    except NoEventLoopError:
        yield False
        return
    try:
        yield True
    finally:
        from_thread.run_sync(_take_back)


@contextmanager
def place_in(bulkhead: Bulkhead) -> Iterator[None]:
    """Wait for a place in a bulkhead and hold it; raises Overloaded."""
    place = bulkhead.slot()
    with waiting() as in_route:
        if in_route:
            from_thread.run(place.__aenter__)
    try:
        yield
    finally:
        if in_route:
            from_thread.run(place.__aexit__, None, None, None)


def _lend() -> None:
    threads = to_thread.current_default_thread_limiter()
    if threads.total_tokens >= _MOST_THREADS:
        raise Overloaded
    threads.total_tokens += 1


def _take_back() -> None:
    to_thread.current_default_thread_limiter().total_tokens -= 1
