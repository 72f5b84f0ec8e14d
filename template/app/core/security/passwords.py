# {% from "includes/unasync.jinja" import unasync with context %}
"""The hashes of passwords."""

# {% call unasync() %}
import secrets

from anyio import to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core.bulkhead import Bulkhead
from app.settings import Settings


class Passwords:
    """Hashes passwords with argon2, a few at a time: each takes memory and a core."""

    def __init__(self, settings: Settings) -> None:
        argon2 = Argon2Hasher(memory_cost=settings.password_hash_memory_kib)
        self._hasher = PasswordHash([argon2])
        # Verified when there is no such user, so that the answer takes as long.
        self._dummy_hash = self._hasher.hash(secrets.token_hex())
        self.bulkhead = Bulkhead(
            settings.password_hash_concurrency,
            settings.password_hash_wait_seconds,
        )

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await to_thread.run_sync(self._hasher.hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether it is the password of this hash; it takes as long if there is none."""
        hashed = stored or self._dummy_hash
        valid = await to_thread.run_sync(self._hasher.verify, password, hashed)
        return valid and stored is not None


# {% endcall %}
