# {% from "includes/unasync.jinja" import unasync with context %}
"""FastAPI dependencies; those without I/O are `async def`, which needs no thread."""

# {% if sqlalchemy == "sync" %}
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
# {% else %}
from collections.abc import AsyncIterator, Awaitable, Callable
# {% endif %}
from typing import Annotated, TypeVar, cast
from uuid import UUID

from fastapi import Depends, Header, Query
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer

# {% if redis_cache %}
from app.core.cache.shared_rate_limit import SharedAttemptLimiter
from app.core.cache.store import Cache
# {% endif %}
from app.core.database.engine import Database
from app.core.database.transactions import ReadSession, WriteSession
from app.core.errors import Unauthenticated
from app.core.http.pagination import Cursors
# {% if cpu_jobs != "none" %}
from app.core.jobs.model import JobRunner
from app.core.jobs.runner import Runner
# {% endif %}
from app.core.security.passwords import Passwords
from app.core.security.rate_limit import AttemptLimiter
from app.core.security.tokens import Caller, Tokens

Component = TypeVar("Component")


def component(kind: type[Component]) -> Callable[[HTTPConnection], Awaitable[Component]]:
    """Return a dependency that provides the application's instance of `kind`."""

    async def get(connection: HTTPConnection) -> Component:
        return cast(Component, connection.app.state.components[kind])

    return get


CursorsDep = Annotated[Cursors, Depends(component(Cursors))]
PasswordsDep = Annotated[Passwords, Depends(component(Passwords))]
TokensDep = Annotated[Tokens, Depends(component(Tokens))]
# {% if cpu_jobs != "none" %}
JobRunnerDep = Annotated[JobRunner, Depends(component(Runner))]
# {% endif %}
# {% if redis_cache %}
CacheDep = Annotated[Cache, Depends(component(Cache))]
# For cached reads, which wait for a connection (with `reading`) only on a cache miss.
UnreservedDatabaseDep = Annotated[Database, Depends(component(Database))]


async def get_limiter(
    cache: CacheDep, local: Annotated[AttemptLimiter, Depends(component(AttemptLimiter))]
) -> SharedAttemptLimiter:
    """Return the rate limiter that all processes share."""
    return SharedAttemptLimiter(cache, local)


LimiterDep = Annotated[SharedAttemptLimiter, Depends(get_limiter)]
# {% else %}
LimiterDep = Annotated[AttemptLimiter, Depends(component(AttemptLimiter))]
# {% endif %}


async def wait_to_hash(passwords: PasswordsDep) -> AsyncIterator[None]:
    """Hold a slot for hashing a password; raises Overloaded."""
    async with passwords.bulkhead.slot():
        yield


async def wait_to_hash_new(passwords: PasswordsDep) -> AsyncIterator[None]:
    """Hold a slot for hashing a new password; raises Overloaded."""
    async with passwords.new_bulkhead.slot():
        yield


# For routes that hash a password: no database connection is held during the wait for a slot.
HashSlot = Depends(wait_to_hash, scope="function")
NewHashSlot = Depends(wait_to_hash_new, scope="function")


async def get_database(
    database: Annotated[Database, Depends(component(Database))],
) -> AsyncIterator[Database]:
    """Return the database and hold a connection slot for this request; raises Overloaded."""
    async with database.bulkhead.slot():
        yield database


DatabaseDep = Annotated[Database, Depends(get_database, scope="function")]


# {% call unasync() %}
async def get_read_session(database: DatabaseDep) -> AsyncIterator[ReadSession]:
    """Open a session for reading, closed before the response."""
    async with database.read() as session:
        yield session


# {% if redis_cache %}
async def get_write_session(database: DatabaseDep, cache: CacheDep) -> AsyncIterator[WriteSession]:
    """Open the transaction of this request, committed before the response."""
    async with database.write() as session:
        cache.invalidate_on_commit(session)
        yield session
# {% else %}
async def get_write_session(database: DatabaseDep) -> AsyncIterator[WriteSession]:
    """Open the transaction of this request, committed before the response."""
    async with database.write() as session:
        yield session
# {% endif %}
# {% endcall %}


# A request uses one of the two: two connections per request would starve the pool.
ReadSessionDep = Annotated[ReadSession, Depends(get_read_session, scope="function")]
WriteSessionDep = Annotated[WriteSession, Depends(get_write_session, scope="function")]

_bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


async def get_caller(tokens: TokensDep, token: Annotated[str | None, Depends(_bearer)]) -> Caller:
    """Return the caller from the access token, without a query; raises Unauthenticated."""
    if token is None:
        raise Unauthenticated
    return tokens.read(token)


CallerDep = Annotated[Caller, Depends(get_caller)]
RequireUser = Depends(get_caller)


async def get_client_ip(connection: HTTPConnection) -> str:
    """Return the IP address of the client."""
    return connection.client.host if connection.client else "unknown"


ClientIpDep = Annotated[str, Depends(get_client_ip)]


async def get_cursor(
    cursors: CursorsDep, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> UUID | None:
    """Return the id of the last row of the previous page; raises InvalidCursor."""
    return None if cursor is None else cursors.decode(cursor)


CursorDep = Annotated[UUID | None, Depends(get_cursor)]
Limit = Annotated[int, Query(ge=1, le=100)]
IfMatch = Annotated[str | None, Header()]
IfNoneMatch = Annotated[str | None, Header()]
