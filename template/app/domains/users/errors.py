"""Errors of users."""

from app.core.errors import Conflict, NotFound


class EmailTaken(Conflict):
    """Two users cannot share an address."""

    message = "This address is registered already."


class UserNotFound(NotFound):
    """Nobody has this id."""

    message = "There is no such user."
