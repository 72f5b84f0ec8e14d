"""The base of what the process holds open: a pool of connections, a client."""

from abc import ABC, abstractmethod
# {% if database == "postgresql" %}
from typing import ClassVar, NamedTuple
# {% else %}
from typing import ClassVar
# {% endif %}

from app.settings import Settings


class StartError(Exception):
    """The service must not start as it is; the message says what to change."""


# {% if database == "postgresql" %}
class ConnectionShare(NamedTuple):
    """Processes of one kind, and how many connections to the database each may take."""

    purpose: str
    replicas: int
    processes: int
    connections: int

    @property
    def total(self) -> int:
        """Of all of them."""
        return self.replicas * self.processes * self.connections

    def __str__(self) -> str:
        return (
            f"{self.replicas} replicas x {self.processes} processes x "
            f"{self.connections} connections for {self.purpose}"
        )


# {% endif %}
class Resource(ABC):
    """A thing that is opened once a process, can be asked how it is, and is closed at the end."""

    # Whether the service serves on without it, only slower.
    optional: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # {% if database == "postgresql" %}
    @classmethod
    def connection_shares(cls, _settings: Settings) -> list[ConnectionShare]:
        """Return the connections to the database that it takes, for each kind of process."""
        return []

    # {% endif %}
    async def open(self) -> None:
        """Get ready. A server that is away is no reason to fail: say so in `check`."""

    @abstractmethod
    async def check(self) -> None:
        """Raise when it cannot serve at the moment."""

    async def close(self) -> None:
        """Let go of everything, also after an `open` that failed."""
