# {% from "includes/unasync.jinja" import unasync with context %}
"""The database: one engine a process, with its pool of connections."""

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
    """The database does not answer, or not in time."""

    message = "The database is not available at the moment: try again soon."


class Database(Resource):
    """The engine with its pool of connections, and sessions of both kinds."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # {% if database == "postgresql" %}
        # How many connections the server grants, once it has answered.
        self.connection_limit: int | None = None
        # {% endif %}
        self.engine = dialect.build_engine(settings)
        event.listen(self.engine.sync_engine, "handle_error", _translate_error)
        # The same pool, without transactions.
        self._reader = self.engine.execution_options(**dialect.reading_options(settings))
        self.read_sessions = async_sessionmaker(
            self._reader,
            class_=ReadSession,
            autoflush=False,
            expire_on_commit=False,
        )
        self.write_sessions = async_sessionmaker(
            self.engine,
            class_=WriteSession,
            expire_on_commit=False,
        )
        # As many requests at once as there are connections: the pool alone is not fair to those
        # that wait.
        self.bulkhead = Bulkhead(
            settings.database_pool_size,
            settings.database_pool_timeout_seconds,
        )
# {% if sqlalchemy == "sync" %}
        # Not the threads of the routes: a busy service is not a broken database.
        self._check_threads = CapacityLimiter(1)
# {% endif %}

    # {% if database == "postgresql" %}
    @classmethod
    def connection_shares(cls, settings: Settings) -> list[ConnectionShare]:
        """Return a pool for each process that serves, and one more for its health check."""
        return [serving_share(settings, "requests", settings.database_pool_size + 1)]

    # {% endif %}
    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A session for reading; raises Unavailable."""
        async with refusals(), self.read_sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """A transaction that commits at the end; raises Conflict, Unavailable."""
        async with refusals(), self.write_sessions() as session:
            async with session.begin():
                yield session
            await session.run_effects()

    async def _ask(self) -> None:
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
            log.error("database_unavailable", hint="serving 503 until it answers")
# {% endcall %}
# {% if sqlalchemy == "sync" %}

    async def open(self) -> None:
        """Wait for a database that is starting too, but not for ever."""
        set_threads(self.settings)
        await to_thread.run_sync(self._wait)

    async def check(self) -> None:
        """Raise DatabaseUnavailable when it does not answer."""
        await to_thread.run_sync(self._ask, abandon_on_cancel=True, limiter=self._check_threads)

    async def close(self) -> None:
        """Close the connections."""
        await to_thread.run_sync(self.engine.dispose)


def run_migrations(settings: Settings, work: Callable[[Connection], None]) -> None:
    """Do the work on an engine of its own, without the limits of requests."""
    engine = dialect.build_migration_engine(settings)
    try:
        with engine.connect() as connection:
            work(connection)
    finally:
        engine.dispose()
# {% else %}

    async def open(self) -> None:
        """Wait for a database that is starting too, but not for ever."""
        await self._wait()

    async def check(self) -> None:
        """Raise DatabaseUnavailable when it does not answer."""
        await self._ask()

    async def close(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


def run_migrations(settings: Settings, work: Callable[[Connection], None]) -> None:
    """Do the work on an engine of its own, without the limits of requests."""

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
        # A connection that timed out may still be answered: nobody else must get it.
        context.is_disconnect |= isinstance(context.original_exception, OSError)
        raise DatabaseUnavailable
