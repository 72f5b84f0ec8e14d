"""Errors that become HTTP responses; domains derive their own from these."""

from typing import ClassVar


class ServiceError(Exception):
    """Base of errors with a message for the client; http/problems.py chooses the status."""

    message: ClassVar[str] = "The request could not be served."

    def __init__(self, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(self.message)
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(ServiceError):
    """Raised when a value has the right format but is not acceptable."""

    field: ClassVar[str]


class Unauthenticated(ServiceError):
    """Raised when the client is not signed in."""

    message = "Sign in: the token is missing, expired or not valid."


class Forbidden(ServiceError):
    """Raised when the caller may see the resource, but not do this with it."""

    message = "You may not do this."


class NotFound(ServiceError):
    """Raised when the resource does not exist, or the caller may not see it."""

    message = "The resource does not exist."


class Conflict(ServiceError):
    """Raised when a change conflicts with stored data."""

    message = "The request conflicts with stored data."


class PreconditionFailed(ServiceError):
    """Raised when the resource has changed since the caller read it."""

    message = "The resource has changed since you read it: read it again, then repeat the change."


class TooManyAttempts(ServiceError):
    """Raised when a rate limit is reached."""

    message = "Too many attempts: wait before the next one."


class Unavailable(ServiceError):
    """Raised when the service or a resource that it needs is unavailable."""

    message = "The service is not available at the moment: try again soon."

    def __init__(self, *, retry_after_seconds: int = 1) -> None:
        super().__init__(retry_after_seconds=retry_after_seconds)


class Overloaded(Unavailable):
    """Raised when the wait for a slot or a connection has timed out."""

    message = "The service is busy: try again soon."
