"""The base of what the process holds open: a pool of connections, a client."""

from abc import ABC, abstractmethod
from typing import ClassVar

from app.settings import Settings


class StartError(Exception):
    """The service must not start as it is; the message says what to change."""


class Resource(ABC):
    """A thing that is opened once a process, can be asked how it is, and is closed at the end."""

    # Whether the service serves on without it, only slower.
    optional: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def open(self) -> None:
        """Get ready. A server that is away is no reason to fail: say so in `check`."""

    @abstractmethod
    async def check(self) -> None:
        """Raise when it cannot serve at the moment."""

    async def close(self) -> None:
        """Let go of everything, also after an `open` that failed."""
