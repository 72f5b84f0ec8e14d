"""Jobs in a process of a Celery worker, on an engine of its own."""

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
_TOO_LONG = "It took too long."


class Stopped(BaseException):
    """This process has to end now."""


class Worker:
    """Claims jobs, one at a time, and does them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Shared with the processes that are forked from this one.
        self.stopping: c_bool = RawValue(c_bool)
        # {% if sqlalchemy == "sync" %}
        self._engine = dialect.build_engine(settings)
        # {% else %}
        self._engine = dialect.build_worker_engine(settings)
        # {% endif %}

    def begin(self) -> None:
        """Get ready, in a new process: the connections are the parent's."""
        self._engine.dispose(close=False)

    def run_next(self) -> None:
        """Do the oldest job that waits, if there is one."""
        # In any order: no kind of job waits until there are none of the others.
        for task in sample(Task.registry, len(Task.registry)):
            for job in self.apply(lease.claim(task.kind, self.settings)):
                names = {"request_id": job.request_id, "job_id": str(job.id)}
                with bound_contextvars(**names):
                    log.info("job_started", kind=task.name, attempt=job.attempts)
                    self._run(task, job)
                return

    def sweep(self) -> int:
        """Queue the jobs again whose workers have died; gives how many wait."""
        waiting = 0
        for task in Task.registry:
            if found := self.apply(lease.sweep(task.kind, self.settings)):
                log.warning("jobs_lost", kind=task.name, count=len(found))
            queued = select(func.count()).where(task.kind.status == Status.QUEUED)
            with self._engine.connect() as connection:
                waiting += connection.scalar(queued) or 0
        return waiting

    def apply(self, change: Change) -> Sequence[Any]:
        """Change jobs, in a transaction; gives what the change returns."""
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
            # One that is told to end while its worker is not may be told so because of its job.
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
    """Says that a job goes on, and how far it is, while it does."""

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
        """Say how far the job is, between 0 and 1; raises ClaimLost."""
        if self._lost:
            raise ClaimLost
        self._progress = fraction(progress)

    def _beat(self) -> None:
        settings = self._worker.settings
        # A job that goes on then ignores its time limit, and is killed before it could say so.
        ends = monotonic() + settings.job_time_limit_seconds + settings.job_kill_seconds / 2
        while not self._lost and not self._ended.wait(_BEAT_SECONDS):
            late = monotonic() > ends
            change = (
                lease.fail(self._job, _TOO_LONG)
                if late
                else lease.renew(self._job, self._progress, settings)
            )
            try:
                self._lost = not self._worker.apply(change) or late
            except SQLAlchemyError as error:
                log.warning("job_not_kept", error=str(error))


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
