# {% from "includes/unasync.jinja" import unasync with context %}
"""PostgreSQL: engine options, connection limit and error codes."""

# {% call unasync() %}
# {% if sqlalchemy == "async" %}
from typing import Any
from uuid import uuid4

import asyncpg
# {% if cpu_jobs == "celery" %}
from sqlalchemy import URL, DateTime, Engine, Table, create_engine, event, make_url, text
# {% else %}
from sqlalchemy import URL, DateTime, Table, event, make_url, text
# {% endif %}
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
# {% else %}
import select
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Engine,
    Table,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DisconnectionError, IntegrityError
# {% endif %}

# {% if sqlalchemy == "sync" or cpu_jobs == "celery" %}
from app.core.database.psycopg import connect
# {% endif %}
from app.settings import Settings

TIMESTAMP = DateTime(timezone=True)

# SQLSTATEs: foreign_key_violation, unique_violation, exclusion_violation.
_CONFLICTS = {"23503", "23505", "23P01"}

# SQLSTATEs of an unavailable server: connection, rollback (serialization, deadlock), resources
# exhausted, shutdown or statement timeout, lock not available, read-only standby.
_UNAVAILABLE = ("08", "40", "53", "57", "55P03", "25006")

# The query returns the lowest limit of server, role and database, without reserved connections.
_CONNECTION_LIMIT = text("""
    SELECT least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int,
        nullif(rolconnlimit, -1),
        nullif(datconnlimit, -1)
    )
    FROM pg_roles, pg_database
    WHERE rolname = current_user AND datname = current_database()
""")


async def connection_limit(connection: AsyncConnection) -> int:
    """Return the number of connections that the server allows the service."""
    return int(await connection.scalar(_CONNECTION_LIMIT) or 0)


def build_engine(settings: Settings) -> AsyncEngine:
    """Return an engine that has not connected yet."""
    engine = create_async_engine(
        _url(settings),
        connect_args=_connect_args(settings),
        pool_size=settings.database_pool_size,
        # One more, for the health check while requests use the whole pool.
        max_overflow=1,
        pool_timeout=settings.database_pool_timeout_seconds,
        pool_recycle=settings.database_pool_recycle_seconds,
        # The values of a failed statement may be personal data, which must not be logged.
        hide_parameters=True,
    )
    # {% if sqlalchemy == "sync" %}
    event.listen(engine, "do_connect", connect)
    # {% else %}
    event.listen(engine.sync_engine, "do_connect", _connect)
    # {% endif %}
    event.listen(engine.sync_engine, "checkout", _refuse_dropped)
    return engine


def build_migration_engine(settings: Settings) -> AsyncEngine:
    """Return an engine whose statements may take a day, for indexes on large tables."""
    limits = {
        # No client waits for a migration, and many replicas may connect at once.
        "database_connect_timeout_seconds": 60,
        "database_statement_timeout_seconds": 86_400,
    }
    return build_engine(settings.model_copy(update=limits))


def is_conflict(error: IntegrityError) -> bool:
    """Return whether the error is a conflict with other rows, not a fault of the row itself."""
    return getattr(error.orig, "sqlstate", None) in _CONFLICTS
# {% endcall %}


# {% if sqlalchemy == "async" %}
# {% if cpu_jobs == "celery" %}
def build_worker_engine(settings: Settings) -> Engine:
    """Return an engine without an event loop, for a worker that runs one job at a time."""
    seconds = settings.database_statement_timeout_seconds
    engine = create_engine(
        make_url(settings.database_url.get_secret_value()).set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": settings.database_connect_timeout_seconds,
            "options": f"-c statement_timeout={round(seconds * 1_000)}",
            "wait_seconds": seconds + 1,
        },
        # One connection for the job, one for its heartbeat.
        pool_size=2,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "do_connect", connect)
    return engine


