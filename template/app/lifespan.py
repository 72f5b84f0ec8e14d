"""The resources that the process holds open while it serves."""

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

# Opened in this order, closed in reverse.
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
    """Open the resources, serve, close them; one failing close does not hide the next."""
    settings = app.state.settings
    async with AsyncExitStack() as stack:
        stack.enter_context(watching(settings.event_loop_blocked_seconds))
        app.state.components |= await open_resources(RESOURCES, settings, stack)
        yield
