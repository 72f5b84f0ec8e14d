"""Queries of simulations."""

from app.core.database.repository import Repository
from app.domains.simulations.models import Simulation


class SimulationRepository(Repository[Simulation]):
    """Queries of the simulations table."""

    model = Simulation
