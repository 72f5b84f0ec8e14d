# {% from "includes/unasync.jinja" import unasync with context %}
"""Public profiles of users, read through the cache."""

# {% call unasync() %}
from uuid import UUID

from app.core.cache.reading import reading
from app.core.cache.store import Answer, Cache, Cached
from app.core.database.engine import Database
from app.domains.users.errors import UserNotFound
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.domains.users.schemas import Profile
from app.domains.users.service import UserReader

PROFILES = Cached(User, Profile, UserNotFound)


class CachedUserReader:
    """Read operations on users: from Redis, or from the database on a cache miss."""

    def __init__(self, cache: Cache, database: Database) -> None:
        self._cache = cache
        self._database = database

    async def get(self, key: UUID) -> Answer:
        """Return any user's profile; raises UserNotFound."""
        return await self._cache.read(PROFILES, key, self._load)

    async def _load(self, key: UUID) -> User:
        async with reading(self._database) as session:
            return await UserReader(UserRepository(session)).get(key)


# {% endcall %}
