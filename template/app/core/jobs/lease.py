"""Leases of jobs: statements that claim, renew, end and requeue a job."""

# {% if database == "postgresql" %}
from datetime import timedelta
# {% else %}
from datetime import UTC, datetime, timedelta
# {% endif %}
from typing import Any, TypeAlias
from uuid import uuid4

# {% if database == "postgresql" %}
from sqlalchemy import case, func, select, update
# {% else %}
from sqlalchemy import case, select, update
# {% endif %}
from sqlalchemy.sql.dml import ReturningUpdate

from app.core.jobs.model import Job, Result, Status
from app.settings import Settings

Change: TypeAlias = ReturningUpdate[tuple[Any]]


class ClaimLost(Exception):
    """Raised when a job was cancelled, ended or requeued, so that its claim is lost."""


def claim(kind: type[Job], settings: Settings) -> Change:
    """Claim the oldest queued job; the statement returns its row."""
    oldest = select(kind.id).where(kind.status == Status.QUEUED).order_by(kind.id).limit(1)
    return (
        update(kind)
        .where(kind.id == oldest.with_for_update(skip_locked=True).scalar_subquery())
        .values(
            status=Status.RUNNING,
            attempts=kind.attempts + 1,
            claim=uuid4(),
            claimed_until=_in(settings.job_lease_seconds),
            progress=0.0,
            version=kind.version + 1,
        )
        .returning(kind)
    )


def renew(job: Job, progress: float, settings: Settings) -> Change:
    """Extend a lease and store the progress; no row is returned if the claim is lost."""
    return _held(job).values(claimed_until=_in(settings.job_lease_seconds), progress=progress)


def succeed(job: Job, result: Result) -> Change:
    """End a job with its result, which `encode` has checked."""
    return _held(job).values(
        status=Status.SUCCEEDED, progress=1.0, result=dict(result), claim=None, claimed_until=None
    )


def fail(job: Job, sentence: str) -> Change:
    """End a job with an error; the sentence is for its owner."""
    return _held(job).values(status=Status.FAILED, error=sentence, claim=None, claimed_until=None)


def release(job: Job) -> Change:
    """Requeue a job whose runner stops, without counting an attempt."""
    return _held(job).values(
        status=Status.QUEUED,
        attempts=job.attempts - 1,
        progress=0.0,
        claim=None,
        claimed_until=None,
    )


def requeue(job: Job, settings: Settings) -> Change:
    """Requeue a job whose process died, or fail the job after its last attempt."""
    return _held(job).values(_after_a_loss(type(job), settings))


def sweep(kind: type[Job], settings: Settings) -> Change:
    """Requeue the jobs whose leases expired, or fail those after their last attempt."""
    return (
        update(kind)
        .where(kind.status == Status.RUNNING, kind.claimed_until < _in(0))
        .values(_after_a_loss(kind, settings))
        .values(version=kind.version + 1)
        .returning(kind.id)
    )


def _held(job: Job) -> Change:
    kind = type(job)
    return (
        update(kind)
        .where(kind.id == job.id, kind.claim == job.claim)
        .values(version=kind.version + 1)
        .returning(kind.id)
    )


def _after_a_loss(kind: type[Job], settings: Settings) -> dict[str, Any]:
    spent = kind.attempts >= settings.job_attempts
    sentence = f"The job failed {settings.job_attempts} times: submit a new one."
    return {
        "status": case((spent, Status.FAILED), else_=Status.QUEUED),
        "error": case((spent, sentence)),
        "progress": 0.0,
        "claim": None,
        "claimed_until": None,
    }


def _in(seconds: float) -> Any:
# {% if database == "postgresql" %}
    # The database's clock decides, because the clocks of several machines differ.
    return func.now() + timedelta(seconds=seconds)
# {% else %}
    return datetime.now(UTC) + timedelta(seconds=seconds)
# {% endif %}
