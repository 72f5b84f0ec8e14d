"""Errors of signing in."""

from app.core.errors import Unauthenticated


class InvalidCredentials(Unauthenticated):
    """The address or the password, and nobody is told which."""

    message = "The address or the password is wrong."
