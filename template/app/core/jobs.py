"""Heavy work: a job is a row, and the row is the truth about it.

It is queued in the transaction of a request, claimed by one runner at a time, and ended once: only
who holds the claim can change it. What tells a runner that there is work is no more than a wake-up,
which may come twice or never: a sweep finds what was missed, and what its runner left behind.

    class Simulation(Job): …                  what is asked for, in models.py
    SIMULATE = Task(Simulation, simulate)     what does it, in tasks.py, found by being there
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
# {% if database == "postgresql" %}
from datetime import datetime, timedelta
# {% else %}
from datetime import UTC, datetime, timedelta
# {% endif %}
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar
from uuid import UUID, uuid4

# {% if database == "postgresql" %}
from sqlalchemy import JSON, Index, String, UniqueConstraint, case, func, select, update
# {% else %}
from sqlalchemy import JSON, Index, String, UniqueConstraint, case, select, update
# {% endif %}
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.sql.dml import ReturningUpdate

from app.core.models import Record
from app.core.resources import Resource
from app.settings import Settings

Inputs: TypeAlias = Mapping[str, Any]
Result: TypeAlias = Mapping[str, Any]
Change: TypeAlias = ReturningUpdate[tuple[Any]]


class Status(StrEnum):
    """How far a job is; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ClaimLost(Exception):
    """The job is not ours any more: it was cancelled, or somebody else has it."""


class Job(Record):
    """A row of work. What it is asked for is in columns of its kind."""

    __abstract__ = True

    # A kind refers to its owners' table, and says what becomes of their jobs.
    owner_id: Mapped[UUID]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    # Of the request that asked for it: its runner's log lines carry it.
    request_id: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[str] = mapped_column(String(10), default=Status.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[int] = mapped_column(default=0)
    # Who runs it, and until when that is believed without a sign of life.
    claim: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]

    inputs_of: ClassVar[tuple[str, ...]]

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        return (UniqueConstraint("owner_id", "idempotency_key"), Index(None, "status", "id"))

    @property
    def inputs(self) -> Inputs:
        """What it is asked for: the arguments of the function that does it."""
        return {name: getattr(self, name) for name in self.inputs_of}


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True)
class Task(Generic[AnyJob]):
    """A kind of job, and the function that does it: with its inputs, and one to report with."""

    known: ClassVar[list["Task[Any]"]] = []

    kind: type[AnyJob]
    run: Callable[..., Result]

    def __post_init__(self) -> None:
        Task.known.append(self)

    @property
    def name(self) -> str:
        """What it is called in logs and messages."""
        return str(self.kind.__tablename__)


class JobRunner(Resource, ABC):
    """What runs jobs, or gets them run elsewhere."""

    @abstractmethod
    def wake(self) -> None:
        """Say that a job is queued, after its commit; it returns at once and never fails."""


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


def keep(job: Job, progress: float, settings: Settings) -> Change:
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


def hand_back(job: Job) -> Change:
    """Queue a job again whose runner stops; that does not count as an attempt."""
    return _held(job).values(
        status=Status.QUEUED,
        attempts=job.attempts - 1,
        progress=0.0,
        claim=None,
        claimed_until=None,
    )


def lose(job: Job, settings: Settings) -> Change:
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
