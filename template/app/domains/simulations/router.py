# {% from "includes/unasync.jinja" import unasync with context %}
"""HTTP routes of simulations."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response, status

from app.core.dependencies import CallerDep, JobRunnerDep, ReadSessionDep, WriteSessionDep
from app.core.jobs.queue import JobQueue
from app.domains.simulations.models import Simulation
from app.domains.simulations.repository import SimulationRepository
from app.domains.simulations.schemas import SimulationForm, SimulationState
from app.domains.simulations.service import SimulationReader, SimulationService
from app.domains.simulations.tasks import SIMULATE
from app.domains.users.router import UserServiceDep

router = APIRouter(prefix="/api/v1/simulations", tags=["simulations"])

IdempotencyKey = Annotated[str | None, Header(pattern="^[\x20-\x7e]{1,255}$")]


async def get_reader(session: ReadSessionDep) -> SimulationReader:
    """Build the simulation reader on a read session."""
    return SimulationReader(SimulationRepository(session))


async def get_service(
    session: WriteSessionDep, runner: JobRunnerDep, users: UserServiceDep
) -> SimulationService:
    """Build the simulation service in the transaction of this request."""
    queue = JobQueue(SIMULATE, session, runner)
    return SimulationService(SimulationRepository(session), queue, users)


SimulationReaderDep = Annotated[SimulationReader, Depends(get_reader)]
SimulationServiceDep = Annotated[SimulationService, Depends(get_service)]


# {% call unasync() %}
@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=SimulationState,
    responses={200: {"model": SimulationState, "description": "Submitted before with this key"}},
)
async def create(
    caller: CallerDep,
    form: SimulationForm,
    service: SimulationServiceDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Simulation:
    """Submit a simulation; retries with the same Idempotency-Key return the first one."""
    simulation, is_new = await service.submit(caller, form, idempotency_key)
    response.headers["Location"] = f"{router.prefix}/{simulation.id}"
    if not is_new:
        response.status_code = status.HTTP_200_OK
    return simulation


@router.get("/{simulation_id}", response_model=SimulationState)
async def get(caller: CallerDep, simulation_id: UUID, reader: SimulationReaderDep) -> Simulation:
    """Return the state of one of the caller's simulations."""
    return await reader.get(caller, simulation_id)


@router.delete("/{simulation_id}", status_code=status.HTTP_204_NO_CONTENT)
async def cancel(caller: CallerDep, simulation_id: UUID, service: SimulationServiceDep) -> None:
    """Cancel one of the caller's simulations; a running one ends soon after."""
    await service.cancel(caller, simulation_id)


# {% endcall %}
