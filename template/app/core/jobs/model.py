"""Jobs as database rows, the tasks that run them, and the base of runners.

A request queues a job in its transaction. One runner at a time claims the job, which ends once:
only the holder of the claim can change the row. Notifications wake a runner, and may be lost or
repeated: a sweep finds the jobs that were missed, and those whose runner died.

    class Simulation(Job): …                  columns for the inputs, in models.py
    SIMULATE = Task(Simulation, simulate)     function that runs a job, in tasks.py (auto-imported)
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
    """Status of a job; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Record):
    """Base of the tables of jobs; each subclass adds columns for its inputs."""

    __abstract__ = True

    # A subclass adds the foreign key, which decides about the jobs of a deleted owner.
    owner_id: Mapped[UUID]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    # The runner's log lines carry the id of the request that submitted the job.
    request_id: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[str] = mapped_column(String(10), default=Status.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[int] = mapped_column(default=0)
    # The runner with this claim holds the lease, which expires unless a heartbeat renews the time.
    claim: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]

    input_columns: ClassVar[tuple[str, ...]]

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        return (UniqueConstraint("owner_id", "idempotency_key"), Index(None, "status", "id"))

    @property
    def inputs(self) -> Inputs:
        """Arguments for the function that runs the job."""
        return {name: getattr(self, name) for name in self.input_columns}


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True)
class Task(Generic[AnyJob]):
    """Kind of job, and the function that runs one with its inputs and a `report` callback."""

    registry: ClassVar[list["Task[Any]"]] = []

    kind: type[AnyJob]
    run: Callable[..., Result]

    def __post_init__(self) -> None:
        Task.registry.append(self)

    @property
    def name(self) -> str:
        """Name of this kind in the logs."""
        return str(self.kind.__tablename__)


class JobRunner(Resource, ABC):
    """Base of the resources that run jobs, here or in other processes."""

    @abstractmethod
    def notify(self) -> None:
        """Announce a queued job after its commit; returns at once and never raises."""
