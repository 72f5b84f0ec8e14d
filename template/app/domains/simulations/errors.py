"""Errors of simulations."""

from app.core.errors import Conflict, NotFound


class SimulationNotFound(NotFound):
    """There is none with this id, or it is somebody else's."""

    message = "There is no such simulation."


class SimulationEnded(Conflict):
    """What has ended cannot be cancelled."""

    message = "This simulation has ended already."
