"""The queries of simulations."""

from app.core.database.repository import Repository
from app.domains.simulations.models import Simulation


class SimulationRepository(Repository[Simulation]):
    """The rows of simulations."""

    model = Simulation
