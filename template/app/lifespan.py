"""Resources that each server process opens at start-up and closes at shutdown."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

# {% if redis_cache %}
from app.core.cache.store import Cache
# {% endif %}
from app.core.database.engine import Database
# {% if cpu_jobs != "none" %}
from app.core.jobs.runner import Runner
# {% endif %}
from app.core.resources import Resource
from app.core.serving.watchdog import watching
from app.core.startup import open_resources

# Resources are opened in this order and closed in reverse.
RESOURCES: tuple[type[Resource], ...] = (
    Database,
    # {% if redis_cache %}
    Cache,
    # {% endif %}
    # {% if cpu_jobs != "none" %}
    Runner,
    # {% endif %}
    # Add yours below.
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the resources, serve, then close every resource, even if closing another fails."""
    settings = app.state.settings
    async with AsyncExitStack() as stack:
        stack.enter_context(watching(settings.event_loop_blocked_seconds))
        app.state.components |= await open_resources(RESOURCES, settings, stack)
        yield
