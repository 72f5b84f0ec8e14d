"""What a process for jobs does: little is imported here, so that it starts soon."""

import os
import signal
import traceback
from collections.abc import Callable, Mapping
from ctypes import c_double
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeAlias

from app.core.jobs.results import encode, fraction

# What came of a job: its result as JSON, or else what it raised.
Outcome: TypeAlias = tuple[str | None, str]

# Requests go before jobs.
_NICENESS = 10


def serve(connection: "Connection[Outcome, Any]", progress: c_double) -> None:
    """Do one job after the other, until the parent ends us."""
    # A signal to the whole group reaches us too: what it means for a job, the parent decides.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    Thread(target=_end_with_parent, daemon=True).start()

    def report(done: float) -> None:
        progress.value = fraction(done)

    while True:
        run, inputs, max_bytes = connection.recv()
        connection.send(_outcome(run, {**inputs, "report": report}, max_bytes))


def _outcome(
    run: Callable[..., Mapping[str, Any]], arguments: Mapping[str, Any], max_bytes: int
) -> Outcome:
    try:
        return encode(run(**arguments), max_bytes), ""
    except BaseException:
        return None, traceback.format_exc()


def _end_with_parent() -> None:
    # Killed, it could not tell us.
    if parent := parent_process():
        parent.join()
    os._exit(1)
