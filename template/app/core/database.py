# {% from "includes/unasync.jinja" import unasync with context %}
"""The database: one engine a process, and the two kinds of session that use it."""

# {% call unasync() %}
# {% if sqlalchemy == "async" %}
import asyncio
# {% endif %}
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import stamina
import structlog
# {% if sqlalchemy == "sync" %}
from anyio import CapacityLimiter, to_thread
# {% endif %}
from sqlalchemy import Connection, event, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
# {% if sqlalchemy == "async" %}
from sqlalchemy.orm import Session
# {% endif %}
from sqlalchemy.orm.exc import StaleDataError

# {% if database == "postgresql" %}
from app.core import postgresql as dialect
# {% else %}
from app.core import sqlite as dialect
# {% endif %}
from app.core.bulkhead import Bulkhead
from app.core.errors import Conflict, Overloaded, Unavailable
from app.core.resources import Resource
from app.settings import Settings

violates = dialect.violates
log = structlog.get_logger()

Effect = Callable[[], Awaitable[None]]


class DatabaseAway(Unavailable):
    """The database does not answer, or not in time."""

    message = "The database is not available at the moment: try again soon."


# {% if sqlalchemy == "async" %}
class _ReadOnlySession(Session):
    def flush(self, objects: Any = None) -> None:
        """Refuse: what is flushed here would be committed at once, statement by statement."""
        raise TypeError("a ReadSession does not write: ask for a WriteSession")


class ReadSession(AsyncSession):
    """Reads: every statement is one round trip, without a transaction around it."""

    sync_session_class = _ReadOnlySession


# {% else %}
class ReadSession(Session):
    """Reads: every statement is one round trip, without a transaction around it."""

    def flush(self, objects: Any = None) -> None:
        """Refuse: what is flushed here would be committed at once, statement by statement."""
        raise TypeError("a ReadSession does not write: ask for a WriteSession")


# {% endif %}
class WriteSession(AsyncSession):
    """Writes: one transaction, committed before the response."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._effects: list[Effect] = []

    def after_commit(self, effect: Effect) -> None:
        """Call `effect` after the commit and before the response; never after a rollback."""
        self._effects.append(effect)

    async def run_effects(self) -> None:
        """Run what waited for the commit; one that fails is logged, for the write stands."""
        for effect in self._effects:
            try:
                await effect()
            except Exception:
                log.exception("effect_failed")


class Database(Resource):
    """The engine with its pool of connections, and sessions of both kinds."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.engine = dialect.build_engine(settings)
        event.listen(self.engine.sync_engine, "handle_error", _tell_away)
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

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A session for reading; raises Unavailable."""
        try:
            async with self.read_sessions() as session:
                yield session
        except PoolTimeoutError:
            raise Overloaded from None

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """A transaction that commits at the end; raises Conflict, Unavailable."""
        try:
            async with self.write_sessions() as session:
                async with session.begin():
                    yield session
                await session.run_effects()
        except PoolTimeoutError:
            raise Overloaded from None
        except StaleDataError as error:
            raise Conflict from error
        except IntegrityError as error:
            if dialect.is_conflict(error):
                raise Conflict from error
            raise

    async def _ask(self) -> None:
        async with self._reader.connect() as connection:
            await connection.execute(select(1))

    async def _check_start(self) -> None:
        async with self._reader.connect() as connection:
            await dialect.check_start(connection, self.settings)

    async def _wait(self) -> None:
        attempts = stamina.retry_context(
            on=DatabaseAway,
            attempts=None,
            timeout=self.settings.database_start_timeout_seconds,
            wait_max=1,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    await self._check_start()
        except DatabaseAway:
            log.error("database_away", hint="serving 503 until it answers")
# {% endcall %}
# {% if sqlalchemy == "sync" %}

    async def open(self) -> None:
        """Wait for a database that is starting too, but not for ever."""
        await to_thread.run_sync(self._wait)

    async def check(self) -> None:
        """Raise DatabaseAway when it does not answer."""
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
        """Raise DatabaseAway when it does not answer."""
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


def _tell_away(context: ExceptionContext) -> None:
    if dialect.is_away(context.original_exception):
        # A connection that timed out may still be answered: nobody else must get it.
        context.is_disconnect |= isinstance(context.original_exception, OSError)
        raise DatabaseAway
