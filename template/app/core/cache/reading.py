# {% from "includes/unasync.jinja" import unasync with context %}
"""Read session for cache misses, opened only when a request needs one."""

# {% call unasync() %}
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# {% if sqlalchemy == "sync" %}
from app.core.cache.threads import slot_in
# {% endif %}
from app.core.database.engine import Database
from app.core.database.transactions import ReadSession


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[ReadSession]:
    """Open a read session after waiting for a database slot; raises Unavailable."""
    # {% if sqlalchemy == "sync" %}
    slot = slot_in(database.bulkhead)
    # {% else %}
    slot = database.bulkhead.slot()
    # {% endif %}
    async with slot, database.read() as session:
        yield session
# {% endcall %}
