"""Who is calling: the tokens of callers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt

from app.core.errors import Unauthenticated
from app.settings import Settings

# One algorithm, ours: never the one that a token's header names.
_ALGORITHM = "HS256"
_CLAIMS = ["exp", "iat", "jti", "sub"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, from the token alone."""

    id: UUID


class Tokens:
    """Signs the tokens of callers, and reads them back."""

    def __init__(self, settings: Settings) -> None:
        self.lifetime_seconds = settings.access_token_seconds
        self._key = settings.secret_key.get_secret_value()

    def issue(self, subject: UUID) -> str:
        """A token for the one with this id."""
        now = datetime.now(UTC)
        claims = {
            "sub": str(subject),
            "iat": now,
            "exp": now + timedelta(seconds=self.lifetime_seconds),
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read(self, token: str) -> Caller:
        """Who the token was issued to; raises Unauthenticated."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                [_ALGORITHM],
                {"require": _CLAIMS},
                # The clocks of two replicas differ.
                leeway=5,
            )
            return Caller(UUID(claims["sub"]))
        except (jwt.InvalidTokenError, ValueError):
            raise Unauthenticated from None
