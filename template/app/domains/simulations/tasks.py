"""Task that runs simulations."""

from app.core.jobs.model import Task
from app.domains.simulations.compute import simulate
from app.domains.simulations.models import Simulation

SIMULATE = Task(Simulation, simulate)
