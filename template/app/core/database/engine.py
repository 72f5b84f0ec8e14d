# {% from "includes/unasync.jinja" import unasync with context %}
"""Database engine with its connection pool, one per process."""

# {% call unasync() %}
# {% if sqlalchemy == "async" %}
import asyncio
# {% endif %}
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import stamina
import structlog
# {% if sqlalchemy == "sync" %}
from anyio import CapacityLimiter, to_thread
# {% endif %}
from sqlalchemy import Connection, event, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.core.bulkhead import Bulkhead
# {% if database == "postgresql" %}
from app.core.database import postgresql as dialect
from app.core.database.budget import serving_share
# {% else %}
from app.core.database import sqlite as dialect
# {% endif %}
from app.core.database.transactions import ReadSession, WriteSession, refusals
from app.core.errors import Unavailable
# {% if database == "postgresql" %}
from app.core.resources import ConnectionShare, Resource
# {% else %}
from app.core.resources import Resource
# {% endif %}
# {% if sqlalchemy == "sync" %}
from app.core.serving.threads import set_threads
# {% endif %}
from app.settings import Settings

log = structlog.get_logger()


class DatabaseUnavailable(Unavailable):
    """Raised when the database does not answer, or not in time."""

    message = "The database is not available at the moment: try again soon."


class Database(Resource):
    """Engine with its connection pool, and sessions for reading and writing."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # {% if database == "postgresql" %}
        # None until the server has answered.
        self.connection_limit: int | None = None
        # {% endif %}
        self.engine = dialect.build_engine(settings)
        event.listen(self.engine.sync_engine, "handle_error", _translate_error)
        self._reader = self.engine.execution_options(**dialect.reading_options(settings))
        self.read_sessions = async_sessionmaker(
            self._reader, class_=ReadSession, autoflush=False, expire_on_commit=False
        )
        self.write_sessions = async_sessionmaker(
            self.engine,
            class_=WriteSession,
            expire_on_commit=False,
        )
        # The pool alone is not fair to waiting requests: a slot per connection keeps their order.
        self.bulkhead = Bulkhead(
            settings.database_pool_size, settings.database_pool_timeout_seconds
        )
# {% if sqlalchemy == "sync" %}
        # The check has its own thread: a busy thread pool must not look like a broken database.
        self._check_threads = CapacityLimiter(1)
# {% endif %}

    # {% if database == "postgresql" %}
    @classmethod
    def connection_shares(cls, settings: Settings) -> list[ConnectionShare]:
        """Return the pool of each serving process, and one connection for its health check."""
        return [serving_share(settings, "requests", settings.database_pool_size + 1)]

    # {% endif %}
    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Open a session for reading; raises Unavailable."""
        async with refusals(), self.read_sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Open a transaction that commits at the end; raises Conflict, Unavailable."""
        async with refusals(), self.write_sessions() as session:
            async with session.begin():
                yield session
            await session.run_effects()

    async def _ping(self) -> None:
        async with self._reader.connect() as connection:
            await connection.execute(select(1))

    async def _check_start(self) -> None:
        async with self._reader.connect() as connection:
            # {% if database == "postgresql" %}
            self.connection_limit = await dialect.connection_limit(connection)
            # {% else %}
            await connection.execute(select(1))
            # {% endif %}

    async def _wait(self) -> None:
        attempts = stamina.retry_context(
            on=DatabaseUnavailable,
            attempts=None,
            timeout=self.settings.database_start_timeout_seconds,
            wait_max=1,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    await self._check_start()
        except DatabaseUnavailable:
            log.error("database_unavailable", hint="serving 503 until the database answers")
# {% endcall %}
# {% if sqlalchemy == "sync" %}

    async def open(self) -> None:
        """Wait for the database until DATABASE_START_TIMEOUT_SECONDS have passed."""
        set_threads(self.settings)
        await to_thread.run_sync(self._wait)

    async def check(self) -> None:
        """Raise DatabaseUnavailable if the database does not answer."""
        await to_thread.run_sync(self._ping, abandon_on_cancel=True, limiter=self._check_threads)

    async def close(self) -> None:
        """Close all connections."""
        await to_thread.run_sync(self.engine.dispose)


def run_migrations(settings: Settings, work: Callable[[Connection], None]) -> None:
    """Run `work` on a separate engine, without the timeouts of requests."""
    engine = dialect.build_migration_engine(settings)
    try:
        with engine.connect() as connection:
            work(connection)
    finally:
        engine.dispose()
# {% else %}

    async def open(self) -> None:
        """Wait for the database until DATABASE_START_TIMEOUT_SECONDS have passed."""
        await self._wait()

    async def check(self) -> None:
        """Raise DatabaseUnavailable if the database does not answer."""
        await self._ping()

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def run_migrations(settings: Settings, work: Callable[[Connection], None]) -> None:
    """Run `work` on a separate engine, without the timeouts of requests."""

    async def run() -> None:
        engine = dialect.build_migration_engine(settings)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(work)
        finally:
            await engine.dispose()

    asyncio.run(run())
# {% endif %}


def _translate_error(context: ExceptionContext) -> None:
    if dialect.is_unavailable(context.original_exception):
        # A timed-out connection may still receive the answer: no other request may use it.
        context.is_disconnect |= isinstance(context.original_exception, OSError)
        raise DatabaseUnavailable
