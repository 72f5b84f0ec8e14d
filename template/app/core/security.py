# {% from "includes/unasync.jinja" import unasync with context %}
"""Who is calling: tokens and passwords."""

# {% call unasync() %}
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
from anyio import to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core.bulkhead import Bulkhead
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


class Passwords:
    """Hashes passwords with argon2, a few at a time: each takes memory and a core."""

    def __init__(self, settings: Settings) -> None:
        argon2 = Argon2Hasher(memory_cost=settings.password_hash_memory_kib)
        self._hasher = PasswordHash([argon2])
        # Verified when there is no such user, so that the answer takes as long.
        self._nobody = self._hasher.hash(secrets.token_hex())
        self.bulkhead = Bulkhead(
            settings.password_hash_concurrency,
            settings.password_hash_wait_seconds,
        )

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await to_thread.run_sync(self._hasher.hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether it is the password of this hash; it takes as long if there is none."""
        hashed = stored or self._nobody
        valid = await to_thread.run_sync(self._hasher.verify, password, hashed)
        return valid and stored is not None


# {% endcall %}
