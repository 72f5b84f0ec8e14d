# {% from "includes/unasync.jinja" import unasync with context %}
"""Where jobs are handed in and called off, in the transaction of a request."""

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
    """One key, two different jobs."""

    message = "This Idempotency-Key was used for something else: a new job needs a new key."
    field = "header.idempotency-key"


class TooManyJobs(TooManyAttempts):
    """The caller has enough jobs waiting."""

    message = "You have too many jobs waiting: let some of them end, or cancel them."


class BacklogFull(Unavailable):
    """Everybody together has enough jobs waiting."""

    message = "Too many jobs are waiting: try again later."


class JobQueue(Generic[AnyJob]):
    """The jobs of one kind, as a request sees them."""

    def __init__(self, task: Task[AnyJob], session: WriteSession, runner: JobRunner) -> None:
        self._kind = task.kind
        self._session = session
        self._runner = runner

    async def submit(self, job: AnyJob) -> AnyJob:
        """Queue a job; gives the one that was handed in before under its key, if there is one.

        Its owner's row must be locked: otherwise two at once would not know of each other. Raises
        KeyReused, TooManyJobs, BacklogFull.
        """
        if job.idempotency_key is not None:
            known = await self._find_known(job)
            if known is not None:
                if known.inputs != job.inputs:
                    raise KeyReused
                return known
        await self._make_sure_of_room(job.owner_id)
        job.request_id = get_contextvars().get("request_id", "")
        self._session.add(job)
        await self._session.flush()
        self._session.after_commit(self._notify_runner)
        return job

    async def cancel(self, job: AnyJob) -> bool:
        """End it, soon if it runs; False if it had ended. Its row must be locked."""
        if job.status in {Status.QUEUED, Status.RUNNING}:
            job.status = Status.CANCELLED
            job.claim = job.claimed_until = None
            await self._session.flush()
        return job.status not in {Status.SUCCEEDED, Status.FAILED}

    async def _find_known(self, job: AnyJob) -> AnyJob | None:
        same = select(self._kind).filter_by(
            owner_id=job.owner_id,
            idempotency_key=job.idempotency_key,
        )
        known = await self._session.scalar(same)
        lifetime = timedelta(seconds=self._runner.settings.idempotency_key_seconds)
        if known is None or known.created_at > datetime.now(UTC) - lifetime:
            return known
        # The key may be used again, and the old job does without.
        await self._session.execute(
            update(self._kind)
            .where(self._kind.id == known.id)
            .values(idempotency_key=None, version=self._kind.version + 1),
        )
        return None

    async def _make_sure_of_room(self, owner_id: UUID) -> None:
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