# {% endif %}
def is_unavailable(error: BaseException) -> bool:
    """Return whether the error is an outage or a timeout, not a fault of the statement."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_UNAVAILABLE)
    lost = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    cause = error.__cause__ or error
    # A value that asyncpg cannot encode is an InterfaceError too.
    return isinstance(cause, lost) and not isinstance(cause, ValueError)


def violates(error: IntegrityError, table: Table, constraint: str) -> bool:
    """Return whether the error violates the constraint of this name."""
    cause = getattr(error.orig, "__cause__", None)
    return (table.name, constraint) == (
        getattr(cause, "table_name", None),
        getattr(cause, "constraint_name", None),
    )


def _url(settings: Settings) -> URL:
    url = make_url(settings.database_url.get_secret_value()).set(drivername="postgresql+asyncpg")
    mode = url.query.get("sslmode")
    # Providers' URLs have libpq's parameters, which asyncpg lacks or names differently.
    url = url.difference_update_query(["channel_binding", "connect_timeout", "sslmode"])
    return url if mode is None else url.update_query_dict({"ssl": mode})


def _connect_args(settings: Settings) -> dict[str, Any]:
    seconds = settings.database_statement_timeout_seconds
    if settings.database_pgbouncer:
        # Behind PgBouncer, neither prepared statements nor statement_timeout survive a transaction.
        return {
            "timeout": settings.database_connect_timeout_seconds,
            "command_timeout": seconds + 1,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"s_{uuid4().hex}",
            "statement_cache_size": 0,
        }
    return {
        "timeout": settings.database_connect_timeout_seconds,
        # The server cancels a long statement; command_timeout covers a server that hangs.
        "command_timeout": seconds + 1,
        "server_settings": {"statement_timeout": str(round(seconds * 1_000))},
    }


def reading_options(settings: Settings) -> dict[str, str]:
    """Return the execution options of reads: no transaction around a statement."""
    # asyncpg sends two messages per query, which PgBouncer could send to different servers.
    return {} if settings.database_pgbouncer else {"isolation_level": "AUTOCOMMIT"}


def _connect(dialect: Dialect, _record: object, args: Any, options: Any) -> DBAPIConnection:
    try:
        return dialect.connect(*args, **options)
    except OSError as error:
        # SQLAlchemy expects a driver's error; asyncpg raises network errors unwrapped.
        raise dialect.loaded_dbapi.OperationalError(str(error)) from error


def _refuse_dropped(connection: Any, _record: object, _proxy: object) -> None:
    """Reject a connection that the server has closed, without a round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
# {% else %}
def is_unavailable(error: BaseException) -> bool:
    """Return whether the error is an outage or a timeout, not a fault of the statement."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_UNAVAILABLE)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def violates(error: IntegrityError, table: Table, constraint: str) -> bool:
    """Return whether the error violates the constraint of this name."""
    diagnosis = error.orig.diag if isinstance(error.orig, psycopg.Error) else None
    return (
        diagnosis is not None
        and diagnosis.table_name == table.name
        and diagnosis.constraint_name == constraint
    )


def _url(settings: Settings) -> URL:
    return make_url(settings.database_url.get_secret_value()).set(drivername="postgresql+psycopg")


def _connect_args(settings: Settings) -> dict[str, Any]:
    seconds = settings.database_statement_timeout_seconds
    if settings.database_pgbouncer:
        # Behind PgBouncer, neither prepared statements nor statement_timeout survive a transaction.
        return {
            "connect_timeout": settings.database_connect_timeout_seconds,
            "prepare_threshold": None,
            "wait_seconds": seconds + 1,
        }
    return {
        "connect_timeout": settings.database_connect_timeout_seconds,
        "options": f"-c statement_timeout={round(seconds * 1_000)}",
        "wait_seconds": seconds + 1,
    }


def reading_options(_settings: Settings) -> dict[str, str]:
    """Return the execution options of reads: no transaction around a statement."""
    return {"isolation_level": "AUTOCOMMIT"}


def _refuse_dropped(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """Reject a connection that the server has closed, without a round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    # An idle connection receives data only if the server closes it or sends a notice.
    if poll.poll(0):
        try:
            connection.execute("")
        except psycopg.Error as error:
            raise DisconnectionError from error
# {% endif %}
