"""The lease of a job: who claims it, keeps it, ends it, and what becomes of one that is lost."""

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
    """The job is not ours any more: it was cancelled, or somebody else has it."""


def claim(kind: type[Job], settings: Settings) -> Change:
    """Take the oldest job that is queued; gives its row."""
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
    """Keep a claim, and say how far the job is; gives nothing if the claim is lost."""
    return _held(job).values(claimed_until=_in(settings.job_lease_seconds), progress=progress)


def succeed(job: Job, result: Result) -> Change:
    """End a job with its result, which `encode` has looked at."""
    return _held(job).values(
        status=Status.SUCCEEDED, progress=1.0, result=dict(result), claim=None, claimed_until=None
    )


def fail(job: Job, sentence: str) -> Change:
    """End a job without a result; the sentence is for its owner."""
    return _held(job).values(status=Status.FAILED, error=sentence, claim=None, claimed_until=None)


def release(job: Job) -> Change:
    """Queue a job again whose runner stops; that does not count as an attempt."""
    return _held(job).values(
        status=Status.QUEUED,
        attempts=job.attempts - 1,
        progress=0.0,
        claim=None,
        claimed_until=None,
    )


def requeue(job: Job, settings: Settings) -> Change:
    """Queue a job again whose process died, if it has attempts left."""
    return _held(job).values(_after_a_loss(type(job), settings))


def sweep(kind: type[Job], settings: Settings) -> Change:
    """Queue the jobs again whose runners gave no sign of life, if they have attempts left."""
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
    sentence = f"It was given up after {settings.job_attempts} attempts."
    return {
        "status": case((spent, Status.FAILED), else_=Status.QUEUED),
        "error": case((spent, sentence)),
        "progress": 0.0,
        "claim": None,
        "claimed_until": None,
    }


def _in(seconds: float) -> Any:
# {% if database == "postgresql" %}
    # By the database's clock: those of several machines differ.
    return func.now() + timedelta(seconds=seconds)
# {% else %}
    return datetime.now(UTC) + timedelta(seconds=seconds)
# {% endif %}
