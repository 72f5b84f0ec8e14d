# {% from "includes/unasync.jinja" import unasync with context %}
"""SQLite: locks, timestamps and migrations."""

# {% call unasync() %}
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from threading import Timer
from uuid import uuid4

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BigInteger, Column, Connection, String, make_url, text

from app.core.database.engine import Database, run_migrations
from app.core.security.tokens import Tokens
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from app.main import create_app
from tests.accounts import PASSWORD
from tests.client import Client, serve
from tests.settings import make_settings


async def test_connections_use_foreign_keys_and_wal(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url))
    async with serve(app), app.state.components[Database].read() as session:
        assert await session.scalar(text("PRAGMA foreign_keys")) == 1
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"


async def sign_up(client: Client) -> int:
    form = {"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": PASSWORD}
    response = await client.post("/api/v1/users", json=form)
    assert response.status_code != 503 or response.headers["Retry-After"]
    return response.status_code


async def test_a_locked_file_is_answered_with_503(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url, database_busy_timeout_seconds=0.1))
    async with serve(app) as client:
        async with app.state.components[Database].write() as session:
            await session.execute(text("SELECT 1"))
            refused = await sign_up(client)
            ready = await client.get("/readyz")
            token = app.state.components[Tokens].issue(uuid4())
            headers = {"Authorization": f"Bearer {token}"}
            read = await client.get("/api/v1/users", headers=headers)
        accepted = await sign_up(client)
    assert (refused, accepted) == (503, 201)
    assert (ready.status_code, read.status_code) == (200, 200)


async def test_timestamps_are_returned_in_utc(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url))
    timestamp = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    async with serve(app), app.state.components[Database].write() as session:
        row = User(name="Ann", email=f"{uuid4().hex}@example.com", password_hash="-")
        row.created_at = timestamp
        await UserRepository(session).add(row)
        await session.refresh(row)
    assert row.created_at == timestamp
    assert row.created_at.tzinfo is UTC


# {% endcall %}


def test_a_batch_migration_keeps_the_rows_that_refer_to_its_table(lasting_url: str) -> None:
    left: list[int] = []

    def migrate(connection: Connection) -> None:
        for statement in (
            "CREATE TABLE owners (id INTEGER PRIMARY KEY)",
            "CREATE TABLE pets (owner INTEGER REFERENCES owners (id) ON DELETE CASCADE)",
            "INSERT INTO owners VALUES (1)",
            "INSERT INTO pets VALUES (1)",
        ):
            connection.execute(text(statement))
        with Operations(MigrationContext.configure(connection)).batch_alter_table("owners") as t:
            t.add_column(Column("name", String))
            t.alter_column("id", type_=BigInteger)
        left.append(connection.scalar(text("SELECT count(*) FROM pets")) or 0)

    run_migrations(make_settings(lasting_url), migrate)
    assert left == [1]


def test_a_migration_waits_longer_for_a_lock_than_a_request(lasting_url: str) -> None:
    def look(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))

    settings = make_settings(lasting_url, database_busy_timeout_seconds=0.1)
    file = make_url(lasting_url).database or ""
    with closing(sqlite3.connect(file, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        Timer(1, other.rollback).start()
        run_migrations(settings, look)
