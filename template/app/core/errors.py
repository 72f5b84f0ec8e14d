"""The kinds of errors that callers are told of; domains derive their own from them."""

from typing import ClassVar


class ServiceError(Exception):
    """Something a caller is told, in a sentence; problems.py turns it into HTTP."""

    message: ClassVar[str] = "The request could not be served."

    def __init__(self, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(self.message)
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(ServiceError):
    """What was sent is well-formed, and means nothing here."""

    field: ClassVar[str]


class Unauthenticated(ServiceError):
    """Nobody the service knows is calling."""

    message = "Sign in: the token is missing, expired or not valid."


class NotFound(ServiceError):
    """There is no such thing, or it is not the caller's to see."""

    message = "There is no such thing."


class Conflict(ServiceError):
    """It contradicts what is stored."""

    message = "This contradicts what is stored already."


class PreconditionFailed(ServiceError):
    """It was changed since the caller read it."""

    message = "It was changed in the meantime: read it again, then repeat the change."


class TooManyAttempts(ServiceError):
    """The caller has to wait."""

    message = "Too many attempts: wait before the next one."


class Unavailable(ServiceError):
    """The service, or something it needs, cannot serve at the moment."""

    message = "The service is not available at the moment: try again soon."

    def __init__(self, *, retry_after_seconds: int = 1) -> None:
        super().__init__(retry_after_seconds=retry_after_seconds)


class Overloaded(Unavailable):
    """It waited for its turn for too long."""

    message = "The service is busy: try again soon."
