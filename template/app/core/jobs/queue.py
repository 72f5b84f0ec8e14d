# {% from "includes/unasync.jinja" import unasync with context %}
"""Job queue: submitting and cancelling jobs in the transaction of a request."""

# {% call unasync() %}
from datetime import UTC, datetime, timedelta
from typing import Generic
from uuid import UUID

from sqlalchemy import func, select, update
from structlog.contextvars import get_contextvars

from app.core.database.transactions import WriteSession
from app.core.errors import InvalidInput, TooManyAttempts, Unavailable
from app.core.jobs.model import AnyJob, JobRunner, Status, Task

_RETRY_SECONDS = 10


class KeyReused(InvalidInput):
    """Raised when one key is sent with two different jobs."""

    message = "This Idempotency-Key was used for another job: send a new key."
    field = "header.idempotency-key"


class TooManyJobs(TooManyAttempts):
    """Raised when too many jobs of the caller are queued."""

    message = "You have too many jobs waiting: let some of them end, or cancel them."


class BacklogFull(Unavailable):
    """Raised when too many jobs of all callers are queued."""

    message = "Too many jobs are waiting: try again later."


class JobQueue(Generic[AnyJob]):
    """Queue of one kind of job, within the transaction of a request."""

    def __init__(self, task: Task[AnyJob], session: WriteSession, runner: JobRunner) -> None:
        self._kind = task.kind
        self._session = session
        self._runner = runner

    async def submit(self, job: AnyJob) -> AnyJob:
        """Queue a job, or return the job that was submitted before with the same key.

        The owner's row must be locked: otherwise two concurrent requests would not see each other's
        job. Raises KeyReused, TooManyJobs, BacklogFull.
        """
        if job.idempotency_key is not None:
            earlier = await self._find_earlier(job)
            if earlier is not None:
                if earlier.inputs != job.inputs:
                    raise KeyReused
                return earlier
        await self._check_limits(job.owner_id)
        job.request_id = get_contextvars().get("request_id", "")
        self._session.add(job)
        await self._session.flush()
        self._session.after_commit(self._notify_runner)
        return job

    async def cancel(self, job: AnyJob) -> bool:
        """Cancel a job whose row is locked, soon if running; returns False if already ended."""
        if job.status in {Status.QUEUED, Status.RUNNING}:
            job.status = Status.CANCELLED
            job.claim = job.claimed_until = None
            await self._session.flush()
        return job.status not in {Status.SUCCEEDED, Status.FAILED}

    async def _find_earlier(self, job: AnyJob) -> AnyJob | None:
        same = select(self._kind).filter_by(
            owner_id=job.owner_id,
            idempotency_key=job.idempotency_key,
        )
        earlier = await self._session.scalar(same)
        lifetime = timedelta(seconds=self._runner.settings.idempotency_key_seconds)
        if earlier is None or earlier.created_at > datetime.now(UTC) - lifetime:
            return earlier
        # The key has expired: the old job loses its key, so that a new job can use the key.
        await self._session.execute(
            update(self._kind)
            .where(self._kind.id == earlier.id)
            .values(idempotency_key=None, version=self._kind.version + 1),
        )
        return None

    async def _check_limits(self, owner_id: UUID) -> None:
        kind, settings = self._kind, self._runner.settings
        own = func.count().filter(kind.owner_id == owner_id)
        waiting = select(own, func.count()).where(kind.status == Status.QUEUED)
        rows = await self._session.execute(waiting)
        of_owner, of_all = rows.one()
        if of_owner >= settings.jobs_waiting_per_caller:
            raise TooManyJobs(retry_after_seconds=_RETRY_SECONDS)
        if of_all >= settings.jobs_waiting:
            raise BacklogFull(retry_after_seconds=_RETRY_SECONDS)

    async def _notify_runner(self) -> None:
        self._runner.notify()


# {% endcall %}
