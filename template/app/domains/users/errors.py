"""Errors of users."""

from app.core.errors import Conflict, NotFound


class EmailTaken(Conflict):
    """Raised when another user has this e-mail."""

    message = "This e-mail is registered already."


class UserNotFound(NotFound):
    """Raised when no user has this id."""

    message = "There is no such user."
