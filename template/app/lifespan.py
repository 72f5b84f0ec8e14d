"""The resources that the process holds open while it serves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

# {% if sqlalchemy == "sync" %}
from anyio import to_thread
# {% endif %}
from fastapi import FastAPI

# {% if redis_cache %}
from app.core.cache import Cache
# {% endif %}
# {% if cpu_jobs == "celery" %}
from app.core.celery import CeleryQueue
# {% endif %}
from app.core.database import Database
# {% if cpu_jobs == "process_pool" %}
from app.core.process_pool import ProcessPool
# {% endif %}
from app.core.resources import Resource
from app.core.watchdog import watching

# Opened in this order, closed in reverse.
RESOURCES: tuple[type[Resource], ...] = (
    Database,
    # {% if redis_cache %}
    Cache,
    # {% endif %}
    # {% if cpu_jobs == "celery" %}
    CeleryQueue,
    # {% endif %}
    # {% if cpu_jobs == "process_pool" %}
    ProcessPool,
    # {% endif %}
    # Your own.
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the resources, serve, close them; one failing close does not hide the next."""
    settings = app.state.settings
    # {% if sqlalchemy == "sync" %}
    to_thread.current_default_thread_limiter().total_tokens = settings.threadpool_size
    # {% endif %}
    async with AsyncExitStack() as stack:
        stack.enter_context(watching(settings.event_loop_blocked_seconds))
        for kind in RESOURCES:
            resource = kind(settings)
            stack.push_async_callback(resource.close)
            await resource.open()
            app.state.components[kind] = resource
        yield
