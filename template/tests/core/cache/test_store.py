# {% from "includes/unasync.jinja" import unasync with context %}
"""Cache of responses: stored values, TTLs, leases and invalidation."""

# {% call unasync() %}
# {% if sqlalchemy == "async" %}
import asyncio
# {% endif %}
from collections.abc import AsyncIterator, Awaitable, Callable
# {% if sqlalchemy == "sync" %}
from concurrent.futures import ThreadPoolExecutor
# {% endif %}
from datetime import UTC, datetime
# {% if sqlalchemy == "sync" %}
from time import monotonic, sleep
# {% else %}
from time import monotonic
# {% endif %}
from typing import Any
from uuid import UUID, uuid4

import pytest
# {% if sqlalchemy == "async" %}
from anyio import sleep
# {% endif %}
from fastapi import FastAPI
from sqlalchemy import event

from app.core.cache import store as module
from app.core.cache.store import Answer, Cache, Cached
from app.core.database.engine import Database
from app.core.errors import ServiceError
from app.core.http.schemas import Schema
from app.domains.users.cached import PROFILES, CachedUserReader
from app.domains.users.errors import UserNotFound
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.main import create_app
from tests.client import serve
from tests.settings import make_settings

Change = Callable[[UserRepository], Awaitable[None]]


class Source:
    """Source of one row, with a count of its loads."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.row = User(id=uuid4(), email="-", name="Ann", password_hash="-", version=1)
        self.row.created_at = self.row.updated_at = now
        self.loads = 0

    async def load(self, key: UUID) -> User:
        """Return the row with this id; raises UserNotFound."""
        self.loads += 1
        if key != self.row.id:
            raise UserNotFound
        return self.row


@pytest.fixture
def source() -> Source:
    """Return a source with one row."""
    return Source()


@pytest.fixture
def app(lasting_url: str) -> FastAPI:
    """Return an application whose transactions commit."""
    return create_app(make_settings(lasting_url))


@pytest.fixture
async def cache(app: FastAPI) -> AsyncIterator[Cache]:
    """Serve the application, and return its empty cache."""
    async with serve(app):
        yield app.state.components[Cache]


@pytest.fixture
def name(cache: Cache, source: Source) -> str:
    """Return the Redis key of the row's profile."""
    return f"{cache.settings.cache_prefix}:users.Profile:{source.row.id}"


async def test_loaded_row_is_stored_as_its_response(cache: Cache, source: Source) -> None:
    first = await cache.read(PROFILES, source.row.id, source.load)
    second = await cache.read(PROFILES, source.row.id, source.load)
    assert first == second == PROFILES.answer(source.row)
    assert source.loads == 1


async def test_value_expires_after_its_ttl(cache: Cache, source: Source, name: str) -> None:
    await cache.read(PROFILES, source.row.id, source.load)
    left_milliseconds = await cache.client.pttl(name)
    assert 30_000 < left_milliseconds <= 60_000
    await cache.client.pexpire(name, 1)
    await sleep(0.01)
    await cache.read(PROFILES, source.row.id, source.load)
    assert source.loads == 2


