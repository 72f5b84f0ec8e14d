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
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import JSON, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.core.database.models import Record
from app.core.resources import Resource

Inputs: TypeAlias = Mapping[str, Any]
Result: TypeAlias = Mapping[str, Any]


class Status(StrEnum):
    """How far a job is; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


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

    input_columns: ClassVar[tuple[str, ...]]

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        return (UniqueConstraint("owner_id", "idempotency_key"), Index(None, "status", "id"))

    @property
    def inputs(self) -> Inputs:
        """What it is asked for: the arguments of the function that does it."""
        return {name: getattr(self, name) for name in self.input_columns}


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True)
class Task(Generic[AnyJob]):
    """A kind of job, and the function that does it: with its inputs, and one to report with."""

    registry: ClassVar[list["Task[Any]"]] = []

    kind: type[AnyJob]
    run: Callable[..., Result]

    def __post_init__(self) -> None:
        Task.registry.append(self)

    @property
    def name(self) -> str:
        """What it is called in logs and messages."""
        return str(self.kind.__tablename__)


class JobRunner(Resource, ABC):
    """What runs jobs, or gets them run elsewhere."""

    @abstractmethod
    def notify(self) -> None:
        """Say that a job is queued, after its commit; it returns at once and never fails."""
