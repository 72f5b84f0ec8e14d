# {% from "includes/unasync.jinja" import unasync with context %}
"""The rules of users."""

# {% call unasync() %}
from collections.abc import Sequence
from uuid import UUID

from app.core.errors import PreconditionFailed, Unauthenticated
from app.core.http.etags import etag, matches
from app.core.security.passwords import Passwords
from app.core.security.tokens import Caller
from app.domains.users.errors import UserNotFound
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.domains.users.schemas import SignUp, UserUpdate


class UserReader:
    """Read operations on users."""

    def __init__(self, users: UserRepository) -> None:
        self._users = users

    async def get(self, key: UUID) -> User:
        """Return any user; raises UserNotFound."""
        user = await self._users.get(key)
        if user is None:
            raise UserNotFound
        return user

    async def get_me(self, caller: Caller) -> User:
        """Return the caller; raises Unauthenticated if the account was deleted."""
        user = await self._users.get(caller.id)
        if user is None:
            raise Unauthenticated
        return user

    async def get_by_email(self, email: str) -> User | None:
        """Return the user with this e-mail, which must be in lower case, or None."""
        return await self._users.get_by(email=email)

    async def page(self, after: UUID | None, limit: int) -> Sequence[User]:
        """Return up to `limit` users in the order of sign-up, starting after the id `after`."""
        return await self._users.page(after, limit)

    async def get_for_update(self, caller: Caller) -> User:
        """Return the caller, locked until the transaction ends; raises Unauthenticated."""
        user = await self._users.get_for_update(caller.id)
        if user is None:
            raise Unauthenticated
        return user


class UserService(UserReader):
    """Sign-up, and changes of users to their own accounts."""

    def __init__(self, users: UserRepository, passwords: Passwords) -> None:
        super().__init__(users)
        self._passwords = passwords

    async def sign_up(self, form: SignUp) -> User:
        """Create a user; raises EmailTaken."""
        password_hash = await self._passwords.hash(form.password)
        user = User(email=form.email, name=form.name, password_hash=password_hash)
        await self._users.add(user)
        return user

    async def change(self, caller: Caller, change: UserUpdate, if_match: str | None) -> User:
        """Change the caller's account; raises EmailTaken, PreconditionFailed, Unauthenticated."""
        values = change.model_dump(exclude_unset=True, exclude={"password"})
        if "password" in change.model_fields_set:
            values["password_hash"] = await self._passwords.hash(change.password)
        user = await self._lock_version(caller, if_match)
        for name, value in values.items():
            setattr(user, name, value)
        await self._users.flush()
        return user

    async def delete(self, caller: Caller, if_match: str | None) -> None:
        """Delete the caller's account; raises PreconditionFailed, Unauthenticated."""
        user = await self._lock_version(caller, if_match)
        await self._users.delete(user)

    async def _lock_version(self, caller: Caller, if_match: str | None) -> User:
        # Locking before comparing makes a concurrent change wait, and then see our version.
        user = await self.get_for_update(caller)
        if if_match is not None and not matches(if_match, etag(user)):
            raise PreconditionFailed
        return user


# {% endcall %}
