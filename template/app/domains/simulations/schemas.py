"""Requests and responses of the simulation routes."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.core.http.schemas import Input, Schema
from app.core.jobs.model import Status

# This many steps in all take one core about a minute.
_MAX_WORK = 100_000_000


class SimulationForm(Input):
    """Parameters of a simulation; equal parameters have equal results."""

    paths: Annotated[int, Field(ge=1, le=100_000)]
    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.paths * self.steps > _MAX_WORK:
            raise ValueError(f"paths times steps must be at most {_MAX_WORK}")
        return self


class Prices(Schema):
    """Final prices, starting at 1: mean, standard deviation, 5th, 50th and 95th percentiles."""

    mean: float
    deviation: float
    p5: float
    p50: float
    p95: float


class SimulationState(Schema):
    """Status, progress and result of a simulation."""

    id: UUID
    status: Status
    progress: Annotated[float, Field(ge=0, le=1)]
    result: Prices | None
    error: str | None
