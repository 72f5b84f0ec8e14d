"""Base class of long-lived resources: connection pools, clients."""

from abc import ABC, abstractmethod
# {% if database == "postgresql" %}
from typing import ClassVar, NamedTuple
# {% else %}
from typing import ClassVar
# {% endif %}

from app.settings import Settings


class StartError(Exception):
    """Raised when the service must not start; the message says which setting to change."""


# {% if database == "postgresql" %}
class ConnectionShare(NamedTuple):
    """Database connections that the processes of one kind may open."""

    purpose: str
    replicas: int
    processes: int
    connections: int

    @property
    def total(self) -> int:
        """Connections of all these processes together."""
        return self.replicas * self.processes * self.connections

    def __str__(self) -> str:
        return (
            f"{self.replicas} replicas x {self.processes} processes x "
            f"{self.connections} connections for {self.purpose}"
        )


# {% endif %}
class Resource(ABC):
    """Long-lived resource: opened at start-up, health-checked, closed at shutdown."""

    # True if the service works without this resource, only slower.
    optional: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # {% if database == "postgresql" %}
    @classmethod
    def connection_shares(cls, _settings: Settings) -> list[ConnectionShare]:
        """Return the database connections that this resource needs, for each kind of process."""
        return []

    # {% endif %}
    async def open(self) -> None:
        """Start up. Do not raise when a server is unavailable: `check` reports that."""

    @abstractmethod
    async def check(self) -> None:
        """Raise an exception if the resource is unavailable."""

    async def close(self) -> None:
        """Release everything, even after a failed `open`."""
