# {% from "includes/unasync.jinja" import unasync with context %}
"""The HTTP interface of users."""

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
    CursorDep,
    CursorsDep,
    HashSlot,
    IfMatch,
    IfNoneMatch,
    Limit,
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
# {% if redis_cache %}
from app.domains.users.cached import CachedUserReader
# {% endif %}
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.domains.users.schemas import Account, Profile, SignUp, UserUpdate
from app.domains.users.service import UserReader, UserService

router = APIRouter(prefix="/api/v1/users", tags=["users"])


async def get_reader(session: ReadSessionDep) -> UserReader:
    """The questions about users, on the session for reading."""
    return UserReader(UserRepository(session))


# {% if redis_cache %}
async def get_cached_reader(cache: CacheDep, database: UnreservedDatabaseDep) -> CachedUserReader:
    """The questions about users, with a session only for what the cache does not know."""
    return CachedUserReader(cache, database)


# {% endif %}
async def get_service(passwords: PasswordsDep, session: WriteSessionDep) -> UserService:
    """The rules of users, in the transaction of this request."""
    return UserService(UserRepository(session), passwords)


async def wait_to_hash_if_changed(
    change: UserUpdate, passwords: PasswordsDep
) -> AsyncIterator[None]:
    """A turn to hash the password, if it is one of the things to change."""
    async with AsyncExitStack() as stack:
        if change.password is not None:
            await stack.enter_async_context(passwords.bulkhead.slot())
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
    dependencies=[HashSlot],
)
async def create(form: SignUp, service: UserServiceDep, response: Response) -> User:
    """Sign up."""
    user = await service.sign_up(form)
    response.headers["Location"] = f"{router.prefix}/{user.id}"
    response.headers["ETag"] = etag(user)
    return user


@router.get("/me", response_model=Account)
async def get_me(
    caller: CallerDep,
    reader: UserReaderDep,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> User | Response:
    """The caller, private fields included."""
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
    """Change some of the caller's fields; with If-Match only if nobody else did since."""
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
    """Any user's public profile."""
    profile = await reader.get(user_id)
    return profile.response(if_none_match)
# {% else %}
async def get(
    user_id: UUID,
    reader: UserReaderDep,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> User | Response:
    """Any user's public profile."""
    user = await reader.get(user_id)
    return _or_not_modified(user, if_none_match, response)
# {% endif %}


@router.get("", dependencies=[RequireUser])
async def list_page(
    after: CursorDep,
    reader: UserReaderDep,
    cursors: CursorsDep,
    limit: Limit = 20,
) -> Page[Profile]:
    """Public profiles in the order of signing up, a page at a time."""
    rows = await reader.page(after, limit + 1)
    items = [Profile.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=cursors.encode(items[-1].id) if more else None)
# {% endcall %}


def _or_not_modified(user: User, if_none_match: str | None, response: Response) -> User | Response:
    """The user, or 304 when the caller holds this version already."""
    headers = tag_headers(etag(user))
    if if_none_match is not None and matches(if_none_match, headers["ETag"]):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    response.headers.update(headers)
    return user
