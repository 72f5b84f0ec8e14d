# {% from "includes/unasync.jinja" import unasync with context %}
"""The two kinds of session, and what a database that refuses a transaction means."""

# {% call unasync() %}
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession
# {% if sqlalchemy == "async" %}
from sqlalchemy.orm import Session
# {% endif %}
from sqlalchemy.orm.exc import StaleDataError

# {% if database == "postgresql" %}
from app.core.database import postgresql as dialect
# {% else %}
from app.core.database import sqlite as dialect
# {% endif %}
from app.core.errors import Conflict, Overloaded

violates = dialect.violates
log = structlog.get_logger()

Effect = Callable[[], Awaitable[None]]


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


@asynccontextmanager
async def refusals() -> AsyncIterator[None]:
    """Raise Overloaded without a connection, and Conflict when other rows are in the way."""
    try:
        yield
    except PoolTimeoutError:
        raise Overloaded from None
    except StaleDataError as error:
        raise Conflict from error
    except IntegrityError as error:
        if dialect.is_conflict(error):
            raise Conflict from error
        raise


# {% endcall %}