async def test_missing_row_is_stored_briefly(
    cache: Cache, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MISSING_SECONDS", 600)
    missing = uuid4()
    for _ in range(5):
        with pytest.raises(UserNotFound):
            await cache.read(PROFILES, missing, source.load)
    assert source.loads == 1
    name = f"{cache.settings.cache_prefix}:users.Profile:{missing}"
    assert 500_000 < await cache.client.pttl(name) <= 600_000
    await cache.client.delete(name)
    with pytest.raises(UserNotFound):
        await cache.read(PROFILES, missing, source.load)
    assert source.loads == 2


async def test_invalidated_row_is_loaded_again(cache: Cache, source: Source) -> None:
    await cache.read(PROFILES, source.row.id, source.load)
    await cache.invalidate(PROFILES, source.row.id)
    await cache.read(PROFILES, source.row.id, source.load)
    assert source.loads == 2


async def test_load_before_an_invalidation_is_not_stored(cache: Cache, source: Source) -> None:
    async def load_and_invalidate(key: UUID) -> User:
        row = await source.load(key)
        await cache.invalidate(PROFILES, key)
        return row

    await cache.read(PROFILES, source.row.id, load_and_invalidate)
    source.row.name = "Anna"
    answer = await cache.read(PROFILES, source.row.id, source.load)
    assert b'"Anna"' in answer.body


async def test_failed_load_ends_the_lease(cache: Cache, source: Source, name: str) -> None:
    async def fail(key: UUID) -> User:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cache.read(PROFILES, source.row.id, fail)
    assert not await cache.client.exists(name)


async def test_load_succeeds_if_redis_fails_during_the_load(
    cache: Cache, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(key: UUID) -> User:
        monkeypatch.setattr(cache, "up", False)
        return await source.load(key)

    answer = await cache.read(PROFILES, source.row.id, load)
    assert answer == PROFILES.answer(source.row)


async def test_wait_for_the_lease_of_a_dead_process_is_limited(
    cache: Cache, source: Source, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LEASE_SECONDS", 0.1)
    await cache.client.set(name, b"lease:of another process")
    await cache.read(PROFILES, source.row.id, source.load)
    await cache.read(PROFILES, source.row.id, source.load)
    # The row is served but not stored, because another process holds the lease.
    assert source.loads == 2


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"garbage",
        b"\xff" * 200,
        b'{"name": "Eve"}',
        PROFILES.pack(None) + b"more",
        PROFILES.pack(PROFILES.answer(Source().row))[:-1],
        PROFILES.pack(PROFILES.answer(Source().row)).replace(b"Ann", b"Eve"),
    ],
    ids=["empty", "text", "bytes", "json", "longer", "shorter", "changed"],
)
async def test_garbage_is_replaced(cache: Cache, source: Source, name: str, garbage: bytes) -> None:
    await cache.client.set(name, garbage)
    for _ in range(2):
        answer = await cache.read(PROFILES, source.row.id, source.load)
        assert answer == PROFILES.answer(source.row)
    assert source.loads == 1


async def test_key_of_another_type_is_replaced(cache: Cache, source: Source, name: str) -> None:
    await cache.client.rpush(name, "a list")
    for _ in range(2):
        await cache.read(PROFILES, source.row.id, source.load)
    assert source.loads == 1
    assert cache.up


class Profile(Schema):
    """Profile of another deployment, with another shape under the same name."""

    id: UUID


async def test_another_shape_is_ignored_and_invalidated(
    cache: Cache, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cached, "registry", [*Cached.registry])
    theirs = Cached(User, Profile, UserNotFound)
    assert theirs.name == PROFILES.name
    await cache.read(theirs, source.row.id, source.load)
    ours = await cache.read(PROFILES, source.row.id, source.load)
    assert b'"Ann"' in ours.body
    # Writes of the other deployment invalidate our value, whatever its shape.
    await cache.invalidate(theirs, source.row.id)
    await cache.read(PROFILES, source.row.id, source.load)
    assert source.loads == 3


async def test_commit_invalidates_and_rollback_does_not(
    cache: Cache, app: FastAPI, source: Source, name: str
) -> None:
    database = app.state.components[Database]

    async def write(change: Change, *, fails: bool = False) -> None:
        async with database.write() as session:
            cache.invalidate_on_commit(session)
            users = UserRepository(session)
            await change(users)
            await users.flush()
            assert await cache.client.exists(name), "invalidated before the commit"
            if fails:
                raise ZeroDivisionError

    async def add(users: UserRepository) -> None:
        await users.add(source.row)

    async def rename(users: UserRepository) -> None:
        row = await users.get_for_update(source.row.id)
        assert row is not None
        row.name = "Anna"

    async def delete(users: UserRepository) -> None:
        row = await users.get_for_update(source.row.id)
        assert row is not None
        await users.delete(row)

    for change in (add, rename, delete):
        await cache.client.set(name, b"old value")
        with pytest.raises(ZeroDivisionError):
            await write(change, fails=True)
        assert await cache.client.exists(name)
        await write(change)
        assert not await cache.client.exists(name)


async def test_commit_with_a_lost_response_invalidates(
    cache: Cache,
    app: FastAPI,
    source: Source,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = app.state.components[Database]
    dialect = database.engine.dialect
    commit = dialect.do_commit

    def lose(connection: Any) -> None:
        commit(connection)
        raise ConnectionResetError

    async def add() -> None:
        async with database.write() as session:
            cache.invalidate_on_commit(session)
            source.row.email = f"{source.row.id}@example.com"
            await UserRepository(session).add(source.row)

    await cache.client.set(name, b"old value")
    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", lose)
        with pytest.raises((ServiceError, OSError)):
            await add()
    deadline = monotonic() + 30
    while await cache.client.exists(name):
        assert monotonic() < deadline
        await sleep(0.05)


async def test_concurrent_misses_run_one_query(app: FastAPI, cache: Cache, source: Source) -> None:
    database = app.state.components[Database]
    source.row.email = f"{source.row.id}@example.com"
    async with database.write() as session:
        await UserRepository(session).add(source.row)
    queries: list[str] = []

    def note(*called: Any) -> None:
        queries.append(called[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    reader = CachedUserReader(cache, database)
    answers = await read_concurrently(lambda: reader.get(source.row.id), 200)
    assert answers == [PROFILES.answer(source.row)] * 200
    assert len(queries) == 1

# {% if sqlalchemy == "async" %}

async def read_concurrently(read: Callable[[], Awaitable[Answer]], times: int) -> list[Answer]:
    """Read many times concurrently."""
    return await asyncio.gather(*(read() for _ in range(times)))
# {% else %}

def read_concurrently(read: Callable[[], Answer], times: int) -> list[Answer]:
    """Read many times concurrently."""
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(lambda _: read(), range(times)))
# {% endif %}
# {% endcall %}
