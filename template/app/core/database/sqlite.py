# {% from "includes/unasync.jinja" import unasync with context %}
"""SQLite: engine options, timestamps and error codes."""

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
    # WAL lets reads continue during a write; NORMAL is safe with WAL and saves an fsync per commit.
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
)
_MIGRATION_MILLISECONDS = 10 * 60 * 1_000

_CONFLICTS = {
    "SQLITE_CONSTRAINT_FOREIGNKEY",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
    "SQLITE_CONSTRAINT_UNIQUE",
}
_UNAVAILABLE = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_LOCKED")


class UtcDateTime(TypeDecorator[datetime]):
    """Timestamp stored in UTC, because SQLite stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert the time to UTC and remove the time zone."""
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the time zone UTC."""
        return value and value.replace(tzinfo=UTC)


TIMESTAMP = UtcDateTime()


def build_engine(settings: Settings) -> AsyncEngine:
    """Return an engine that has not connected yet."""
    engine = create_async_engine(
        # {% if sqlalchemy == "sync" %}
        make_url(settings.database_url.get_secret_value()).set(drivername="sqlite"),
        # {% else %}
        make_url(settings.database_url.get_secret_value()).set(drivername="sqlite+aiosqlite"),
        # {% endif %}
        connect_args={"timeout": settings.database_busy_timeout_seconds},
        pool_size=settings.database_pool_size,
        # One more, for the health check while requests use the whole pool.
        max_overflow=1,
        pool_timeout=settings.database_pool_timeout_seconds,
        # The values of a failed statement may be personal data, which must not be logged.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


# {% if cpu_jobs == "celery" and sqlalchemy == "async" %}
def build_worker_engine(settings: Settings) -> Engine:
    """Return an engine without an event loop, for a worker that runs one job at a time."""
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
    """Return the execution options of reads: no transaction around a statement."""
    return {"isolation_level": "AUTOCOMMIT"}


def build_migration_engine(settings: Settings) -> AsyncEngine:
    """Return an engine that can replace a table without deleting rows that refer to it."""
    engine = build_engine(settings)
    event.listen(engine.sync_engine, "connect", _prepare_migration)
    return engine


def is_conflict(error: IntegrityError) -> bool:
    """Return whether the error is a conflict with other rows, not a fault of the row itself."""
    return getattr(error.orig, "sqlite_errorname", None) in _CONFLICTS


def violates(error: IntegrityError, table: Table, constraint: str) -> bool:
    """Return whether this unique constraint is violated; SQLite reports only its columns."""
    columns = [
        [str(column) for column in each.columns]
        for each in table.constraints
        if isinstance(each, UniqueConstraint) and each.name == constraint
    ]
    return str(error.orig) in [f"UNIQUE constraint failed: {', '.join(each)}" for each in columns]


def is_unavailable(error: BaseException) -> bool:
    """Return whether the error is a problem of the file, not a fault of the statement."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(_UNAVAILABLE)


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _prepare_migration(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    # A migration in another process may take minutes, and this one waits for the lock.
    connection.execute(f"PRAGMA busy_timeout = {_MIGRATION_MILLISECONDS}")


def _begin(connection: Connection) -> None:
    # A transaction that reads before its first write fails at once if another has written in
    # between, whatever the busy timeout. A transaction that may write locks at its beginning.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
# {% endcall %}
