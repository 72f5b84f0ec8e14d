# {% from "includes/unasync.jinja" import unasync with context %}
"""HTTP routes of users."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response, status

from app.core.dependencies import (
    # {% if redis_cache %}
    CacheDep,
    # {% endif %}
    CallerDep,
    ClientIpDep,
    CursorDep,
    CursorsDep,
    IfMatch,
    IfNoneMatch,
    Limit,
    LimiterDep,
    NewHashSlot,
    PasswordsDep,
    ReadSessionDep,
    RequireUser,
    # {% if redis_cache %}
    UnreservedDatabaseDep,
    # {% endif %}
    WriteSessionDep,
)
from app.core.http.etags import etag, matches, tag_headers
from app.core.http.schemas import Page
from app.core.security.rate_limit import AttemptLimit
# {% if redis_cache %}
from app.domains.users.cached import CachedUserReader
# {% endif %}
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.domains.users.schemas import Account, Profile, SignUp, UserUpdate
from app.domains.users.service import UserReader, UserService

router = APIRouter(prefix="/api/v1/users", tags=["users"])


async def get_reader(session: ReadSessionDep) -> UserReader:
    """Build the user reader on a read session."""
    return UserReader(UserRepository(session))


# {% if redis_cache %}
async def get_cached_reader(cache: CacheDep, database: UnreservedDatabaseDep) -> CachedUserReader:
    """Build the cached reader, which opens a session only on a cache miss."""
    return CachedUserReader(cache, database)


# {% endif %}
async def get_service(passwords: PasswordsDep, session: WriteSessionDep) -> UserService:
    """Build the user service in the transaction of this request."""
    return UserService(UserRepository(session), passwords)


async def limit_sign_up(
    form: SignUp,  # noqa: ARG001 - an invalid form is refused before it counts
    ip: ClientIpDep,
    limiter: LimiterDep,
) -> AsyncIterator[None]:
    """Refuse too many sign-ups from one IP address; raises TooManyAttempts."""
    limit = AttemptLimit(f"sign-up {ip}", limiter.settings.sign_ups_per_ip, "count")
    async with limiter.attempt(limit):
        yield


async def wait_to_hash_if_changed(
    change: UserUpdate, passwords: PasswordsDep
) -> AsyncIterator[None]:
    """Hold a slot for hashing if the password changes; raises Overloaded."""
    async with AsyncExitStack() as stack:
        if "password" in change.model_fields_set:
            await stack.enter_async_context(passwords.new_bulkhead.slot())
        yield


UserReaderDep = Annotated[UserReader, Depends(get_reader)]
# {% if redis_cache %}
CachedUserReaderDep = Annotated[CachedUserReader, Depends(get_cached_reader)]
# {% endif %}
UserServiceDep = Annotated[UserService, Depends(get_service)]


# {% call unasync() %}
@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=Account,
    dependencies=[Depends(limit_sign_up, scope="function"), NewHashSlot],
)
async def create(form: SignUp, service: UserServiceDep, response: Response) -> User:
    """Create an account."""
    user = await service.sign_up(form)
    response.headers["Location"] = f"{router.prefix}/{user.id}"
    response.headers["ETag"] = etag(user)
    return user


@router.get("/me", response_model=Account)
async def get_me(
    caller: CallerDep, reader: UserReaderDep, response: Response, if_none_match: IfNoneMatch = None
) -> User | Response:
    """Return the caller's account, private fields included."""
    user = await reader.get_me(caller)
    return _or_not_modified(user, if_none_match, response)


@router.patch(
    "/me",
    response_model=Account,
    dependencies=[Depends(wait_to_hash_if_changed, scope="function")],
)
async def update_me(
    caller: CallerDep,
    change: UserUpdate,
    service: UserServiceDep,
    response: Response,
    if_match: IfMatch = None,
) -> User:
    """Change the caller's account; with If-Match, only if the version is still that one."""
    user = await service.change(caller, change, if_match)
    response.headers["ETag"] = etag(user)
    return user


@router.delete("/me", status_code=status.HTTP_204_NO_CONTENT)
async def delete_me(caller: CallerDep, service: UserServiceDep, if_match: IfMatch = None) -> None:
    """Delete the caller's account."""
    await service.delete(caller, if_match)


@router.get("/{user_id}", response_model=Profile, dependencies=[RequireUser])
# {% if redis_cache %}
async def get(
    user_id: UUID,
    reader: CachedUserReaderDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return any user's public profile."""
    profile = await reader.get(user_id)
    return profile.response(if_none_match)
# {% else %}
async def get(
    user_id: UUID, reader: UserReaderDep, response: Response, if_none_match: IfNoneMatch = None
) -> User | Response:
    """Return any user's public profile."""
    user = await reader.get(user_id)
    return _or_not_modified(user, if_none_match, response)
# {% endif %}


@router.get("", dependencies=[RequireUser])
async def list_page(
    after: CursorDep, reader: UserReaderDep, cursors: CursorsDep, limit: Limit = 20
) -> Page[Profile]:
    """Return a page of public profiles, in the order of sign-up."""
    rows = await reader.page(after, limit + 1)
    items = [Profile.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=cursors.encode(items[-1].id) if more else None)
# {% endcall %}


def _or_not_modified(user: User, if_none_match: str | None, response: Response) -> User | Response:
    """Return the user, or a 304 response if the client has this version already."""
    headers = tag_headers(etag(user))
    if if_none_match is not None and matches(if_none_match, headers["ETag"]):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    response.headers.update(headers)
    return user
