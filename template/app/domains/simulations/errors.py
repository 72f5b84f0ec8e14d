"""Errors of simulations."""

from app.core.errors import Conflict, NotFound


class SimulationNotFound(NotFound):
    """Raised when the caller has no simulation with this id."""

    message = "There is no such simulation."


class SimulationEnded(Conflict):
    """Raised when the simulation to cancel has ended."""

    message = "This simulation has ended already."
