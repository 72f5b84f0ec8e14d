"""Celery application whose job, with certain seeds, cannot be cancelled or kills its process."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from app.core.jobs.model import Task
from app.domains.simulations.compute import simulate
from app.domains.simulations.tasks import SIMULATE
from app.worker import celery
from tests.live.workers import STUBBORN_SEED, SUICIDAL_SEED

__all__ = ["celery"]


def misbehave(
    paths: int, steps: int, seed: int, report: Callable[[float], None]
) -> Mapping[str, Any]:
    """Simulate; STUBBORN_SEED ignores the time limit for ever, SUICIDAL_SEED ends the process."""
    report(0.1)
    if seed == SUICIDAL_SEED:
        os.kill(os.getpid(), signal.SIGTERM)
    while seed == STUBBORN_SEED:
        with suppress(SoftTimeLimitExceeded):
            sum(range(1_000_000))
    return simulate(paths, steps, seed, report)


Task.registry[:] = [replace(SIMULATE, run=misbehave)]
