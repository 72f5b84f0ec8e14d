# {% from "includes/unasync.jinja" import unasync with context %}
"""SQLite: how its engine is made, and what its errors mean."""

# {% call unasync() %}
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    # {% if sqlalchemy == "sync" or cpu_jobs == "celery" %}
    Engine,
    # {% endif %}
    Table,
    TypeDecorator,
    UniqueConstraint,
    # {% if sqlalchemy == "sync" or cpu_jobs == "celery" %}
    create_engine,
    # {% endif %}
    event,
    make_url,
)
from sqlalchemy.exc import IntegrityError
# {% if sqlalchemy == "async" %}
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
# {% endif %}

from app.settings import Settings

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    # Readers go on while one writes.
    "PRAGMA journal_mode = WAL",
    # Safe with WAL, and one fsync less for each commit.
    "PRAGMA synchronous = NORMAL",
)
_MIGRATION_MILLISECONDS = 10 * 60 * 1_000

_CONFLICTS = {
    "SQLITE_CONSTRAINT_FOREIGNKEY",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
    "SQLITE_CONSTRAINT_UNIQUE",
}
_AWAY = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_LOCKED")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: SQLite forgets the time zone, so it is always UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store it in UTC."""
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read it as UTC."""
        return value and value.replace(tzinfo=UTC)


TIMESTAMP = UtcDateTime()


def build_engine(settings: Settings) -> AsyncEngine:
    """An engine that has not connected yet."""
    engine = create_async_engine(
        # {% if sqlalchemy == "sync" %}
        make_url(settings.database_url.get_secret_value()).set(drivername="sqlite"),
        # {% else %}
        make_url(settings.database_url.get_secret_value()).set(drivername="sqlite+aiosqlite"),
        # {% endif %}
        connect_args={"timeout": settings.database_busy_timeout_seconds},
        pool_size=settings.database_pool_size,
        # For the health check, when requests have all the others.
        max_overflow=1,
        pool_timeout=settings.database_pool_timeout_seconds,
        # The values of a failing statement are somebody's data: not for the log.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


# {% if cpu_jobs == "celery" and sqlalchemy == "async" %}
def build_worker_engine(settings: Settings) -> Engine:
    """An engine without an event loop, for a process that does one job at a time."""
    engine = create_engine(
        settings.database_url.get_secret_value(),
        connect_args={"timeout": settings.database_busy_timeout_seconds},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


# {% endif %}
def reading_options(_settings: Settings) -> dict[str, str]:
    """What a connection that only reads is told: no transaction around a statement."""
    return {"isolation_level": "AUTOCOMMIT"}


def build_migration_engine(settings: Settings) -> AsyncEngine:
    """An engine that may replace a table, and keeps the rows that refer to the old one."""
    engine = build_engine(settings)
    event.listen(engine.sync_engine, "connect", _prepare_migration)
    return engine


def is_conflict(error: IntegrityError) -> bool:
    """Whether it contradicts other rows, rather than being wrong by itself."""
    return getattr(error.orig, "sqlite_errorname", None) in _CONFLICTS


def violates(error: IntegrityError, table: Table, constraint: str) -> bool:
    """Whether it was the unique constraint of that name: SQLite tells its columns instead."""
    columns = [
        [str(column) for column in each.columns]
        for each in table.constraints
        if isinstance(each, UniqueConstraint) and each.name == constraint
    ]
    return str(error.orig) in [f"UNIQUE constraint failed: {', '.join(each)}" for each in columns]


def is_unavailable(error: BaseException) -> bool:
    """Whether the file cannot be used now, rather than the statement being wrong."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(_AWAY)


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _prepare_migration(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    # That of another process may take long, and this one is next.
    connection.execute(f"PRAGMA busy_timeout = {_MIGRATION_MILLISECONDS}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot be made to wait: it fails at once when
    # another wrote in between. So one that may write takes the lock when it begins.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
# {% endcall %}
