"""Requests and responses of the simulations' routes."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.core.http.schemas import Input, Schema
from app.core.jobs.model import Status

# About a minute of one core.
_MAX_WORK = 100_000_000


class SimulationForm(Input):
    """What to simulate: the same form gives the same result."""

    paths: Annotated[int, Field(ge=1, le=100_000)]
    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.paths * self.steps > _MAX_WORK:
            raise ValueError(f"paths times steps must be at most {_MAX_WORK}")
        return self


class Prices(Schema):
    """What a price of 1 became: in the mean, and what 5, 50 and 95 % of the paths stay below."""

    mean: float
    deviation: float
    p5: float
    p50: float
    p95: float


class SimulationState(Schema):
    """How far a simulation is, and what came of it."""

    id: UUID
    status: Status
    progress: Annotated[float, Field(ge=0, le=1)]
    result: Prices | None
    error: str | None
