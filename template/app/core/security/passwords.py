# {% from "includes/unasync.jinja" import unasync with context %}
"""Password hashing."""

# {% call unasync() %}
import secrets

from anyio import to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core.bulkhead import Bulkhead
from app.settings import Settings


class Passwords:
    """Password hasher (argon2) with limited concurrency: each hash needs memory and a CPU."""

    def __init__(self, settings: Settings) -> None:
        argon2 = Argon2Hasher(memory_cost=settings.password_hash_memory_kib)
        self._hasher = PasswordHash([argon2])
        # Verified for an unknown user, so that the response takes as long as for a known one.
        self._dummy_hash = self._hasher.hash(secrets.token_hex())
        size, seconds = settings.password_hash_concurrency, settings.password_hash_wait_seconds
        self.bulkhead = Bulkhead(size, seconds)
        # New passwords have slots of their own: a wave of sign-ups must not delay sign-ins.
        self.new_bulkhead = Bulkhead(max(1, size // 4), seconds)

    async def hash(self, password: str) -> str:
        """Return the hash to store."""
        return await to_thread.run_sync(self._hasher.hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Return whether the password matches; takes as long when there is no stored hash."""
        hashed = stored or self._dummy_hash
        valid = await to_thread.run_sync(self._hasher.verify, password, hashed)
        return valid and stored is not None


# {% endcall %}
