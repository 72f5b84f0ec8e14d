"""Child process that runs jobs, with few imports for a fast start."""

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

# An outcome is the job's result as JSON, or None and the traceback.
Outcome: TypeAlias = tuple[str | None, str]

# A higher niceness gives requests priority over jobs.
_NICENESS = 10


def serve(connection: "Connection[Outcome, Any]", progress: c_double) -> None:
    """Run one job after another, until the parent kills this process."""
    # A signal to the process group reaches this process too, but only the parent handles signals.
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
    # A parent that was killed cannot stop this process.
    if parent := parent_process():
        parent.join()
    os._exit(1)
