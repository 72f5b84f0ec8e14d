"""Job runner in a Celery worker process, with its own database engine."""

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue
from random import sample
from threading import Event, Thread
from time import monotonic
from types import FrameType, TracebackType
from typing import Any, Self

import stamina
import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars

# {% if database == "postgresql" %}
from app.core.database import postgresql as dialect
# {% else %}
from app.core.database import sqlite as dialect
# {% endif %}
from app.core.jobs import lease
from app.core.jobs.lease import Change, ClaimLost
from app.core.jobs.model import Job, Status, Task
from app.core.jobs.results import encode, fraction
from app.settings import Settings

log = structlog.get_logger()

_BEAT_SECONDS = 1.0
_TOO_LONG = "Timed out: use smaller inputs."


class Stopped(BaseException):
    """Raised by SIGTERM: this process must exit now."""


class Worker:
    """Job runner that claims and runs one job at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # The parent shares this flag with the processes that are forked from it.
        self.stopping: c_bool = RawValue(c_bool)
        # {% if sqlalchemy == "sync" %}
        self._engine = dialect.build_engine(settings)
        # {% else %}
        self._engine = dialect.build_worker_engine(settings)
        # {% endif %}

    def begin(self) -> None:
        """Discard inherited connections in a new process: the parent still uses them."""
        self._engine.dispose(close=False)

    def run_next(self) -> None:
        """Claim and run the oldest queued job, if there is one."""
        # A random order keeps one kind of job from starving the others.
        for task in sample(Task.registry, len(Task.registry)):
            for job in self.apply(lease.claim(task.kind, self.settings)):
                names = {"request_id": job.request_id, "job_id": str(job.id)}
                with bound_contextvars(**names):
                    log.info("job_started", kind=task.name, attempt=job.attempts)
                    self._run(task, job)
                return

    def sweep(self) -> int:
        """Requeue the jobs of dead workers; returns the number of queued jobs."""
        waiting = 0
        for task in Task.registry:
            if found := self.apply(lease.sweep(task.kind, self.settings)):
                log.warning("jobs_lost", kind=task.name, count=len(found))
            queued = select(func.count()).where(task.kind.status == Status.QUEUED)
            with self._engine.connect() as connection:
                waiting += connection.scalar(queued) or 0
        return waiting

    def apply(self, change: Change) -> Sequence[Any]:
        """Execute a statement in a transaction, and return its rows."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            return session.scalars(change).all()

    def _run(self, task: Task[Any], job: Job) -> None:
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            self._record(self._outcome(task, job))
            log.info("job_ended")
        except ClaimLost:
            log.info("job_lease_lost")
        except Stopped:
            # If only this process and not its worker must stop, the job may be the cause.
            stops = bool(self.stopping.value)
            with suppress(ClaimLost):
                left = lease.release(job) if stops else lease.requeue(job, self.settings)
                self._record(left)
            log.info("job_released")
            sys.exit()
        finally:
            signal.signal(signal.SIGTERM, before)

    def _outcome(self, task: Task[Any], job: Job) -> Change:
        try:
            with _Heartbeat(self, job) as heartbeat:
                result = task.run(**job.inputs, report=heartbeat.report)
            text = encode(result, self.settings.job_result_max_bytes)
            return lease.succeed(job, json.loads(text))
        except (ClaimLost, Stopped):
            raise
        except SoftTimeLimitExceeded:
            log.warning("job_too_long")
            return lease.fail(job, _TOO_LONG)
        except BaseException:
            log.exception("job_failed")
            return lease.fail(job, "Internal server error.")

    @stamina.retry(on=SQLAlchemyError, attempts=None, timeout=60, wait_max=1)
    def _record(self, outcome: Change) -> None:
        if not self.apply(outcome):
            raise ClaimLost


class _Heartbeat:
    """Thread that renews the lease of a running job and stores the progress."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self._worker = worker
        self._job = job
        self._progress = 0.0
        self._lost = False
        self._ended = Event()
        self._thread = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, progress: float) -> None:
        """Set the progress, between 0 and 1; raises ClaimLost."""
        if self._lost:
            raise ClaimLost
        self._progress = fraction(progress)

    def _beat(self) -> None:
        settings = self._worker.settings
        # A job that still runs then ignores the time limit, and is killed before it can fail.
        deadline = monotonic() + settings.job_time_limit_seconds + settings.job_kill_seconds / 2
        while not self._lost and not self._ended.wait(_BEAT_SECONDS):
            late = monotonic() > deadline
            change = (
                lease.fail(self._job, _TOO_LONG)
                if late
                else lease.renew(self._job, self._progress, settings)
            )
            try:
                self._lost = not self._worker.apply(change) or late
            except SQLAlchemyError as error:
                log.warning("job_lease_not_renewed", error=str(error))


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
