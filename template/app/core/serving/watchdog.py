"""Watchdog that logs the stack of a blocked event loop."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import structlog

log = structlog.get_logger()

# Only the innermost frames are logged: the outer ones belong to the server.
_FRAMES = 12


@contextmanager
def watching(limit_seconds: float) -> Iterator[None]:
    """Log the stack of this thread whenever its event loop is blocked for this long."""
    done = threading.Event()
    loop = asyncio.get_running_loop()
    arguments = (loop, threading.get_ident(), limit_seconds, done)
    threading.Thread(target=_watch, args=arguments, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(
    loop: asyncio.AbstractEventLoop, thread: int, limit_seconds: float, done: threading.Event
) -> None:
    while not done.wait(limit_seconds / 2):
        started = perf_counter()
        turned = threading.Event()
        try:
            loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # The loop is closed.
            return
        if turned.wait(limit_seconds) or done.is_set():
            continue
        stack = traceback.format_stack(sys._current_frames()[thread])
        log.warning("event_loop_blocked", seconds=limit_seconds, stack="".join(stack[-_FRAMES:]))
        while not turned.wait(1) and not done.is_set():
            pass
        log.warning("event_loop_free", seconds=round(perf_counter() - started, 2))
