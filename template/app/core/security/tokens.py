"""Access tokens (JWT)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt

from app.core.errors import Unauthenticated
from app.settings import Settings

# The algorithm is fixed: the one that a token's header names must not be trusted.
_ALGORITHM = "HS256"
_CLAIMS = ["exp", "iat", "jti", "sub"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Signed-in user, as named by the access token."""

    id: UUID


class Tokens:
    """Issuer and reader of access tokens."""

    def __init__(self, settings: Settings) -> None:
        self.lifetime_seconds = settings.access_token_seconds
        self._key = settings.secret_key.get_secret_value()

    def issue(self, subject: UUID) -> str:
        """Return an access token for the user with this id."""
        now = datetime.now(UTC)
        claims = {
            "sub": str(subject),
            "iat": now,
            "exp": now + timedelta(seconds=self.lifetime_seconds),
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read(self, token: str) -> Caller:
        """Return the caller named by the token; raises Unauthenticated."""
        try:
            # Clocks of replicas may differ by a few seconds.
            claims = jwt.decode(token, self._key, [_ALGORITHM], {"require": _CLAIMS}, leeway=5)
            return Caller(UUID(claims["sub"]))
        except (jwt.InvalidTokenError, ValueError):
            raise Unauthenticated from None
