# {% from "includes/unasync.jinja" import unasync with context %}
"""The rules of sign-in."""

# {% call unasync() %}
import structlog

from app.core.security.passwords import Passwords
from app.core.security.tokens import Tokens
from app.domains.auth.errors import InvalidCredentials
from app.domains.auth.schemas import SignIn, Token
from app.domains.users.service import UserReader

log = structlog.get_logger()


class AuthService:
    """Sign-in with e-mail and password."""

    def __init__(self, users: UserReader, passwords: Passwords, tokens: Tokens) -> None:
        self._users = users
        self._passwords = passwords
        self._tokens = tokens

    async def sign_in(self, form: SignIn, ip: str) -> Token:
        """Return an access token; raises InvalidCredentials."""
        user = await self._users.get_by_email(form.username)
        stored = user.password_hash if user else None
        valid = await self._passwords.verify(form.password, stored)
        if user is None or not valid:
            log.warning("sign_in_failed", ip=ip)
            raise InvalidCredentials
        log.info("signed_in", user_id=str(user.id), ip=ip)
        token = self._tokens.issue(user.id)
        return Token(access_token=token, expires_in=self._tokens.lifetime_seconds)


# {% endcall %}
