"""Celery's entry: what a worker does when it is woken.

celery --app app.worker worker    do jobs (`poe worker`)
celery --app app.worker beat      have the sweep done, again and again (`poe beat`)
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

# Touched whenever this worker has told the broker that it lives, or beat has had the queue swept:
# what runs them can see that they go on.
ALIVE = Path(gettempdir()) / "celery-alive"

settings = load_settings()
celery = build_celery(settings)
worker = Worker(settings)
# Importing them makes them known to the worker.
list(domains.modules("tasks"))


@celery.task(name=RUN)
def run() -> None:
    """Do one job, if there is one."""
    worker.run_next()


@celery.task(name=SWEEP)
def sweep() -> None:
    """Find jobs whose worker died, and have a message for each job that waits."""
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
    # Several lines for each message: a job has two of its own.
    for name in ("app.trace", "beat", "worker.request", "worker.strategy"):
        logging.getLogger(f"celery.{name}").setLevel(logging.WARNING)


@heartbeat_sent.connect
@after_task_publish.connect(sender=SWEEP)
def _say_alive(**_: Any) -> None:
    # Somebody else's worker may have made the file.
    with suppress(OSError):
        ALIVE.touch()


@worker_process_init.connect
def _begin(**_: Any) -> None:
    worker.begin()


@worker_shutting_down.connect
def _stop_in_time(**_: Any) -> None:
    """Wait for what runs, but not for ever: it is handed back when its process is told to end."""
    worker.stopping.value = True
    timer = Timer(settings.worker_stop_seconds, os.kill, [os.getpid(), signal.SIGQUIT])
    timer.daemon = True
    timer.start()
