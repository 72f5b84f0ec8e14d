# {% from "includes/unasync.jinja" import unasync with context %}
"""The rules of simulations."""

# {% call unasync() %}
from uuid import UUID

from app.core.jobs.queue import JobQueue
from app.core.security.tokens import Caller
from app.domains.simulations.errors import SimulationEnded, SimulationNotFound
from app.domains.simulations.models import Simulation
from app.domains.simulations.repository import SimulationRepository
from app.domains.simulations.schemas import SimulationForm
from app.domains.users.service import UserReader


class SimulationReader:
    """Read operations on simulations; callers see only their own."""

    def __init__(self, simulations: SimulationRepository) -> None:
        self._simulations = simulations

    async def get(self, caller: Caller, key: UUID) -> Simulation:
        """Return the caller's simulation; raises SimulationNotFound."""
        simulation = await self._simulations.get_by(id=key, owner_id=caller.id)
        if simulation is None:
            raise SimulationNotFound
        return simulation


class SimulationService(SimulationReader):
    """Submitting and cancelling simulations."""

    def __init__(
        self, simulations: SimulationRepository, queue: JobQueue[Simulation], users: UserReader
    ) -> None:
        super().__init__(simulations)
        self._queue = queue
        self._users = users

    async def submit(
        self, caller: Caller, form: SimulationForm, idempotency_key: str | None
    ) -> tuple[Simulation, bool]:
        """Queue a simulation unless one has this key; return that simulation, and True if new.

        Raises KeyReused, TooManyJobs, BacklogFull, Unauthenticated.
        """
        await self._users.get_for_update(caller)
        new = Simulation(owner_id=caller.id, idempotency_key=idempotency_key, **form.model_dump())
        simulation = await self._queue.submit(new)
        return simulation, simulation is new

    async def cancel(self, caller: Caller, key: UUID) -> None:
        """Cancel the caller's simulation; raises SimulationEnded, SimulationNotFound."""
        simulation = await self._simulations.get_for_update(key)
        if simulation is None or simulation.owner_id != caller.id:
            raise SimulationNotFound
        cancelled = await self._queue.cancel(simulation)
        if not cancelled:
            raise SimulationEnded


# {% endcall %}
