"""Celery entry point: the application and the tasks of its workers.

celery --app app.worker worker    run jobs (`poe worker`)
celery --app app.worker beat      schedule the periodic sweep (`poe beat`)
"""

import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from threading import Timer
from typing import Any

from celery.signals import (
    after_task_publish,
    heartbeat_sent,
    setup_logging,
    worker_process_init,
    worker_shutting_down,
)

from app import domains
from app.core.jobs.celery import RUN, SWEEP, build_celery
from app.core.jobs.worker import Worker
from app.core.logging import configure_logging
from app.settings import load_settings

# The worker touches this file at each heartbeat, and beat at each sweep: a container's health check
# can see that the process is alive.
ALIVE = Path(gettempdir()) / "celery-alive"

settings = load_settings()
celery = build_celery(settings)
worker = Worker(settings)
# Importing these modules registers their tasks with the worker.
list(domains.modules("tasks"))


@celery.task(name=RUN)
def run() -> None:
    """Run one job, if one is queued."""
    worker.run_next()


@celery.task(name=SWEEP)
def sweep() -> None:
    """Requeue the jobs of dead workers, and send messages for queued jobs that have none."""
    missing = worker.sweep() - _messages()
    for _ in range(missing):
        run.delay()


def _messages() -> int:
    with celery.connection_for_write() as connection:
        channel: Any = connection.default_channel
        name = celery.conf.task_default_queue
        return int(channel.queue_declare(name, durable=True, auto_delete=False).message_count)


@setup_logging.connect
def _setup_logging(**_: Any) -> None:
    configure_logging(settings)
    # These loggers write several lines for each message; a job already has two of its own.
    for name in ("app.trace", "beat", "worker.request", "worker.strategy"):
        logging.getLogger(f"celery.{name}").setLevel(logging.WARNING)


@heartbeat_sent.connect
@after_task_publish.connect(sender=SWEEP)
def _touch_alive_file(**_: Any) -> None:
    # The file may belong to another user.
    with suppress(OSError):
        ALIVE.touch()


@worker_process_init.connect
def _begin(**_: Any) -> None:
    worker.begin()


@worker_shutting_down.connect
def _stop_in_time(**_: Any) -> None:
    """Limit the wait for running jobs: SIGQUIT makes their processes release them."""
    worker.stopping.value = True
    timer = Timer(settings.worker_stop_seconds, os.kill, [os.getpid(), signal.SIGQUIT])
    timer.daemon = True
    timer.start()
