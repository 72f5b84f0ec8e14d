# {% from "includes/unasync.jinja" import unasync with context %}
"""Sessions for reading and writing, and the errors of their transactions."""

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
        """Raise TypeError: without a transaction, each statement would be committed at once."""
        raise TypeError("a ReadSession cannot write: use a WriteSession")


class ReadSession(AsyncSession):
    """Session for reading: every statement is one round trip, without a transaction."""

    sync_session_class = _ReadOnlySession


# {% else %}
class ReadSession(Session):
    """Session for reading: every statement is one round trip, without a transaction."""

    def flush(self, objects: Any = None) -> None:
        """Raise TypeError: without a transaction, each statement would be committed at once."""
        raise TypeError("a ReadSession cannot write: use a WriteSession")


# {% endif %}
class WriteSession(AsyncSession):
    """Session for writing: one transaction, committed before the response."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._effects: list[Effect] = []

    def after_commit(self, effect: Effect) -> None:
        """Call `effect` after the commit and before the response; never after a rollback."""
        self._effects.append(effect)

    async def run_effects(self) -> None:
        """Run the effects after the commit; log those that fail, since the commit stands."""
        for effect in self._effects:
            try:
                await effect()
            except Exception:
                log.exception("effect_failed")


@asynccontextmanager
async def refusals() -> AsyncIterator[None]:
    """Raise Overloaded for a pool timeout, and Conflict for a conflict with other rows."""
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
