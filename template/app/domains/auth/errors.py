"""Errors of sign-in."""

from app.core.errors import Unauthenticated


class InvalidCredentials(Unauthenticated):
    """Raised for a wrong e-mail or a wrong password, without saying which."""

    message = "The e-mail or the password is wrong."
