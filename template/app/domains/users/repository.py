"""Queries of users."""

from collections.abc import Mapping
from typing import ClassVar

from app.core.database.repository import Repository
from app.core.errors import Conflict
from app.domains.users.errors import EmailTaken
from app.domains.users.models import User


class UserRepository(Repository[User]):
    """Queries of the users table."""

    model = User
    conflicts: ClassVar[Mapping[str, type[Conflict]]] = {"uq_users_email": EmailTaken}
