# {% from "includes/unasync.jinja" import unasync with context %}
"""Database sessions: commit, rollback, and effects after the commit."""

# {% call unasync() %}
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.database.engine import Database
from app.core.dependencies import ReadSessionDep, WriteSessionDep
from app.core.errors import Conflict, Overloaded
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.main import create_app
from tests.client import serve
from tests.settings import make_settings


def user() -> User:
    return User(name="Ann", email=f"{uuid4().hex}@example.com", password_hash="-")


@pytest.fixture
def committing(lasting_url: str) -> FastAPI:
    """Return an application whose transactions commit."""
    return create_app(make_settings(lasting_url))


@pytest.fixture
async def database(committing: FastAPI) -> AsyncIterator[Database]:
    """Return the open database of the committing application."""
    async with serve(committing):
        yield committing.state.components[Database]


async def test_a_read_session_refuses_to_write(database: Database) -> None:
    async with database.read() as session:
        users = UserRepository(session)
        with pytest.raises(TypeError, match="WriteSession"):
            await users.add(user())


async def test_effects_run_after_the_commit(database: Database) -> None:
    row = user()
    seen: list[bool] = []

    async def look() -> None:
        async with database.read() as other:
            found = await UserRepository(other).get(row.id)
            seen.append(found is not None)

    async with database.write() as session:
        await UserRepository(session).add(row)
        session.after_commit(look)
        await look()
    assert seen == [False, True]


async def test_a_rollback_discards_the_effects(database: Database) -> None:
    seen: list[str] = []

    async def effect() -> None:
        seen.append("effect")

    async def fail() -> None:
        async with database.write() as session:
            session.after_commit(effect)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not seen


async def test_a_failing_effect_keeps_the_commit_and_the_other_effects(database: Database) -> None:
    row = user()
    seen: list[str] = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def effect() -> None:
        seen.append("effect")

    async with database.write() as session:
        await UserRepository(session).add(row)
        session.after_commit(fail)
        session.after_commit(effect)
    assert seen == ["effect"]
    async with database.read() as reader:
        assert await UserRepository(reader).get(row.id) is not None


async def test_a_duplicate_key_is_a_conflict_and_a_missing_value_is_not(database: Database) -> None:
    async def add(row: User) -> None:
        async with database.write() as session:
            await UserRepository(session).add(row)

    row = user()
    await add(row)
    with pytest.raises(IntegrityError):
        await add(User(email=user().email, password_hash="-"))
    with pytest.raises(Conflict) as raised:
        await add(User(id=row.id, name="Bob", email=user().email, password_hash="-"))
    assert type(raised.value) is Conflict


async def test_updating_a_stale_row_is_a_conflict(database: Database) -> None:
    async def change() -> None:
        async with database.write() as session:
            row = user()
            await UserRepository(session).add(row)
            await session.execute(text("UPDATE users SET version = 7"))
            row.name = "Anna"

    with pytest.raises(Conflict):
        await change()


async def test_waiting_for_the_connection_pool_times_out(lasting_url: str) -> None:
    bounds = {"database_pool_size": 1, "database_pool_timeout_seconds": 0.05}
    app = create_app(make_settings(lasting_url, **bounds))
    async with serve(app) as client:
        database = app.state.components[Database]
        async with database.read() as first:
            await first.execute(text("SELECT 1"))
            # The health check has one connection beyond the pool.
            ready = await client.get("/readyz")
            assert ready.status_code == 200
            async with database.read() as second:
                await second.execute(text("SELECT 1"))
                with pytest.raises(Overloaded):
                    await read(database)


async def read(database: Database) -> None:
    async with database.read() as session:
        await session.execute(text("SELECT 1"))


async def test_database_errors_hide_the_parameters(database: Database) -> None:
    async with database.read() as session:
        statement = text("SELECT * FROM nowhere WHERE name = :name")
        with pytest.raises(DBAPIError) as raised:
            await session.execute(statement, {"name": "hunter2"})
    assert "hunter2" not in str(raised.value)


async def test_an_error_after_a_write_rolls_back(committing: FastAPI) -> None:
    row = user()

    @committing.post("/refused")
    async def refused(session: WriteSessionDep) -> None:
        await UserRepository(session).add(row)
        raise HTTPException(422)

    @committing.get("/found")
    async def found(session: ReadSessionDep) -> bool:
        return await UserRepository(session).get(row.id) is not None

    async with serve(committing) as client:
        response = await client.post("/refused")
        left = await client.get("/found")
    assert (response.status_code, left.json()) == (422, False)


async def test_a_failed_commit_is_answered_with_409(committing: FastAPI) -> None:
    @committing.post("/promises", status_code=201)
    async def create(session: WriteSessionDep) -> str:
        # The database checks the deferred foreign key only at the commit.
        await session.execute(text("INSERT INTO promises VALUES (1, 'nobody')"))
        return "created"

    async with serve(committing) as client:
        async with committing.state.components[Database].write() as session:
            await session.execute(text("CREATE TABLE people (name VARCHAR(9) PRIMARY KEY)"))
            await session.execute(
                text(
                    "CREATE TABLE promises (id INTEGER, name VARCHAR(9) "
                    "REFERENCES people (name) DEFERRABLE INITIALLY DEFERRED)"
                ),
            )
        response = await client.post("/promises")
    assert response.status_code == 409


# {% endcall %}
